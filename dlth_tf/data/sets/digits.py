"""The digits data set: 1,797 handwritten digits included in this package, as a tensorflow_datasets builder."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from dlth_tf import files
from dlth_tf.data.dataset import DataSet
from dlth_tf.data.sets.local_builder import LocalBuilder, prepare
from dlth_tf.data.sets.prepared_files import opening
from dlth_tf.data.sets.tfds_reader import read
from dlth_tf.data.splits import stratified
from dlth_tf.errors import BadInput
from dlth_tf.randomness import generator

COUNT = 1797
VALUE_RANGE = 16
VALIDATION = 200
TEST = 500
SPLIT_SEED = 0  # of the data set, not of a run: the division is always the same

DESCRIPTION = """\
1,797 images of handwritten digits, 8 x 8 pixels with values from 0 to 16: the test part of Optical Recognition of
Handwritten Digits by E. Alpaydin and C. Kaynak (UCI Machine Learning Repository, 1998), as scikit-learn distributes it,
divided here by class into 1,097 for training, 200 for validation and 500 for the test. Licensed under CC BY 4.0.
"""
CITATION = """\
@misc{alpaydin1998optical,
  author = {Alpaydin, E. and Kaynak, C.},
  title = {Optical Recognition of Handwritten Digits},
  year = {1998},
  howpublished = {UCI Machine Learning Repository},
  doi = {10.24432/C50P49},
}
"""


@functools.cache
def source() -> tuple[np.ndarray, np.ndarray]:
    """Returns the images, uint8 [1797, 8, 8, 1], and labels, uint8 [1797], in the order of the original file."""
    expected = {"images": ((COUNT, 8, 8, 1), np.dtype(np.uint8)), "labels": ((COUNT,), np.dtype(np.uint8))}
    arrays = files.parse_npz(resources.files("dlth_tf.data.sets").joinpath("digits.npz").read_bytes(), expected)
    return arrays["images"], arrays["labels"]


def division() -> dict[str, np.ndarray]:
    """Returns split -> ascending indices of its examples in `source()`."""
    labels = source()[1]
    test, rest = stratified(labels, TEST, generator(SPLIT_SEED, "digits", "test"))
    validation, train = stratified(labels[rest], VALIDATION, generator(SPLIT_SEED, "digits", "validation"))
    return {"train": rest[train], "validation": rest[validation], "test": test}


class Digits(LocalBuilder):
    """Builder of `digits` from the file in this package."""

    name = "digits"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "The first release."}  # noqa: RUF012 (name and form are those of tensorflow_datasets)

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "image": tfds.features.Image(shape=(8, 8, 1), dtype=np.uint8),
            "label": tfds.features.ClassLabel(num_classes=10),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=DESCRIPTION,
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
            homepage="https://doi.org/10.24432/C50P49",
            citation=CITATION,
            license="CC BY 4.0",
            disable_shuffling=True,  # the order stays that of the original file
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        del dl_manager  # nothing is downloaded
        return {split: self._generate_examples(indices) for split, indices in division().items()}

    def _generate_examples(self, indices: np.ndarray) -> Iterator[tuple[int, dict[str, Any]]]:
        images, labels = source()
        for index in indices.tolist():
            yield index, {"image": images[index], "label": int(labels[index])}


def load(data_dir: str | None = None) -> DataSet:
    """Loads the digits, which are prepared in `data_dir` if they are not yet.

    Args:
      data_dir: Existing directory of the prepared files; if None, the default of tensorflow_datasets, and if that
        cannot be written, a temporary directory that is deleted afterwards.

    Raises:
      BadInput: If `data_dir` is not None and cannot be used.
    """
    if data_dir is not None:
        return _load(_checked(data_dir))
    with contextlib.suppress(BadInput):
        return _load(None)
    with tempfile.TemporaryDirectory() as temporary:
        return _load(temporary)


def _checked(data_dir: str) -> str:
    path = Path(data_dir).expanduser()
    try:
        next(path.iterdir(), None)
    except OSError as error:
        raise BadInput(
            "data_dir", data_dir, f"must be a directory that exists and can be read ({error.strerror})"
        ) from None
    return str(path)


def _load(data_dir: str | None) -> DataSet:
    with opening(data_dir or tfds.core.constants.DATA_DIR, Digits.name):
        builder = Digits(data_dir=data_dir)
    prepare(builder)
    train, validation, test = (read(builder, split) for split in ("train", "validation", "test"))
    return DataSet(
        "digits", train, validation, test, tuple("0123456789"), normalization="unit", value_range=VALUE_RANGE
    )
