"""Data sets by name, and the input pipeline whose batches depend on nothing but seed, stream and step.

Importing this package does not import TensorFlow: what a flag names can be checked first.
"""

from __future__ import annotations

from dlth_tf.data.augment import AUGMENTS
from dlth_tf.data.dataset import DataSet, Split
from dlth_tf.data.load import DATASETS, check_name, load
from dlth_tf.data.pipeline import evaluation_batches, train_batches
from dlth_tf.data.preprocess import NORMALIZATIONS, Normalization, normalization

__all__ = [
    "AUGMENTS",
    "DATASETS",
    "NORMALIZATIONS",
    "DataSet",
    "Normalization",
    "Split",
    "check_name",
    "evaluation_batches",
    "load",
    "normalization",
    "train_batches",
]
