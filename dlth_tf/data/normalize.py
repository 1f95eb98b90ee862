"""Normalization: from stored values to the numbers that a network is fed, and the registry of normalizations."""

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


RAW = ("uint8", "float32", "int32")  # dtypes of examples as they are stored


@dataclass(frozen=True)
class Normalization:
    """The map x -> (x * scale - mean) / std, channel by channel; a channel is an index of the last axis.

    The identity of int32 values, tokens, leaves them integers.

    Attributes:
      scale: Factor applied to a pixel first.
      mean: Mean of each channel, after scaling.
      std: Standard deviation of each channel, after scaling, above 0.
      raw: Dtype of the values before normalization, which a served network takes: "uint8", "float32" or "int32".

    Raises:
      BadInput: If a number is not finite, `std` is not above 0, `mean` and `std` differ in length, or `raw` is another
        dtype.
    """

    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    raw: str = "uint8"

    def __post_init__(self) -> None:
        store(
            self,
            scale=real_number("scale", self.scale),
            mean=tuple(real_number("mean", value) for value in self.mean),
            std=tuple(real_number("std", value, ABOVE_0) for value in self.std),
        )
        if len(self.mean) != len(self.std) or not self.mean:
            raise BadInput("normalization", self, "must have one mean and one std per channel")
        if self.raw not in RAW:
            raise BadInput("raw", self.raw, f"must be one of {', '.join(RAW)}")

    def __call__(self, images: tf.Tensor | np.ndarray, dtype: str = "float32") -> tf.Tensor:
        """Normalizes images.

        Args:
          images: Pixels or other numbers, `raw` [..., C].
          dtype: Name of the dtype of the result; half precisions are rounded once, from float32.

        Returns:
          The normalized images, `dtype` [..., C]; int32 if they are tokens.
        """
        import tensorflow as tf

        if self.keeps_tokens:
            return tf.cast(images, "int32")
        exact = "float64" if dtype == "float64" else "float32"
        scaled = tf.cast(images, exact) * tf.constant(self.scale, exact)
        return tf.cast((scaled - tf.constant(self.mean, exact)) / tf.constant(self.std, exact), dtype)

    def of_batch(self, images: tf.Tensor, dtype: str = "float32") -> tf.Tensor:
        """Normalizes a batch to the same bits as a call, but faster.

        A row of pixels is computed as one vector: TensorFlow takes three to five times as long for vectors as short as
        C.

        Args:
          images: Batch of examples, `raw` [B, ..., C] with all but B known while the graph is built.
          dtype: Name of the dtype of the result.

        Returns:
          The normalized images, of the same shape.
        """
        import tensorflow as tf

        shape = images.shape[1:]
        if len(shape) < 2 or shape[-1] != len(self.mean) or self.keeps_tokens:
            return self(images, dtype)  # broadcasts, or raises an error that names both shapes
        row = Normalization(self.scale, self.mean * shape[-2], self.std * shape[-2], self.raw)
        return tf.reshape(row(tf.reshape(images, [-1, shape[-2] * shape[-1]]), dtype), [-1, *shape])

    @property
    def keeps_tokens(self) -> bool:
        """True if values stay the integers that they are."""
        return self.raw == "int32" and self.scale == 1 and not any(self.mean) and set(self.std) == {1.0}

    def to_json(self) -> dict[str, Any]:
        """Returns a value for a JSON file that `from_json` converts back."""
        raw = {} if self.raw == "uint8" else {"raw": self.raw}
        return {"scale": self.scale, "mean": list(self.mean), "std": list(self.std), **raw}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Normalization:
        """Returns the normalization that `to_json` described.

        Args:
          value: Mapping with the keys "scale", "mean" and "std", and "raw" unless that is uint8.

        Raises:
          BadInput: If `value` does not describe a normalization.
        """
        try:
            numbers = float(value["scale"]), tuple(map(float, value["mean"])), tuple(map(float, value["std"]))
            return cls(*numbers, value.get("raw", "uint8"))
        except BadInput as refused:
            raise BadInput("normalization", value, f"its {refused.thing} {refused.allowed}") from None
        except (KeyError, TypeError, ValueError):
            raise BadInput("normalization", value, "must contain scale, mean and std as numbers") from None


# Each entry is a function (DataSet) -> Normalization. They measure examples, so they import more than this module may.
NORMALIZATIONS = Registry(
    "normalization",
    {name: f"dlth_tf.data.pixel_statistics:{name}" for name in ("unit", "standard", "imagenet", "none")},
)
