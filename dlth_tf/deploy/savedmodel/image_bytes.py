"""A second signature for clients that send encoded images, such as base64 in the JSON of TensorFlow Serving."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from dlth_tf.data.augment.crops import resized
from dlth_tf.data.disk_split import bounded, center_box
from dlth_tf.deploy.serving import IMAGE_BYTES, MOST_PIXEL, SIGNATURE, Serving


def signatures(serve: Any, serving: Serving, images: tf.TensorSpec) -> dict[str, Any]:
    """Returns the signatures of a SavedModel: `serving_default` and, if asked for, `image_bytes`.

    Args:
      serve: Concrete function of the signature, which takes images.
      serving: Preprocessing and outputs around the network.
      images: Shape and dtype of its input.
    """
    if not serving.image_bytes:
        return {SIGNATURE: serve}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, IMAGE_BYTES)])
    def serve_encoded(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        shape = images.shape[1:]
        decoded = tf.map_fn(lambda encoded: decode(encoded, shape), image_bytes, tf.TensorSpec(shape, tf.uint8))
        return serve(as_stored(decoded, serving.value_range, images.dtype))

    return {SIGNATURE: serve, IMAGE_BYTES: serve_encoded.get_concrete_function()}


def as_stored(pixels: tf.Tensor, value_range: int, dtype: tf.DType) -> tf.Tensor:
    """Scales the pixels of files to the range of the images that the network was trained on.

    Args:
      pixels: uint8, 0 to 255.
      value_range: Largest pixel value of the images of the training.
      dtype: Dtype of the result; one of whole numbers has the nearest ones.
    """
    if value_range == MOST_PIXEL:
        return tf.cast(pixels, dtype)
    scaled = tf.cast(pixels, tf.float32) * value_range / MOST_PIXEL
    return tf.saturate_cast(scaled if dtype.is_floating else tf.round(scaled), dtype)


def decode(encoded: tf.Tensor, shape: tf.TensorShape) -> tf.Tensor:
    """Decodes a JPEG or PNG; of a picture of another size, the resized center is taken, as for images of a folder.

    Args:
      encoded: Content of the file, a scalar string. One that states more than 100 million pixels is an error.
      shape: Height, width and channels of the result.

    Returns:
      The image, uint8 of shape `shape`.
    """
    height, width, channels = shape.as_list()
    picture = tf.io.decode_image(bounded(encoded), channels, expand_animations=False)
    size = tf.shape(picture)

    def center() -> tf.Tensor:
        top, left, rows, columns = tf.unstack(center_box(size, (height, width, channels)))
        crop = tf.ensure_shape(picture[top : top + rows, left : left + columns], [None, None, channels])
        return resized(crop, (height, width))

    same = tf.reduce_all(tf.equal(size, [height, width, channels]))
    return tf.ensure_shape(tf.cond(same, lambda: picture, center), shape)
