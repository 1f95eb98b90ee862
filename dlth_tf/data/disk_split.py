"""A split whose images stay on disk: any example can be read by its number, so a batch of any step is had at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from dlth_tf.data.tfrecord_index import Records
from dlth_tf.errors import BadInput

if TYPE_CHECKING:
    import tensorflow as tf

MARGIN = 256 / 224  # the shorter side of a picture to the side of the centre crop, as everyone evaluates ImageNet


class Source(Protocol):
    """Encoded images by their number."""

    def encoded(self, index: tf.Tensor) -> tf.Tensor:
        """The bytes of the JPEG or PNG file, a scalar string."""


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Every image is a file.

    Args:
      paths: of the images; tf.io reads them, so they may be remote.
    """

    paths: Sequence[str]

    def encoded(self, index: tf.Tensor) -> tf.Tensor:
        """The bytes of the JPEG or PNG file, a scalar string."""
        import tensorflow as tf

        with tf.init_scope():
            paths = tf.constant(list(self.paths))
        return tf.io.read_file(paths[index])


@dataclass(frozen=True, eq=False)
class ImageRecords:
    """The images lie in record files.

    Args:
      records: where each one is.
      image: the name of the feature that holds it.
    """

    records: Records
    image: str

    def encoded(self, index: tf.Tensor) -> tf.Tensor:
        """The bytes of the JPEG or PNG file, a scalar string."""
        import tensorflow as tf

        record = tf.numpy_function(self.records.read, [index], tf.string, stateful=False)
        return tf.io.parse_single_example(
            tf.ensure_shape(record, []), {self.image: tf.io.FixedLenFeature([], tf.string)}
        )[self.image]


@dataclass(frozen=True, eq=False)
class DiskSplit:
    """Some examples of a source, and how its images become arrays of one shape.

    Args:
      source: where the encoded images are.
      indices: int64 [N], which of them.
      labels: int64 [N], class numbers from 0.
      image_shape: (height, width, channels) of what comes out.
      one_size: whether the stored images have that shape already. Else a crop is cut out of each and resized: in evaluation the
        middle, of the shorter side divided by 256 / 224; in training a random part where the augmentation has `resized_crop`.

    Raises:
      BadInput: no examples, or not one label for each.
    """

    source: Source
    indices: np.ndarray
    labels: np.ndarray
    image_shape: tuple[int, int, int]
    one_size: bool = False

    def __post_init__(self) -> None:
        if not len(self.indices) or len(self.labels) != len(self.indices):
            raise BadInput(
                "dataset",
                f"{len(self.indices)} images and {len(self.labels)} labels",
                "must have one label per image, and some",
            )

    def __len__(self) -> int:
        return len(self.indices)

    def subset(self, chosen: np.ndarray) -> DiskSplit:
        """The examples at the places `chosen`, int64."""
        return replace(self, indices=self.indices[chosen], labels=self.labels[chosen])

    def image(self, place: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        """One image, uint8 [H, W, C].

        Args:
          place: int64 scalar, from 0 to N - 1.
          seed: int64 [2], of a random crop and mirroring; the middle is cut out when not given.
        """
        import tensorflow as tf

        with tf.init_scope():
            indices = tf.constant(self.indices)
        return decoded(self.source.encoded(indices[place]), self.image_shape, seed, self.one_size)


def decoded(encoded: tf.Tensor, shape: tuple[int, int, int], seed: tf.Tensor | None, one_size: bool) -> tf.Tensor:
    """A JPEG or PNG as uint8 `shape`; of a JPEG only the part that is cut out is decoded, which takes half the time."""
    import tensorflow as tf

    from dlth_tf.data.augment import crops

    channels = shape[-1]
    if one_size and seed is None:
        return tf.ensure_shape(tf.io.decode_image(encoded, channels, expand_animations=False), shape)

    def box(size: tf.Tensor) -> tf.Tensor:
        return middle(size, shape) if seed is None else crops.random_box(size, seed)

    def jpeg() -> tf.Tensor:
        return tf.io.decode_and_crop_jpeg(encoded, box(tf.io.extract_jpeg_shape(encoded)), channels)

    def other() -> tf.Tensor:
        whole = tf.io.decode_image(encoded, channels, expand_animations=False)
        top, left, high, wide = tf.unstack(box(tf.shape(whole)))
        return whole[top : top + high, left : left + wide]

    cut = tf.ensure_shape(tf.cond(tf.io.is_jpeg(encoded), jpeg, other), [None, None, channels])
    image = crops.resized(cut, shape[:2])
    return tf.ensure_shape(image if seed is None else crops.mirrored(image, seed), shape)


def middle(size: tf.Tensor, shape: tuple[int, int, int]) -> tf.Tensor:
    """int32 [4]: top, left, height and width of what a centre crop keeps.

    Args:
      size: int32 [2 or 3], height and width of the picture.
      shape: of the crop, after the picture was resized until its sides are 256 / 224 of it or longer.
    """
    import tensorflow as tf

    height, width = size[0], size[1]
    factor = tf.minimum(tf.cast(height, tf.float32) / shape[0], tf.cast(width, tf.float32) / shape[1]) / MARGIN
    high = tf.maximum(tf.cast(tf.round(factor * shape[0]), tf.int32), 1)
    wide = tf.maximum(tf.cast(tf.round(factor * shape[1]), tf.int32), 1)
    return tf.stack([(height - high) // 2, (width - wide) // 2, high, wide])
