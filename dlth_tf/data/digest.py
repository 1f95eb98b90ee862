"""Digests of data sets: whether two runs have seen the same examples, and a stored training is that of these."""

from __future__ import annotations

import numpy as np

from dlth_tf import files
from dlth_tf.data.dataset import DataSet, Split
from dlth_tf.data.disk_split import DiskSplit


def digest(data: DataSet) -> str:
    """Returns the SHA-256 over the labels and examples of all three parts, in hexadecimal digits.

    Images on disk are not read: they count by the names of their files, or by their places in the files of
    tensorflow_datasets, so a picture that is exchanged for another one of the same name goes unnoticed.
    """
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    return files.arrays_sha256(
        {f"{part}/{name}": array for part, split in parts.items() for name, array in _arrays(split).items()}
    )


def _arrays(split: Split | DiskSplit) -> dict[str, np.ndarray]:
    if isinstance(split, Split):
        return {"labels": split.labels, "images": split.images}
    shape = np.array([*split.image_shape, split.one_size])
    return {"labels": split.labels, "shape": shape, **split.source.outlined(split.indices)}
