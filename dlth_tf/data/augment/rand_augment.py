"""RandAugment: keras-cv's layer, with its random numbers drawn from (seed, step)."""

from __future__ import annotations

import threading
from typing import Any

import tensorflow as tf

from dlth_tf.errors import BadInput
from dlth_tf.legacy_keras import import_keras_cv

keras_cv: Any = import_keras_cv()

OPERATIONS, MAGNITUDE = (
    2,
    0.3,
)  # N = 2 and M = 9 of 30 levels: Cubuk et al., arXiv 1909.13719, for ResNet-50 on ImageNet


class Draws(threading.local):
    """What a layer takes for its random generator: every call is a stateless draw of its own from the seed set last (in this thread)."""

    def restart(self, seed: tf.Tensor) -> None:
        """From here on, draws come from `seed`, int64 [2]: one image's."""
        self._seed, self._number = tf.cast(seed, tf.int64), 0

    def seed(self) -> tf.Tensor:
        """The next draw's own seed."""
        self._number += 1
        return self._seed + tf.constant([self._number, 0], tf.int64)

    def uniform(self, shape: Any, minval: Any = 0, maxval: Any = None, dtype: Any = tf.float32) -> tf.Tensor:
        """As `tf.random.Generator.uniform`."""
        return tf.random.stateless_uniform(
            shape, self.seed(), minval, 1 if maxval is None else maxval, dtype, alg="philox"
        )


class StatelessFactor(keras_cv.core.FactorSampler):
    """A keras-cv factor sampler (normal or uniform) with the same distribution, drawn from `draws`."""

    def __init__(self, stock: Any, draws: Draws) -> None:
        self._stock, self._draws = stock, draws

    def __call__(self, shape: Any = (), dtype: Any = "float32") -> tf.Tensor:
        """Draws."""
        stock, seed = self._stock, self._draws.seed()
        if isinstance(stock, keras_cv.core.UniformFactorSampler):
            return tf.random.stateless_uniform(shape, seed, stock.lower, stock.upper, dtype, alg="philox")
        values = tf.random.stateless_normal(shape, seed, stock.mean, stock.stddev, dtype, alg="philox")
        return tf.clip_by_value(values, stock.min_value, stock.max_value)


def stateless(layer: Any) -> Draws:
    """Makes a RandAugment layer and all layers inside it draw from one `Draws`, which is returned."""
    draws = Draws()
    for part in (layer, layer._random_choice, *layer.layers):
        part._random_generator = draws
        for name, value in list(vars(part).items()):
            if isinstance(value, keras_cv.core.NormalFactorSampler | keras_cv.core.UniformFactorSampler):
                setattr(part, name, StatelessFactor(value, draws))
    return draws


LAYER = keras_cv.layers.RandAugment((0, 255), OPERATIONS, MAGNITUDE, seed=1)
DRAWS = stateless(LAYER)


def randaugment(images: tf.Tensor, seed: tf.Tensor, value_range: int = 255) -> tf.Tensor:
    """Two random changes of colour or shape to each image (Cubuk et al., arXiv 1909.13719), by `keras_cv.layers.RandAugment`.

    Args:
      images: uint8 or float32 [B, H, W, C] with C = 3, or C = 1, which is treated as a grey picture in three channels.
      seed: int64 [2].
      value_range: the largest value that a pixel can have.

    Returns:
      float32 [B, H, W, C] with values from 0 to `value_range`.

    Raises:
      BadInput: another number of channels.
    """
    shape = images.shape[1:]
    if shape[-1] not in (1, 3):
        raise BadInput("augment", "randaugment", f"works on images with 1 or 3 channels, and these have {shape[-1]}")
    scale = 255.0 / value_range
    coloured = tf.cast(tf.repeat(images, 3, axis=-1) if shape[-1] == 1 else images, tf.float32) * scale

    def one(both: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        DRAWS.restart(both[1])
        return LAYER(both[0], training=True)

    seeds = tf.random.experimental.stateless_split(seed, tf.shape(images)[0])
    changed = tf.map_fn(one, (coloured, seeds), fn_output_signature=tf.TensorSpec([*shape[:2], 3], tf.float32))
    return tf.clip_by_value(changed[..., : shape[-1]], 0.0, 255.0) / scale
