"""Normalization: from uint8 pixels to the numbers that a network sees."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dlth_tf.errors import BadInput
from dlth_tf.registry import Registry

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True)
class Normalization:
    """(x * scale - mean) / std, channel by channel.

    Args:
      scale: what a pixel is multiplied by first.
      mean: one per channel, on the scaled pixels.
      std: one per channel, on the scaled pixels, above 0.

    Raises:
      BadInput: a number is not finite, `std` is not above 0, or `mean` and `std` differ in length.
    """

    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std) or not self.mean:
            raise BadInput("normalization", self, "must have one mean and one std per channel")
        if not all(math.isfinite(value) for value in (self.scale, *self.mean, *self.std)) or min(self.std) <= 0:
            raise BadInput("normalization", self, "must have finite numbers, and every std above 0")

    def __call__(self, images: tf.Tensor | np.ndarray, dtype: str = "float32") -> tf.Tensor:
        """Normalises uint8 [..., C] to `dtype` [..., C]; half precisions are rounded once, from float32."""
        import tensorflow as tf

        exact = "float64" if dtype == "float64" else "float32"
        scaled = tf.cast(images, exact) * tf.constant(self.scale, exact)
        return tf.cast((scaled - tf.constant(self.mean, exact)) / tf.constant(self.std, exact), dtype)

    def of_batch(self, images: tf.Tensor, dtype: str = "float32") -> tf.Tensor:
        """The same numbers, bit for bit, of uint8 [B, H, W, C] with H, W, C known while the graph is built.

        A row of pixels is computed as one vector: TensorFlow takes three to five times as long over vectors as short as C.
        """
        import tensorflow as tf

        height, width, channels = images.shape[1:]
        if channels != len(self.mean):
            return self(images, dtype)  # fits by broadcasting, or says what does not fit
        row = Normalization(self.scale, self.mean * width, self.std * width)
        return tf.reshape(row(tf.reshape(images, [-1, width * channels]), dtype), [-1, height, width, channels])

    def to_json(self) -> dict[str, Any]:
        """A value for a JSON file, from which `from_json` makes the same normalisation."""
        return {"scale": self.scale, "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Normalization:
        """The normalisation that `to_json` described.

        Raises:
          BadInput: `value` does not describe one.
        """
        try:
            return cls(float(value["scale"]), tuple(map(float, value["mean"])), tuple(map(float, value["std"])))
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, BadInput):
                raise
            raise BadInput("normalization", value, "must hold scale, mean and std as numbers") from None


NORMALIZATIONS = Registry(
    "normalization",
    {name: f"dlth_tf.data.pixel_statistics:{name}" for name in ("unit", "standard", "imagenet", "none")},
)
