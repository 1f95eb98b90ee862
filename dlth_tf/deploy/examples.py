"""Images, with or without labels, on which exported forms are compared with the Keras model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from dlth_tf.errors import BadInput
from dlth_tf.randomness import generator

MAX_IMAGES = 10_000
MAX_BYTES = 256 * 2**20
RANDOM_IMAGES = 256


@dataclass(frozen=True)
class Examples:
    """Images on which forms are compared.

    Args:
      images: Images [N, ...] as a client sends them.
      labels: Class indices, int64 [N]; None if they are unknown, and then no accuracy is reported.
      origin: Short description of the images for the report, such as "test images of digits".
    """

    images: np.ndarray
    labels: np.ndarray | None
    origin: str


def random_examples(spec: tf.TensorSpec) -> Examples:
    """Draws 256 random images without labels.

    Args:
      spec: Shape and dtype of the signature's images; unknown sizes other than the batch become 1.
    """
    random = generator(0, "export probe")
    shape = (RANDOM_IMAGES, *(1 if size is None else size for size in spec.shape[1:]))
    images = random.integers(0, 256, shape) if spec.dtype.is_integer else random.random(shape)
    return Examples(images.astype(spec.dtype.as_numpy_dtype), None, "random images")


def check_examples(examples: Examples, spec: tf.TensorSpec) -> None:
    """Validates examples against the signature.

    Args:
      examples: Examples to validate.
      spec: Shape and dtype of the signature's images.

    Raises:
      BadInput: If the images do not match the signature, or if there is not exactly one label per image.
    """
    images, labels = examples.images, examples.labels
    if not len(images) or not spec.shape.is_compatible_with(images.shape) or images.dtype != spec.dtype.as_numpy_dtype:
        raise BadInput(
            "examples",
            f"{images.dtype}{list(images.shape)}",
            f"must be {spec.dtype.name} images of shape {list(spec.shape)}",
        )
    if labels is not None and labels.shape != images.shape[:1]:
        raise BadInput(
            "examples",
            f"labels of shape {list(labels.shape)}",
            f"must have one label for each of the {len(images)} images",
        )


def max_examples(image_shape: tuple[int, ...], itemsize: int = 1) -> int:
    """Returns how many images are compared at most: 10,000, or as many as fit into 256 MiB, but at least one.

    Args:
      image_shape: Shape of one image.
      itemsize: Bytes per pixel value.
    """
    return max(1, min(MAX_IMAGES, MAX_BYTES // (int(np.prod(image_shape)) * itemsize)))
