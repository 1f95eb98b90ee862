"""RandAugment: the layer of keras-cv, with random numbers drawn from (seed, step)."""

from __future__ import annotations

import threading
from typing import Any

import tensorflow as tf

from dlth_tf.errors import BadInput
from dlth_tf.legacy_keras import import_keras_cv

keras_cv: Any = import_keras_cv()

# N = 2 and M = 9 of 30 levels: Cubuk et al., arXiv 1909.13719, for ResNet-50 on ImageNet.
OPERATIONS = 2
MAGNITUDE = 0.3


class Draws(threading.local):
    """A stateless replacement of a layer's random generator: every call draws from the seed set last in this thread."""

    def restart(self, seed: tf.Tensor) -> None:
        """Restarts the sequence of draws from the seed of one image, int64 [2]."""
        self._seed = tf.cast(seed, tf.int64)
        self._number = 0

    def seed(self) -> tf.Tensor:
        """Returns the seed of the next draw, int64 [2]."""
        self._number += 1
        return self._seed + tf.constant([self._number, 0], tf.int64)

    def uniform(self, shape: Any, minval: Any = 0, maxval: Any = None, dtype: Any = tf.float32) -> tf.Tensor:
        """Draws with the arguments of `tf.random.Generator.uniform`."""
        return tf.random.stateless_uniform(
            shape, self.seed(), minval, 1 if maxval is None else maxval, dtype, alg="philox"
        )


class StatelessFactor(keras_cv.core.FactorSampler):
    """A keras-cv factor sampler with the same distribution, drawn from `draws`.

    Args:
      stock: The sampler of keras-cv that is replaced, normal or uniform.
      draws: Source of the seeds.
    """

    def __init__(self, stock: Any, draws: Draws) -> None:
        self._stock = stock
        self._draws = draws

    def __call__(self, shape: Any = (), dtype: Any = "float32") -> tf.Tensor:
        """Draws factors of this shape and dtype."""
        stock = self._stock
        seed = self._draws.seed()
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
    """Applies two random changes of color or shape to each image, with `keras_cv.layers.RandAugment`.

    Reference: Cubuk et al., arXiv 1909.13719.

    Args:
      images: Batch of images, uint8 or float32 [B, H, W, C] with C = 3, or C = 1, which is treated as gray in three
        channels.
      seed: Seed of the draws, int64 [2].
      value_range: Largest possible pixel value.

    Returns:
      The augmented images, float32 [B, H, W, C] with values from 0 to `value_range`.

    Raises:
      BadInput: If the images have another number of channels.
    """
    shape = images.shape[1:]
    if shape[-1] not in (1, 3):
        raise BadInput("augment", "randaugment", f"needs images with 1 or 3 channels, and these have {shape[-1]}")
    scale = 255.0 / value_range
    colored = tf.cast(tf.repeat(images, 3, axis=-1) if shape[-1] == 1 else images, tf.float32) * scale

    def augmented(image_and_seed: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        image, image_seed = image_and_seed
        DRAWS.restart(image_seed)
        return LAYER(image, training=True)

    seeds = tf.random.experimental.stateless_split(seed, tf.shape(images)[0])
    signature = tf.TensorSpec([*shape[:2], 3], tf.float32)
    changed = tf.map_fn(augmented, (colored, seeds), fn_output_signature=signature)
    return tf.clip_by_value(changed[..., : shape[-1]], 0.0, 255.0) / scale
