"""How uint8 pixels become the numbers that a network sees."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dlth_tf.data.parallel import cores, options
from dlth_tf.data.stream import Stream
from dlth_tf.errors import BadInput
from dlth_tf.randomness import generator
from dlth_tf.registry import Registry

if TYPE_CHECKING:
    import tensorflow as tf

    from dlth_tf.data.dataset import DataSet, Split

CHUNK = 4096  # images counted at a time, so that the counting needs little memory beside the images
SAMPLE = 2048  # images that are decoded to measure a training split on disk
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's pixels from 0 to 1, as everyone uses them


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


def unit(dataset: DataSet) -> Normalization:
    """x / value_range: pixels from 0 to 1."""
    return _plain(1.0 / dataset.value_range, dataset)


def standard(dataset: DataSet) -> Normalization:
    """`unit`, then mean 0 and standard deviation 1 per channel over the training split; of one on disk, over 2,048 of its images."""
    channels, scale = dataset.image_shape[-1], 1.0 / dataset.value_range
    counts = np.zeros((channels, 256), np.int64)  # of every pixel value: sums over counts are exact, whatever the order
    for chunk in _chunks(dataset.train):
        for channel in range(channels):
            counts[channel] += np.bincount(chunk[..., channel].ravel(), minlength=256)
    values = np.arange(256, dtype=np.float64) * scale
    share = counts / counts.sum(axis=1, keepdims=True)
    mean = share @ values
    std = np.sqrt((share * (values - mean[:, None]) ** 2).sum(axis=1))
    std[std == 0] = 1.0  # a channel that is the same everywhere says nothing, at any scale
    return Normalization(scale, tuple(mean.tolist()), tuple(std.tolist()))


def _chunks(split: Split | Stream) -> Iterator[np.ndarray]:
    """uint8 [?, H, W, C], the images of a split in memory, or a sample of one on disk that is always the same."""
    if not isinstance(split, Stream):
        yield from (split.images[start : start + CHUNK] for start in range(0, len(split), CHUNK))
        return
    import tensorflow as tf

    order = np.argsort(generator(0, "normalization sample").bit_generator.random_raw(len(split)), kind="stable")
    places = tf.data.Dataset.from_tensor_slices(np.sort(order[:SAMPLE]))
    yield from places.map(split.image, num_parallel_calls=cores()).batch(64).with_options(options()).as_numpy_iterator()


def imagenet(dataset: DataSet) -> Normalization:
    """`unit`, then the mean and deviation of ImageNet, whatever the data set.

    Raises:
      BadInput: the images do not have three channels.
    """
    if dataset.image_shape[-1] != 3:
        raise BadInput("normalization", "imagenet", f"is for images with 3 channels, and these have {dataset.image_shape[-1]}")
    return Normalization(1.0 / dataset.value_range, IMAGENET_MEAN, IMAGENET_STD)


def none(dataset: DataSet) -> Normalization:
    """The pixels as they are."""
    return _plain(1.0, dataset)


def _plain(scale: float, dataset: DataSet) -> Normalization:
    channels = dataset.image_shape[-1]
    return Normalization(scale, (0.0,) * channels, (1.0,) * channels)


NORMALIZATIONS = Registry("normalization", {name: f"{__name__}:{name}" for name in ("unit", "standard", "imagenet", "none")})


def normalization(dataset: DataSet, name: str | None = None) -> Normalization:
    """The normalisation of that name for `dataset`, or the data set's own when no name is given.

    Raises:
      BadInput: no such normalisation.
    """
    return NORMALIZATIONS.load(name or dataset.normalization)(dataset)
