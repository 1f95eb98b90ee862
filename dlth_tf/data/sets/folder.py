"""Folders of images: `--dataset=folder:PATH`, laid out as tensorflow_datasets' ImageFolder wants it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from dlth_tf.data.dataset import DataSet, Split
from dlth_tf.data.disk_split import DiskSplit, ImageFiles
from dlth_tf.data.sets.from_tfds import IMAGE_SIDE, carve
from dlth_tf.data.sets.tfds_reader import quiet
from dlth_tf.errors import BadInput

LAYOUT = "must hold train/CLASS/*.jpg (or .jpeg, .png) and test/CLASS/*.jpg, and may hold validation/CLASS/*.jpg or val/CLASS/*.jpg"
VALIDATION = ("validation", "val")


def load(path: str, side: int | None = None) -> DataSet:
    """Reads which images there are; they stay on disk and are decoded, cut and resized as they are needed.

    Without a test folder the validation folder is the test set; without a validation folder besides, a tenth of the training
    images validates, class by class.

    Args:
      path: the folder.
      side: of the square that is cut out of each image, in pixels; 224 when not given.

    Raises:
      BadInput: there is no such folder, or it is not laid out so.
    """
    root, name = Path(path).expanduser(), f"folder:{path}" + (f"@{side}" if side else "")
    try:
        folders = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
    except OSError as error:
        raise BadInput("dataset", name, f"{LAYOUT}, and cannot be read ({error.strerror})") from None
    validating = next((folder for folder in VALIDATION if folder in folders), None)
    test = "test" if "test" in folders else validating
    if "train" not in folders or test is None:
        raise BadInput("dataset", name, f"{LAYOUT}; it holds {', '.join(folders) or 'no folders'}")
    with quiet():
        builder = tfds.ImageFolder(os.fspath(root))
    names = tuple(builder.info.features["label"].names)
    numbers = {name: number for number, name in enumerate(names)}
    shape = (side or IMAGE_SIDE, side or IMAGE_SIDE, 3)

    def part(folder: str) -> DiskSplit:
        found = sorted(builder._split_examples.get(folder, []))  # as_dataset gives no way to read one of them
        if not found:
            raise BadInput("dataset", name, f"{LAYOUT}; there is no image in {folder}")
        labels = np.array([numbers[example.label] for example in found], np.int64)
        return DiskSplit(ImageFiles([example.image_path for example in found]), np.arange(len(found)), labels, shape)

    train: Split | DiskSplit = part("train")
    train, validation = carve(train, "folder") if test != "test" or validating is None else (train, part(validating))
    return DataSet(name, train, validation, part(test), names, augment="resized_crop")
