"""The schedule and the random growth scores of the tests of DynamicSparsity."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from dlth_tf.randomness import stateless_seed
from tests.callbacks.linear import NAME

SCHEDULE = {"fraction": 0.9, "every": 3, "stop": 11}


def random_scores(seed: int, event: int, count: int, dtype: str = "float32") -> np.ndarray:
    """Returns the growth scores of SET's exchange `event`, from 0."""
    high, low = stateless_seed(seed, "growth", NAME)
    return tf.random.stateless_uniform(
        [count], tf.constant([high, low + event], tf.int64), dtype=dtype, alg="philox"
    ).numpy()
