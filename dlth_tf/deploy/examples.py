"""Examples, with or without labels, on which exported forms are compared with the Keras model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
import tf_keras

from dlth_tf.deploy.serving import Serving
from dlth_tf.errors import BadInput
from dlth_tf.masking.structure.layer_paths import all_sublayers
from dlth_tf.measures import ACCURACY, MSE, Measure
from dlth_tf.randomness import generator

MAX_IMAGES = 10_000
MAX_BYTES = 256 * 2**20
RANDOM_IMAGES = 256
SIZES = (32, 64, 128, 224, 16, 8, 4, 1)  # of images and sequences of any size, in the order of trying
WORDS = ("a", "the quick brown fox", "", "0", "1", "unknown")


@dataclass(frozen=True)
class Examples:
    """Examples on which forms are compared.

    Args:
      images: Inputs [N, ...] as a client sends them; for a network of several inputs, input name -> array.
      labels: Class indices, int64 [N]; for a regression targets, floating-point [N] or [N, targets]; None if they are
        unknown, and then no accuracy or error is reported.
      origin: Short description of the examples for the report, such as "test images of digits".
    """

    images: np.ndarray | Mapping[str, np.ndarray]
    labels: np.ndarray | None
    origin: str

    @property
    def measure(self) -> Measure | None:
        """Measure that the labels allow: accuracy, or the mean squared error; None without labels."""
        if self.labels is None:
            return None
        return MSE if self.labels.dtype.kind == "f" else ACCURACY

    def inputs(self, specs: Mapping[str, tf.TensorSpec]) -> dict[str, np.ndarray]:
        """Returns the examples by the names of the signature's inputs; texts as arrays of bytes."""
        named = self.images if isinstance(self.images, Mapping) else dict.fromkeys(list(specs)[:1], self.images)
        return {name: _bytes(np.asarray(array)) for name, array in named.items()}


def _bytes(array: np.ndarray) -> np.ndarray:
    """Returns texts as an array of bytes, in UTF-8, and any other array itself."""
    if array.dtype.kind not in "OU":
        return array
    texts = [text if isinstance(text, bytes) else str(text).encode() for text in array.ravel()]
    return np.array(texts, np.bytes_).reshape(array.shape)


def random_examples(model: tf_keras.Model, serving: Serving, count: int = RANDOM_IMAGES) -> Examples:
    """Draws random examples that the network can take, without labels.

    Sizes that are free are those of the first of SIZES at which no tensor of the network is empty and it runs, whole
    numbers are below the smallest vocabulary of the network's layers, and texts are words of its vocabularies and
    others.

    Raises:
      BadInput: If the network cannot be run on any that were tried.
    """
    specs = serving.inputs(model)
    error = ""
    for size, most in _trials(model, specs):
        above = {name: serving.value_range + 1 if spec.dtype == tf.uint8 else most for name, spec in specs.items()}
        images = {name: _random(spec, (count, size), above[name], model) for name, spec in specs.items()}
        try:
            few = {name: tf.constant(array[: serving.batch or 2]) for name, array in images.items()}
            if any(None in spec.shape[1:] for spec in specs.values()):
                _check_not_empty(model, serving, few)
            serving.reference(model, few)
        except (tf.errors.OpError, ValueError) as failure:
            error = _said(failure)
            continue
        return Examples(images if len(images) > 1 else next(iter(images.values())), None, "random images")
    raise BadInput("examples", "none", f"are needed, since the network does not run on random inputs ({error})")


def _said(failure: Exception) -> str:
    """Returns the layer and the reason in an error of Keras, without the lines of code that it lists before them."""
    lines = [line.strip() for line in str(failure).splitlines() if line.strip()]
    start = next((number for number, line in enumerate(lines) if re.match(r"[A-Za-z]+Error: ", line)), 0)
    return " ".join(lines[start : start + 2])[:200]


def _check_not_empty(model: tf_keras.Model, serving: Serving, tensors: Mapping[str, tf.Tensor]) -> None:
    """Checks from the shapes alone that a network has something to compute at a size of its inputs.

    Some operations of TensorFlow end the process if a window has no place in an image.

    Raises:
      ValueError: If a tensor would be empty, or a window does not fit.
    """
    traced = tf.function(lambda given: serving.reference(model, given)).get_concrete_function(
        {name: tf.TensorSpec(tensor.shape, tensor.dtype, name) for name, tensor in tensors.items()}
    )
    made = (
        output
        for operation in traced.graph.get_operations()
        if operation.type != "Const"
        for output in operation.outputs
    )
    for tensor in made:
        if tensor.dtype.is_floating and tensor.shape.rank and 0 in tensor.shape.as_list():
            raise ValueError(f"{tensor.op.name} would be of shape {tensor.shape.as_list()}")


