"""Folders of images: `--dataset=folder:PATH`, in the layout of tensorflow_datasets' ImageFolder.

Files and folders whose names begin with a dot are ignored: notebooks, version control and file managers leave them
behind. The classes are those of the training images, since no network can learn any other.
"""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dlth_tf import files
from dlth_tf.data.dataset import DataSet, Split
from dlth_tf.data.disk_split import DiskSplit, ImageFiles
from dlth_tf.data.sets.from_tfds import IMAGE_SIDE, carve
from dlth_tf.errors import BadInput
from dlth_tf.plain_numbers import whole_or_none

LAYOUT = (
    "must contain train/CLASS/*.jpg (or .jpeg, .png) and test/CLASS/*.jpg, and may contain validation/CLASS/*.jpg, "
    "val/CLASS/*.jpg or valid/CLASS/*.jpg"
)
VALIDATION = ("validation", "val", "valid")
MOST_IMAGE = 2**28  # bytes of an encoded image
SUFFIXES = (".jpg", ".jpeg", ".png")
OTHER_PICTURES = (".avif", ".bmp", ".gif", ".heic", ".jfif", ".jpe", ".jp2", ".ppm", ".tif", ".tiff", ".webp")


Paths = Mapping[str, Sequence[str]]  # of the images of a split, by class


@dataclass
class LeftOut:
    """Entries of folders with images that may have been meant to be images too.

    Attributes:
      pictures: Paths of pictures in other formats.
      folders: Paths of folders inside the folder of a class.
    """

    pictures: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)

    def add(self, label: Path, names: Sequence[str]) -> None:
        """Adds what `names`, in the folder of a class, contains of both."""
        others = sorted(name for name in names if not _is_image(name))
        self.pictures += [os.path.join(label, name) for name in others if name.lower().endswith(OTHER_PICTURES)]
        self.folders += [os.path.join(label, name) for name in others if (label / name).is_dir()]

    def warn(self, name: str) -> None:
        """Logs one sentence about each kind that is not empty."""
        logger = logging.getLogger("dlth_tf")
        if self.pictures:
            kind = f"pictures that do not end with {', '.join(SUFFIXES)}"
            logger.warning(
                "%s: %s are left out: %d, beginning with %s", name, kind, len(self.pictures), self.pictures[0]
            )
        if self.folders:
            kind = "folders inside the folder of a class"
            logger.warning(
                "%s: %s are not searched: %d, beginning with %s", name, kind, len(self.folders), self.folders[0]
            )


def load(path: str, side: int | None = None) -> DataSet:
    """Lists the images of a folder; they stay on disk and are decoded, cropped and resized when they are needed.

    Without a test folder, the validation folder is the test set. Without another validation folder, a tenth of the
    training images validates, class by class. The classes are the names of the folders in the training folder that
    contain images, sorted.

    Args:
      path: Path of the folder.
      side: Side in pixels of the square that is cropped from each image; 224 if None.

    Raises:
      BadInput: If the folder does not exist, cannot be read, or has another layout, or if a split has images of a class
        without training images.
    """
    root = Path(path).expanduser()
    side = whole_or_none("side", side, least=1)
    name = f"folder:{path}" + (f"@{side}" if side else "")
    try:
        folders = _folders(root, ("train", "test", *VALIDATION))
        validating = next((folder for folder in VALIDATION if folder in folders), None)
        test = "test" if "test" in folders else validating
        if "train" not in folders or test is None:
            raise BadInput("dataset", name, f"{LAYOUT}; it contains {', '.join(folders) or 'no folders'}")
        left_out = LeftOut()
        parts = [folder for folder in dict.fromkeys(("train", test, validating)) if folder]
        images = {folder: _images(root / folder, left_out) for folder in parts}
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        raise BadInput("dataset", name, f"{LAYOUT}, and cannot be read ({error.strerror}){where}") from None
    _warn_of_empty_folders(name, root, images)
    left_out.warn(name)
    classes = [label for label, paths in images["train"].items() if paths]
    for folder in images:
        _check_classes(name, root / folder, images[folder], classes)
    shape = (side or IMAGE_SIDE, side or IMAGE_SIDE, 3)

    def split(folder: str) -> DiskSplit:
        number_of = {image: number for number, label in enumerate(classes) for image in images[folder].get(label, ())}
        paths = sorted(number_of)
        labels = np.array([number_of[image] for image in paths], np.int64)
        return DiskSplit(ImageFiles(paths), np.arange(len(paths)), labels, shape)

    train: Split | DiskSplit = split("train")
    if test != "test" or validating is None:
        train, validation = carve(train, "folder", name)
    else:
        validation = split(validating)
    return DataSet(name, train, validation, split(test), tuple(classes), augment="resized_crop")


def _check_classes(name: str, folder: Path, images: Paths, classes: Sequence[str]) -> None:
    """Raises BadInput if a split has no images, or images of a class that has none for training."""
    if not any(images.values()):
        raise BadInput("dataset", name, f"{LAYOUT}; there is no image in {folder.name}/CLASS")
    for label, paths in images.items():
        if paths and label not in classes:
            train = folder.with_name("train") / label
            raise BadInput(
                "dataset",
                name,
                f"must have training images of every class; {folder / label} contains {len(paths)} images, and "
                f"{train} {'contains none' if train.is_dir() else 'does not exist'}",
            )


def _warn_of_empty_folders(name: str, root: Path, images: Mapping[str, Paths]) -> None:
    """Logs one sentence about the class folders that contain no images."""
    empty = [
        root / folder / label for folder, classes in images.items() for label, paths in classes.items() if not paths
    ]
    if empty:
        logging.getLogger("dlth_tf").warning(
            "%s: %s without a file that ends with %s %s ignored: %s",
            name,
            "folders" if len(empty) > 1 else "a folder",
            ", ".join(SUFFIXES),
            "are" if len(empty) > 1 else "is",
            ", ".join(f"{path} ({_contents(path)})" for path in empty),
        )


def _contents(path: Path) -> str:
    count = len(os.listdir(path))
    return f"{count} other entries" if count > 1 else f"{os.listdir(path)[0]} alone" if count else "empty"


def _folders(path: Path, needed: Sequence[str] | None = None) -> list[str]:
    """Returns the sorted names of the folders in `path`, without hidden ones.

    Args:
      path: Folder to list.
      needed: Names that must not be links to nothing, since these may be meant to be folders; all if None.

    Raises:
      OSError: If `path` or one of its links cannot be read.
    """
    names = _visible(path)
    for name in names if needed is None else needed:
        if (path / name).is_symlink():
            (path / name).stat()  # raises what is wrong with it
    return sorted(name for name in names if (path / name).is_dir())


def _images(split: Path, left_out: LeftOut) -> dict[str, list[str]]:
    """Returns the paths split/CLASS/IMAGE by class, in the order of the classes, without hidden ones.

    Args:
      split: Folder of the split.
      left_out: What folders with images contain besides them is added to it.
    """
    images = {}
    for label in _folders(split):
        names = _visible(split / label)
        images[label] = [os.path.join(split, label, image) for image in names if _is_image(image)]
        if images[label]:
            left_out.add(split / label, names)
    for path in itertools.chain.from_iterable(images.values()):
        files.regular_size(path, MOST_IMAGE)  # TensorFlow would wait for a pipe, and read a device without end
    return images


def _is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _visible(path: Path) -> list[str]:
    return [name for name in os.listdir(path) if not name.startswith(".")]
