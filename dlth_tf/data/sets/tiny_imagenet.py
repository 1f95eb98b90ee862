"""Tiny ImageNet: 200 classes, 64 x 64 pixels, as a tensorflow_datasets builder that reads the official zip file.

The 10,000 images of its validation folder are the test set, as in all published results: its test images have no public
labels.
"""

from __future__ import annotations

import io
import lzma
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from dlth_tf import files
from dlth_tf.data.dataset import DataSet
from dlth_tf.data.sets.from_tfds import from_builder
from dlth_tf.data.sets.local_builder import LocalBuilder, prepare
from dlth_tf.data.sets.prepared_files import opening
from dlth_tf.errors import BadInput

FOLDER = "tiny-imagenet-200"
ZIP = f"{FOLDER}.zip"
ADDRESS = f"http://cs231n.stanford.edu/{ZIP}"
SHAPE = (64, 64, 3)
MOST_LIST = 2**20  # bytes of a list of classes or images
MOST_IMAGE = 2**18  # bytes of an image; the largest has about 20,000
MOST_ARCHIVE = 2**30  # bytes of the archive, which has 248,100,043
# What zipfile, its decompressors and the builder raise for an archive that is not the official one.
DAMAGED = (
    zipfile.BadZipFile,
    KeyError,
    ValueError,
    IndexError,
    AssertionError,
    RuntimeError,
    EOFError,
    MemoryError,
    zlib.error,
    lzma.LZMAError,
)
DESCRIPTION = "Tiny ImageNet: 200 classes of ImageNet with 500 training and 50 test images each, 64 x 64 pixels."


class TinyImagenet(LocalBuilder):
    """Builder of `tiny_imagenet`.

    Args:
      archive: Path of the official zip file; not needed if the set is prepared.
      **options: Arguments of `tfds.core.DatasetBuilder`.
    """

    name = "tiny_imagenet"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "The first release."}  # noqa: RUF012 (name and form are those of tensorflow_datasets)

    def __init__(self, *, archive: str | None = None, **options: Any) -> None:
        self._archive: Any = archive
        super().__init__(**options)

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "image": tfds.features.Image(shape=SHAPE, encoding_format="jpeg"),
            "label": tfds.features.ClassLabel(),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=DESCRIPTION,
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
            homepage="http://cs231n.stanford.edu/reports/2015/pdfs/yle_project.pdf",
            disable_shuffling=True,  # the order is that of the classes and file names
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        del dl_manager  # nothing is downloaded
        with files.open_clamped(self._archive, MOST_ARCHIVE) as file, zipfile.ZipFile(file) as archive:
            names = member(archive, f"{FOLDER}/wnids.txt", MOST_LIST).decode().split()
            images = {"train": training_images(archive, names), "test": annotated_images(archive)}
        unknown = {label for labels in images.values() for label in labels.values()} - set(names)
        if unknown:
            raise ValueError(f"val_annotations.txt names the class {min(unknown)!r}, which wnids.txt does not")
        self.info.features["label"].names = names
        return {split: self._generate_examples(labels) for split, labels in images.items()}

    def _generate_examples(self, images: Mapping[str, str]) -> Iterator[tuple[int, dict[str, Any]]]:
        with files.open_clamped(self._archive, MOST_ARCHIVE) as file, zipfile.ZipFile(file) as archive:
            for index, (path, label) in enumerate(images.items()):
                yield index, {"image": io.BytesIO(member(archive, path, MOST_IMAGE)), "label": label}


def training_images(archive: zipfile.ZipFile, names: Sequence[str]) -> dict[str, str]:
    """Returns path in the archive -> class, for all training images of the classes `names`."""
    classes = set(names)
    images = {}
    for path in sorted(archive.namelist()):
        parts = path.split("/")
        if len(parts) == 5 and parts[1] == "train" and parts[3] == "images" and parts[2] in classes and parts[4]:
            images[path] = parts[2]
    return images


def annotated_images(archive: zipfile.ZipFile) -> dict[str, str]:
    """Returns path in the archive -> class, for all validation images, as val_annotations.txt lists them."""
    lines = member(archive, f"{FOLDER}/val/val_annotations.txt", MOST_LIST).decode().splitlines()
    rows = [line.split("\t") for line in lines if line.strip()]
    return {f"{FOLDER}/val/images/{row[0]}": row[1] for row in rows}


def member(archive: zipfile.ZipFile, path: str, most: int) -> bytes:
    """Reads a file of the archive.

    Raises:
      ValueError: If it has more than `most` bytes, also if the archive states fewer.
      KeyError: If there is no such file.
    """
    if archive.getinfo(path).file_size > most:
        raise ValueError(f"{path} is larger than {most:,} bytes")
    with archive.open(path) as file:
        return file.read(most)


def load(data_dir: str | None = None) -> DataSet:
    """Loads Tiny ImageNet; it is prepared in `data_dir` from the official zip file there if it is not prepared yet.

    Args:
      data_dir: Directory of the zip file or of the prepared set; if None, the default of tensorflow_datasets.

    Raises:
      BadInput: If neither is present, the directory cannot be written, or the zip file is damaged.
    """
    root = Path(data_dir or tfds.core.constants.DATA_DIR).expanduser()
    archive = root / ZIP
    with opening(root, TinyImagenet.name):
        builder = TinyImagenet(data_dir=os.fspath(root), archive=os.fspath(archive))
    if not builder.is_prepared():
        if not files.exists(archive):
            raise BadInput(
                "data_dir",
                root,
                f"contains neither {ZIP} nor a prepared tiny_imagenet; get the file from {ADDRESS} and put it there",
            )
        try:
            files.regular_size(archive, MOST_ARCHIVE)
        except OSError as error:
            raise BadInput("data_dir", root, f"{ZIP} there cannot be read ({error.strerror})") from None
        try:
            prepare(builder)
        except DAMAGED as error:
            if isinstance(error, BadInput):
                raise
            raise BadInput("data_dir", root, f"{ZIP} there is not the official file, or damaged ({error})") from error
    return from_builder("tiny_imagenet", builder, "test", None)
