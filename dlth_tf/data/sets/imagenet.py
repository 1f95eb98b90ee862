"""ImageNet 2012, and 200 of its classes.

The 50,000 images of the official validation split are the test set, as in all published results; the official test
images have no public labels. The validation set is 10,000 of the training images.
"""

from __future__ import annotations

import dataclasses
from importlib import resources
from pathlib import Path
from typing import cast

import numpy as np
import tensorflow_datasets as tfds

from dlth_tf.data.dataset import DataSet
from dlth_tf.data.disk_split import DiskSplit
from dlth_tf.data.sets.from_tfds import carve, from_builder, open_builder
from dlth_tf.errors import BadInput

CLASSES = 200
DRAW_SEED = 0  # of the classes of imagenet200
LIST = "imagenet200.txt"


def imagenet2012(data_dir: str | None = None, side: int | None = None) -> DataSet:
    """Loads all 1,000 classes.

    Args:
      data_dir: Directory in which tensorflow_datasets prepared it; if None, the default of tensorflow_datasets.
      side: Side in pixels of the square that is cropped from each image; 224 if None.

    Raises:
      BadInput: If the set is not prepared there, or damaged.
    """
    name = "imagenet2012"
    root = Path(data_dir or tfds.core.constants.DATA_DIR)
    archives = "ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar (from image-net.org, after registering)"
    command = f"`tfds build {name} --data_dir={root}`"
    builder = open_builder(
        name, data_dir, f"put {archives} into {root}/downloads/manual and run {command}, or name another data_dir"
    )
    missing = {"train", "validation"} - set(builder.info.splits)
    if missing:
        raise BadInput(
            "dataset", name, f"was prepared in {builder.data_dir} without its {' and '.join(sorted(missing))} split"
        )
    dataset = from_builder(name, builder, "validation", side)
    return dataclasses.replace(dataset, normalization="imagenet")


def imagenet200(data_dir: str | None = None, side: int | None = None) -> DataSet:
    """Loads the 200 classes that imagenet200.txt lists, from a prepared imagenet2012.

    The list of the DLTH paper is not published. This one was drawn once, with seed 0, and is used by every run; numbers
    on it can be compared with each other and not with the paper's.

    Args:
      data_dir: Directory in which tensorflow_datasets prepared imagenet2012; if None, the default of
        tensorflow_datasets.
      side: Side in pixels of the square that is cropped from each image; 224 if None.

    Raises:
      BadInput: If imagenet2012 is not prepared there, or damaged.
    """
    whole = imagenet2012(data_dir, side)
    numbers = {name: number for number, name in enumerate(whole.label_names)}
    names = tuple(sorted(class_names(), key=numbers.__getitem__))
    kept = np.array([numbers[name] for name in names])
    learned = cast(DiskSplit, whole.train)
    validating = cast(DiskSplit, whole.validation)
    both = dataclasses.replace(
        learned,
        indices=np.concatenate([learned.indices, validating.indices]),
        labels=np.concatenate([learned.labels, validating.labels]),
    )
    train, validation = carve(_of_classes(both, kept), "imagenet200")
    test = _of_classes(cast(DiskSplit, whole.test), kept)
    return dataclasses.replace(
        whole, name="imagenet200", train=train, validation=validation, test=test, label_names=names
    )


def class_names() -> tuple[str, ...]:
    """Returns the WordNet ids of imagenet200's classes, in the order of their file."""
    lines = resources.files("dlth_tf.data.sets").joinpath(LIST).read_text().splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))


def _of_classes(split: DiskSplit, kept: np.ndarray) -> DiskSplit:
    """Returns the examples whose label is in `kept`, ascending int64 [K], with labels renumbered from 0 to K - 1."""
    order = np.argsort(split.indices, kind="stable")
    examples = split.subset(order[np.isin(split.labels[order], kept)])
    return dataclasses.replace(examples, labels=np.searchsorted(kept, examples.labels))
