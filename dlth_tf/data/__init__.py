"""Data sets by name, and the input pipeline whose batches depend on nothing but seed, stream and step.

Importing this package does not import TensorFlow: what a flag names can be checked first.
"""

from __future__ import annotations

from dlth_tf.data.augment import AUGMENTS, Augmentation, augmentation, check_augment
from dlth_tf.data.dataset import DataSet, Split
from dlth_tf.data.load import DATASETS, check_name, keep_last, load
from dlth_tf.data.outline import Outline, of_data, outline
from dlth_tf.data.pipeline import evaluation_batches, train_batches
from dlth_tf.data.preprocess import NORMALIZATIONS, Normalization, normalization
from dlth_tf.data.stream import Stream

__all__ = [
    "AUGMENTS",
    "DATASETS",
    "NORMALIZATIONS",
    "Augmentation",
    "DataSet",
    "Normalization",
    "Outline",
    "Split",
    "Stream",
    "augmentation",
    "check_augment",
    "check_name",
    "evaluation_batches",
    "keep_last",
    "load",
    "normalization",
    "of_data",
    "outline",
    "train_batches",
]
