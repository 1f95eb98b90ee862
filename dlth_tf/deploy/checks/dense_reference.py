"""The dense twin of a sparse network: the same one with no zeros in it, for comparisons with the same exporter's dense model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import tf_keras

from dlth_tf.masking import named_weights
from dlth_tf.randomness import generator


@contextlib.contextmanager
def dense_twin(model: tf_keras.Model) -> Iterator[tf_keras.Model]:
    """The model itself, with noise for its kernels' zeros as long as the block lasts; afterwards its weights are what they were.

    The noise is normal with the root mean square of what the kernel keeps: zlib finds as little in it as in trained weights.
    """
    variables = named_weights(model)
    before = {name: variable.numpy() for name, variable in variables.items()}
    try:
        for name, value in before.items():
            if value.ndim > 1:
                variables[name].assign(filled(name, value))
        yield model
    finally:
        for name, value in before.items():
            variables[name].assign(value)


def filled(name: str, value: np.ndarray) -> np.ndarray:
    """The array with noise for its zeros, a pure function of the name and the array."""
    kept = value[value != 0].astype(np.float64)
    scale = np.sqrt(np.mean(kept**2)) if kept.size else 1.0
    noise = scale * generator(0, "dense twin", name).standard_normal(value.shape)
    return np.where(value == 0, noise, value).astype(value.dtype)
