"""Folders of images: `--dataset=folder:PATH`, in the layout of tensorflow_datasets' ImageFolder.

Files and folders whose names begin with a dot are ignored: notebooks, version control and file managers leave them
behind.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from dlth_tf import files
from dlth_tf.data.dataset import DataSet, Split
from dlth_tf.data.disk_split import DiskSplit, ImageFiles
from dlth_tf.data.sets.from_tfds import IMAGE_SIDE, carve
from dlth_tf.errors import BadInput

LAYOUT = (
    "must contain train/CLASS/*.jpg (or .jpeg, .png) and test/CLASS/*.jpg, and may contain validation/CLASS/*.jpg or "
    "val/CLASS/*.jpg"
)
VALIDATION = ("validation", "val")
MOST_IMAGE = 2**28  # bytes of an encoded image
SUFFIXES = (".jpg", ".jpeg", ".png")


def load(path: str, side: int | None = None) -> DataSet:
    """Lists the images of a folder; they stay on disk and are decoded, cropped and resized when they are needed.

    Without a test folder, the validation folder is the test set. Without another validation folder, a tenth of the
    training images validates, class by class. The classes are the names of the folders inside all splits, sorted.

    Args:
      path: Path of the folder.
      side: Side in pixels of the square that is cropped from each image; 224 if None.

    Raises:
      BadInput: If the folder does not exist, cannot be read, or has another layout.
    """
    root = Path(path).expanduser()
    name = f"folder:{path}" + (f"@{side}" if side else "")
    try:
        folders = _folders(root)
        validating = next((folder for folder in VALIDATION if folder in folders), None)
        test = "test" if "test" in folders else validating
        if "train" not in folders or test is None:
            raise BadInput("dataset", name, f"{LAYOUT}; it contains {', '.join(folders) or 'no folders'}")
        classes = sorted({label for folder in folders for label in _folders(root / folder)})
        images = {folder: _images(root / folder) for folder in {"train", test, validating} if folder}
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        raise BadInput("dataset", name, f"{LAYOUT}, and cannot be read ({error.strerror}{where})") from None
    numbers = {label: number for number, label in enumerate(classes)}
    shape = (side or IMAGE_SIDE, side or IMAGE_SIDE, 3)

    def split(folder: str) -> DiskSplit:
        paths = images[folder]
        if not paths:
            raise BadInput("dataset", name, f"{LAYOUT}; there is no image in {folder}")
        labels = np.array([numbers[os.path.basename(os.path.dirname(image))] for image in paths], np.int64)
        return DiskSplit(ImageFiles(paths), np.arange(len(paths)), labels, shape)

    train: Split | DiskSplit = split("train")
    train, validation = carve(train, "folder") if test != "test" or validating is None else (train, split(validating))
    return DataSet(name, train, validation, split(test), tuple(classes), augment="resized_crop")


def _folders(path: Path) -> list[str]:
    """Returns the sorted names of the folders in `path`, without hidden ones."""
    return sorted(name for name in _visible(path) if (path / name).is_dir())


def _images(split: Path) -> list[str]:
    """Returns the sorted paths split/CLASS/IMAGE, without hidden ones."""
    paths = sorted(
        os.path.join(split, label, image)
        for label in _folders(split)
        for image in _visible(split / label)
        if image.lower().endswith(SUFFIXES)
    )
    for path in paths:
        files.regular_size(path, MOST_IMAGE)  # TensorFlow would wait for a pipe, and read a device without end
    return paths


def _visible(path: Path) -> list[str]:
    return [name for name in os.listdir(path) if not name.startswith(".")]
