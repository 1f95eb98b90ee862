"""The dense counterpart of a sparse network, which the same exporter writes for comparison."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import tf_keras

from dlth_tf.masking import named_weights, weight_arrays
from dlth_tf.randomness import generator


@contextlib.contextmanager
def dense_reference(model: tf_keras.Model) -> Iterator[tf_keras.Model]:
    """Fills the zeros of all kernels with noise for the duration of the block, then restores the weights.

    The noise is normal, with the root mean square of the kernel's nonzero weights. zlib compresses it as little as
    trained weights.

    Args:
      model: Stripped Keras model. It is changed in place and restored, even if the block raises.

    Yields:
      The model itself.
    """
    variables = named_weights(model)
    before = weight_arrays(model)
    try:
        for name, value in before.items():
            if value.ndim > 1:
                variables[name].assign(fill_zeros(name, value))
        yield model
    finally:
        for name, value in before.items():
            variables[name].assign(value)


def fill_zeros(name: str, value: np.ndarray) -> np.ndarray:
    """Replaces the zeros of an array by noise that is a pure function of the name and the array.

    Args:
      name: Name of the weight, which selects the noise.
      value: Floating-point array.

    Returns:
      Array of the same shape and dtype, whose nonzero values are those of `value`.
    """
    kept = value[value != 0].astype(np.float64)
    scale = np.sqrt(np.mean(kept**2)) if kept.size else 1.0
    # The text keys the noise: another one would change the bytes that export.json reports for the dense network.
    noise = scale * generator(0, "dense twin", name).standard_normal(value.shape)
    return np.where(value == 0, noise, value).astype(value.dtype)
