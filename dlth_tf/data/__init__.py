"""Data sets by name, and the input pipeline, whose batches depend on nothing but seed, purpose and step.

Importing this package does not import TensorFlow, so that flags can be checked first.
"""

from __future__ import annotations

from dlth_tf.data.augment.names import AUGMENTS, Augmentation, augmentation, check_augment
from dlth_tf.data.batches import BatchFormat, BatchOrder
from dlth_tf.data.broken_images import broken_images_named
from dlth_tf.data.dataset import DataSet, Split, noun_of
from dlth_tf.data.digest import digest
from dlth_tf.data.disk_split import DiskSplit
from dlth_tf.data.load import keep_last, load, load_for, load_prepared
from dlth_tf.data.names import DATASETS, check_name
from dlth_tf.data.normalize import NORMALIZATIONS, Normalization
from dlth_tf.data.outline import Outline, known_examples, of_data, outline
from dlth_tf.data.pipeline import evaluation_batches, train_batches
from dlth_tf.data.pixel_statistics import check_fits, normalization
from dlth_tf.data.targets import Targets

__all__ = [
    "AUGMENTS",
    "DATASETS",
    "NORMALIZATIONS",
    "Augmentation",
    "BatchFormat",
    "BatchOrder",
    "DataSet",
    "DiskSplit",
    "Normalization",
    "Outline",
    "Split",
    "Targets",
    "augmentation",
    "broken_images_named",
    "check_augment",
    "check_fits",
    "check_name",
    "digest",
    "evaluation_batches",
    "keep_last",
    "known_examples",
    "load",
    "load_for",
    "load_prepared",
    "normalization",
    "noun_of",
    "of_data",
    "outline",
    "train_batches",
]
