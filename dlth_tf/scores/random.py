"""Random scores: the ticket of the Dual Lottery Ticket Hypothesis (Bai et al., ICLR 2022, definition 3)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dlth_tf.randomness import generator


def random(shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, np.ndarray]:
    """A uniform random score in [0, 1) for every weight, so that keeping the highest k is a uniform choice of k.

    Each tensor has a Philox stream of its own, keyed by (seed, its name): the order of the layers, the device, the
    number of replicas and the process make no difference.

    Returns:
      name -> float64 array of the tensor's shape.
    """
    return {name: generator(seed, "ticket", name).random(shape) for name, shape in shapes.items()}
