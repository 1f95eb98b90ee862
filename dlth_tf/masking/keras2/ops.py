"""TensorFlow's operations for `masking.mask_arithmetic`, under the names of `keras.ops`."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

abs = tf.abs
cast = tf.cast
convert_to_tensor = tf.convert_to_tensor
reshape = tf.reshape
sign = tf.sign
size = tf.size
take = tf.gather
zeros_like = tf.zeros_like
where = tf.where
inverse_permutation = tf.math.invert_permutation


def argsort(values: Any) -> tf.Tensor:
    """Returns the indices that sort a vector; equal values keep their order."""
    return tf.argsort(values, stable=True)


def convert_to_numpy(values: tf.Tensor) -> np.ndarray:
    """Returns an eager tensor as an array."""
    return values.numpy()


def constant(values: Any) -> tf.Tensor:
    """Returns an eager tensor, which a graph captures instead of writing it into itself, however large it is."""
    return tf.constant(values)


def segment_sum(values: Any, segments: Any, number: int) -> tf.Tensor:
    """Returns the sums over segments, which need not be sorted."""
    return tf.math.unsorted_segment_sum(values, segments, number)
