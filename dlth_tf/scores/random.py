"""Random scores: the ticket of the Dual Lottery Ticket Hypothesis (Bai et al., ICLR 2022, definition 3)."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from dlth_tf.randomness import generator


def random(shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, np.ndarray]:
    """Draws a uniform score in [0, 1) for every weight, so that keeping the highest k is a uniform choice of k.

    Each tensor has its own Philox stream, keyed by (seed, its name): the result does not depend on the order of the
    layers, the device, the number of replicas or the process.

    Args:
      shapes: Tensor name -> shape.
      seed: Any integer.

    Returns:
      Tensor name -> float64 array of the tensor's shape.
    """
    return {name: _uniform(generator(seed, "ticket", name), shape) for name, shape in shapes.items()}


def _uniform(stream: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Doubles in [0, 1) from the bit generator's raw output, which NumPy guarantees across its versions."""
    raw = stream.bit_generator.random_raw(math.prod(shape))
    return ((raw >> np.uint64(11)) * 2.0**-53).reshape(shape)
