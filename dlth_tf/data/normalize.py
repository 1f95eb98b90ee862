"""Normalization: from uint8 pixels to the numbers that a network is fed, and the registry of normalizations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dlth_tf.errors import BadInput
from dlth_tf.plain_numbers import ABOVE_0, real_number, store
from dlth_tf.registry import Registry

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True)
class Normalization:
    """The map x -> (x * scale - mean) / std, channel by channel.

    Attributes:
      scale: Factor applied to a pixel first.
      mean: Mean of each channel, after scaling.
      std: Standard deviation of each channel, after scaling, above 0.

    Raises:
      BadInput: If a number is not finite, `std` is not above 0, or `mean` and `std` differ in length.
    """

    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        store(
            self,
            scale=real_number("scale", self.scale),
            mean=tuple(real_number("mean", value) for value in self.mean),
            std=tuple(real_number("std", value, ABOVE_0) for value in self.std),
        )
        if len(self.mean) != len(self.std) or not self.mean:
            raise BadInput("normalization", self, "must have one mean and one std per channel")

    def __call__(self, images: tf.Tensor | np.ndarray, dtype: str = "float32") -> tf.Tensor:
        """Normalizes images.

        Args:
          images: Pixels, uint8 [..., C].
          dtype: Name of the dtype of the result; half precisions are rounded once, from float32.

        Returns:
          The normalized images, `dtype` [..., C].
        """
        import tensorflow as tf

        exact = "float64" if dtype == "float64" else "float32"
        scaled = tf.cast(images, exact) * tf.constant(self.scale, exact)
        return tf.cast((scaled - tf.constant(self.mean, exact)) / tf.constant(self.std, exact), dtype)

    def of_batch(self, images: tf.Tensor, dtype: str = "float32") -> tf.Tensor:
        """Normalizes a batch to the same bits as a call, but faster.

        A row of pixels is computed as one vector: TensorFlow takes three to five times as long for vectors as short as
        C.

        Args:
          images: Batch of images, uint8 [B, H, W, C] with H, W, C known while the graph is built.
          dtype: Name of the dtype of the result.

        Returns:
          The normalized images, `dtype` [B, H, W, C].
        """
        import tensorflow as tf

        height, width, channels = images.shape[1:]
        if channels != len(self.mean):
            return self(images, dtype)  # broadcasts, or raises an error that names both shapes
        row = Normalization(self.scale, self.mean * width, self.std * width)
        return tf.reshape(row(tf.reshape(images, [-1, width * channels]), dtype), [-1, height, width, channels])

    def to_json(self) -> dict[str, Any]:
        """Returns a value for a JSON file that `from_json` converts back."""
        return {"scale": self.scale, "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Normalization:
        """Returns the normalization that `to_json` described.

        Args:
          value: Mapping with the keys "scale", "mean" and "std".

        Raises:
          BadInput: If `value` does not describe a normalization.
        """
        try:
            return cls(float(value["scale"]), tuple(map(float, value["mean"])), tuple(map(float, value["std"])))
        except BadInput as refused:
            raise BadInput("normalization", value, f"its {refused.thing} {refused.allowed}") from None
        except (KeyError, TypeError, ValueError):
            raise BadInput("normalization", value, "must contain scale, mean and std as numbers") from None


# Each entry is a function (DataSet) -> Normalization. They measure images, so they import more than this module may.
NORMALIZATIONS = Registry(
    "normalization",
    {name: f"dlth_tf.data.pixel_statistics:{name}" for name in ("unit", "standard", "imagenet", "none")},
)
