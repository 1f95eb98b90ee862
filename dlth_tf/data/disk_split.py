"""Splits that stay on disk, with random access by index."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from dlth_tf.data.tfrecord_index import Records
from dlth_tf.errors import BadInput
from dlth_tf.plain_numbers import store, whole_numbers

if TYPE_CHECKING:
    import tensorflow as tf

MARGIN = 256 / 224  # the shorter side of a picture to the side of its center crop, as ImageNet is commonly evaluated


MOST_PIXELS = 100_000_000  # of a picture, three bytes each
PNG = b"\x89PNG\r\n\x1a\n"
PNG_SIZE = (16, 8)  # first byte and number of bytes of width and height in the header


class Source(Protocol):
    """Encoded images that are read by index."""

    def encoded(self, index: tf.Tensor) -> tf.Tensor:
        """Returns the content of a JPEG or PNG file, a scalar string."""

    def content(self, index: int) -> tf.Tensor:
        """Returns the same outside a pipeline, for one image."""

    def name(self, index: int) -> str:
        """Returns where an image is, for messages: its path, or its file and its number in there."""

    def outlined(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Returns what tells the images at `indices`, int64 [N], from others, without reading them."""


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """A source with one file per image.

    Attributes:
      paths: Paths of the images; tf.io reads them, so they may be remote.
    """

    paths: Sequence[str]

    def encoded(self, index: tf.Tensor) -> tf.Tensor:
        """Returns the content of a JPEG or PNG file, a scalar string."""
        import tensorflow as tf

        with tf.init_scope():
            # As bytes: the name of a file need not be text.
            paths = tf.constant([path.encode(errors="surrogateescape") for path in self.paths])
        return tf.io.read_file(paths[index])

    def content(self, index: int) -> tf.Tensor:
        """Returns the content of one file, a scalar string."""
        import tensorflow as tf

        return tf.io.read_file(self.paths[index].encode(errors="surrogateescape"))

    def name(self, index: int) -> str:
        """Returns the path of an image."""
        return self.paths[index]

    def outlined(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the names of the files and of their folders, the same wherever these lie."""
        names = (os.fsencode(os.sep.join(self.paths[index].split(os.sep)[-2:])) for index in indices)
        return {"names": np.frombuffer(b"\0".join(names), np.uint8)}


@dataclass(frozen=True, eq=False)
class ImageRecords:
    """A source whose images are features of serialized examples in TFRecord files.

    Attributes:
      records: Index of the records.
      image: Name of the feature that contains the encoded image.
    """

    records: Records
    image: str

    def encoded(self, index: tf.Tensor) -> tf.Tensor:
        """Returns the content of a JPEG or PNG file, a scalar string."""
        import tensorflow as tf

        record = tf.numpy_function(self.records.read, [index], tf.string, stateful=False)
        return self._image_of(tf.ensure_shape(record, []))

    def content(self, index: int) -> tf.Tensor:
        """Returns the content of one image, a scalar string."""
        return self._image_of(self.records.read(index))

    def name(self, index: int) -> str:
        """Returns the path of an image's shard, and the number of its record in there, from 0."""
        return self.records.name(index)

    def outlined(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the shard of each record, its place in there, and its length."""
        records = self.records
        return {
            "shard": records.shard[indices],
            "offset": records.offset[indices],
            "length": records.length[indices],
        }

    def _image_of(self, record: tf.Tensor | bytes) -> tf.Tensor:
        import tensorflow as tf

        features = {self.image: tf.io.FixedLenFeature([], tf.string)}
        return tf.io.parse_single_example(record, features)[self.image]


@dataclass(frozen=True, eq=False)
class DiskSplit:
    """Labeled examples of a source, decoded to images of one shape.

    Attributes:
      source: Source of the encoded images.
      indices: Indices of the examples in the source, int64 [N].
      labels: Class numbers from 0, int64 [N].
      image_shape: Height, width and channels of the decoded images.
      one_size: Whether the stored images have that shape already. If not, a crop of each is resized: in evaluation the
        center, with the shorter side divided by 256 / 224; in training a random crop if the augmentation has
        `resized_crop`.

    Raises:
      BadInput: If there are no examples, or not one label per example.
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
                "must have at least one image, and one label per image",
            )
        for name, numbers in (("indices", self.indices), ("labels", self.labels)):
            if not isinstance(numbers, np.ndarray) or numbers.ndim != 1 or numbers.dtype.kind not in "iu":
                raise BadInput(name, described(numbers), f"must be whole numbers of shape [{len(self.indices)}]")
        store(self, image_shape=whole_numbers("image_shape", self.image_shape))

    def __len__(self) -> int:
        return len(self.indices)

    def __repr__(self) -> str:
        return f"DiskSplit({len(self):,} images on disk, decoded to {'x'.join(map(str, self.image_shape))})"

    @property
    def dtype(self) -> str:
        """Dtype of the decoded images."""
        return "uint8"

    @property
    def noun(self) -> str:
        """Word for the examples in messages."""
        return "images"

    def subset(self, places: np.ndarray) -> DiskSplit:
        """Returns the split of the examples at `places`, int64 numbers from 0 to N - 1."""
        return replace(self, indices=self.indices[places], labels=self.labels[places])

    def image(self, place: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        """Reads and decodes one image.

        Args:
          place: Number of the example in this split, an int64 scalar from 0 to N - 1.
          seed: Seed of a random crop and of mirroring, int64 [2]; if None, the center is cropped.

        Returns:
          The image, uint8 [H, W, C].

        Raises:
          BadInput: If it cannot be read, and this is not part of a pipeline (see `broken_images_named` for those).
        """
        import tensorflow as tf

        with tf.init_scope():
            indices = tf.constant(self.indices)
        try:
            return decoded(self.source.encoded(indices[place]), self.image_shape, seed, self.one_size)
        except tf.errors.OpError as error:
            raise BadInput("image", self.where(int(place)), f"cannot be read ({reason_of(error)})") from None

    def where(self, place: int) -> str:
        """Returns where the image at `place` is, for messages: its path, or its file and its number in there."""
        return self.source.name(int(self.indices[place]))

    def why_unreadable(self, place: int) -> str | None:
        """Returns why the image at `place` cannot be read or decoded, in TensorFlow's words, or None if it can be."""
        import tensorflow as tf

        try:
            content = bounded(self.source.content(int(self.indices[place])))
            # The whole picture: a crop may miss the part of a truncated file that is not there.
            picture = tf.io.decode_image(content, self.image_shape[-1], expand_animations=False)
            if self.one_size and picture.shape != self.image_shape:
                return f"has the shape {picture.shape.as_list()} instead of {list(self.image_shape)}"
        except UnicodeDecodeError:  # TensorFlow quotes the bytes that it cannot parse
            return "is not an example that TensorFlow can parse"
        except (tf.errors.OpError, OSError) as error:
            return reason_of(error)
        return None


def described(value: object) -> str:
    """Returns dtype and shape of an array, or the type of anything else."""
    return f"{value.dtype}{list(value.shape)}" if isinstance(value, np.ndarray) else type(value).__name__


def reason_of(error: Exception) -> str:
    """Returns the message of an error without the names of TensorFlow's operations and the path of the file."""
    message = getattr(error, "strerror", None) or getattr(error, "message", None) or str(error)
    text = re.sub(r"\{\{.*?\}\}|\[Op:.*", "", message, flags=re.DOTALL)
    asserted = text.partition("Summarized data:")[2]  # the texts and numbers of a condition that does not hold
    text = re.sub(r"b'(.*?)'", r"\1", asserted) if asserted else text.rpartition("; ")[2]
    return " ".join(text.split()).rstrip(".")


def decoded(encoded: tf.Tensor, shape: tuple[int, int, int], seed: tf.Tensor | None, one_size: bool) -> tf.Tensor:
    """Decodes a JPEG or PNG; of a JPEG only the cropped part is decoded, which takes half the time.

    Args:
      encoded: Content of the file, a scalar string.
      shape: Height, width and channels of the result.
      seed: Seed of a random crop and of mirroring, int64 [2]; if None, the center is cropped.
      one_size: Whether the stored image already has this shape, and needs no crop if there is no seed.

    Returns:
      The image, uint8 of shape `shape`.
    """
    import tensorflow as tf

    from dlth_tf.data.augment import crops

    channels = shape[-1]
    encoded = bounded(encoded)
    if one_size and seed is None:
        return tf.ensure_shape(tf.io.decode_image(encoded, channels, expand_animations=False), shape)

    def box(size: tf.Tensor) -> tf.Tensor:
        return center_box(size, shape) if seed is None else crops.random_box(size, seed)

    def jpeg() -> tf.Tensor:
        return tf.io.decode_and_crop_jpeg(encoded, box(tf.io.extract_jpeg_shape(encoded)), channels)

    def other() -> tf.Tensor:
        picture = tf.io.decode_image(encoded, channels, expand_animations=False)
        top, left, height, width = tf.unstack(box(tf.shape(picture)))
        return picture[top : top + height, left : left + width]

    crop = tf.ensure_shape(tf.cond(tf.io.is_jpeg(encoded), jpeg, other), [None, None, channels])
    image = crops.resized(crop, shape[:2])
    return tf.ensure_shape(image if seed is None else crops.mirrored(image, seed), shape)


def bounded(encoded: tf.Tensor, most: int | None = None) -> tf.Tensor:
    """Returns a JPEG or PNG unchanged if its header states few enough pixels.

    A file of a megabyte can state gigabytes of pixels, which the decoder would allocate before it reads the first one.

    Args:
      encoded: Content of the file, a scalar string.
      most: Most pixels; `MOST_PIXELS` if None.

    Raises:
      tf.errors.InvalidArgumentError: If it states more, or is neither a JPEG nor a PNG; raised when the graph runs.
    """
    import tensorflow as tf

    def png() -> tf.Tensor:
        long = tf.strings.length(encoded) >= sum(PNG_SIZE)
        with tf.control_dependencies([tf.debugging.Assert(long, ["it is too short for an image"])]):
            is_png = tf.equal(tf.strings.substr(encoded, 0, len(PNG)), PNG)
        with tf.control_dependencies([tf.debugging.Assert(is_png, ["it is neither a JPEG nor a PNG"])]):
            return tf.io.decode_raw(tf.strings.substr(encoded, *PNG_SIZE), tf.int32, little_endian=False)

    size = tf.cond(tf.io.is_jpeg(encoded), lambda: tf.io.extract_jpeg_shape(encoded)[:2], png)
    pixels = tf.reduce_prod(tf.cast(tf.ensure_shape(size, [2]), tf.int64))
    most = most or MOST_PIXELS
    few = tf.logical_and(pixels > 0, pixels <= most)
    with tf.control_dependencies([tf.debugging.Assert(few, ["it states", pixels, "pixels, at most", most])]):
        return tf.identity(encoded)


def center_box(size: tf.Tensor, shape: tuple[int, int, int]) -> tf.Tensor:
    """Returns the box of a center crop.

    Args:
      size: Height and width of the picture in pixels, int32 [2 or 3].
      shape: Height, width and channels of the crop after the picture is resized, so that its sides are at least 256 /
        224 of those of the crop.

    Returns:
      Top, left, height and width of the box in the picture, int32 [4].
    """
    import tensorflow as tf

    height = size[0]
    width = size[1]
    factor = tf.minimum(tf.cast(height, tf.float32) / shape[0], tf.cast(width, tf.float32) / shape[1]) / MARGIN
    box_height = tf.maximum(tf.cast(tf.round(factor * shape[0]), tf.int32), 1)
    box_width = tf.maximum(tf.cast(tf.round(factor * shape[1]), tf.int32), 1)
    return tf.stack([(height - box_height) // 2, (width - box_width) // 2, box_height, box_width])