def _trials(model: tf_keras.Model, specs: Mapping[str, tf.TensorSpec]) -> Iterator[tuple[int, int]]:
    """Sizes of free axes, and a number above every whole number, in the order of trying."""
    free = any(None in spec.shape[1:] for spec in specs.values())
    largest = min(_vocabularies(model), default=256)
    for most in (largest, *(limit for limit in (10, 2, 1) if limit < largest)):
        for size in SIZES if free else SIZES[:1]:
            yield size, most


def _vocabularies(model: tf_keras.Model) -> list[int]:
    """The numbers below which the whole numbers of layers with a vocabulary are."""
    limits = []
    for layer in all_sublayers(model):
        if isinstance(layer, tf_keras.layers.Embedding):
            limits.append(int(layer.input_dim))
        elif isinstance(layer, tf_keras.layers.CategoryEncoding):
            limits.append(int(layer.num_tokens))
    return limits


def _random(spec: tf.TensorSpec, sizes: tuple[int, int], most: int, model: tf_keras.Model) -> np.ndarray:
    count, size = sizes
    random = generator(0, "export probe")
    shape = (count, *(size if axis is None else axis for axis in spec.shape[1:]))
    if spec.dtype == tf.string:
        return _bytes(random.choice(np.array(_words(model), dtype=object), shape))
    if spec.dtype == tf.bool:
        return random.random(shape) < 0.5
    whole = random.integers(0, most, shape) if spec.dtype.is_integer else None
    return (random.random(shape) if whole is None else whole).astype(spec.dtype.as_numpy_dtype)


def _words(model: tf_keras.Model) -> list[str]:
    words = list(WORDS)
    for layer in all_sublayers(model):
        if hasattr(layer, "get_vocabulary"):
            words += [str(word) for word in layer.get_vocabulary()[:100]]
    return words


def check_examples(examples: Examples, specs: Mapping[str, tf.TensorSpec]) -> None:
    """Validates examples against the signature.

    Args:
      examples: Examples to validate.
      specs: Shape and dtype of the signature's inputs, by name.

    Raises:
      BadInput: If the inputs do not match the signature, if there is not exactly one label per example, or if they
        contain NaN or infinite numbers.
    """
    inputs, labels = examples.inputs(specs), examples.labels
    if inputs.keys() != specs.keys():
        raise BadInput("examples", ", ".join(inputs), f"must be one array for each input: {', '.join(specs)}")
    lengths = {len(array) for array in inputs.values()}
    for name, spec in specs.items():
        array = inputs[name]
        free = tf.TensorShape([None, *spec.shape[1:]])
        same = array.dtype.kind == "S" if spec.dtype == tf.string else array.dtype == spec.dtype.as_numpy_dtype
        if not len(array) or not free.is_compatible_with(array.shape) or not same or len(lengths) > 1:
            raise BadInput(
                "examples" if len(specs) == 1 else f"examples[{name!r}]",
                f"{array.dtype}{list(array.shape)}",
                f"must be {spec.dtype.name} images of shape {list(spec.shape)}",
            )
        if spec.shape[0] is not None and len(array) < spec.shape[0]:
            raise BadInput(
                "examples", f"{len(array)} examples", f"must be {spec.shape[0]} or more, the fixed batch size"
            )
    count = next(iter(lengths))
    if labels is not None and labels.shape[: labels.ndim if examples.measure is ACCURACY else 1] != (count,):
        raise BadInput(
            "examples",
            f"labels of shape {list(labels.shape)}",
            f"must have one label for each of the {count} images",
        )
    for what, given in {**inputs, "labels": labels}.items():
        if given is not None and (found := not_finite(given)):
            raise BadInput("examples", f"{given.dtype}{list(given.shape)}", f"must be finite; {what}: {found}")


def not_finite(array: np.ndarray) -> str:
    """Returns what is not finite in an array and where, in words; empty if all numbers are finite, or it has none."""
    if not tf.as_dtype(array.dtype).is_floating:
        return ""
    wrong = ~np.isfinite(array)
    at = [int(index) for index in np.argwhere(wrong)[0]] if wrong.any() else []
    return f"NaN or infinity in {wrong.sum():,} of {wrong.size:,} numbers, first at {at}" if wrong.any() else ""


def max_examples(image_shape: tuple[int, ...], itemsize: int = 1) -> int:
    """Returns how many images are compared at most: 10,000, or as many as fit into 256 MiB, but at least one.

    Args:
      image_shape: Shape of one image.
      itemsize: Bytes per pixel value.
    """
    return max(1, min(MAX_IMAGES, MAX_BYTES // (int(np.prod(image_shape)) * itemsize)))
