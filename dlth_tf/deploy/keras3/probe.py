"""Random inputs of a Keras 3 model, and the comparison of what it and its translation compute of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import tree

from dlth_tf.deploy.examples import SIZES, WORDS, Examples
from dlth_tf.masking.structure.layer_paths import all_sublayers

EXAMPLES = 4
TOLERANCES = {"bfloat16": 2**-6, "float16": 2**-9}  # relative to the largest number of an output
TOLERANCE = 1e-5


def cause(error: Exception) -> str:
    """Returns the first line of an error that says what happened; Keras' first one names the layer only."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith("Exception encountered when calling")]
    return re.sub(r"^\{\{.*?\}\} ", "", next(iter(told or lines), type(error).__name__))  # the place in a graph


class NoProbe(Exception):
    """The model runs on no random inputs that were tried; the message says why, as the end of a sentence."""


def random_inputs(model: Any) -> Any:
    """Draws inputs on which a model runs, in the structure that it takes: examples of which half are padded.

    Axes that are free have the first of `examples.SIZES` at which no layer's output is empty, whole numbers are below
    the smallest vocabulary, and texts are words of vocabularies and others.

    Args:
      model: A Functional or built Sequential model of Keras 3, on TensorFlow.

    Raises:
      NoProbe: If the model runs on none of them.
    """
    structure = structure_of(model)
    problem = ""
    for size in _sizes(model, structure):
        for most, whole in _numbers(model):
            draw = _Draw(model, size, most, whole)
            inputs = tree.map_structure(draw, structure)
            try:
                model(inputs, training=False)
            except Exception as error:  # a model fails in any way on inputs that are not for it
                problem = cause(error)
                continue
            return inputs
    raise NoProbe(f"it does not run on random inputs ({problem or 'an output is empty at every size that was tried'})")


def given_inputs(model: Any, examples: Any) -> Any | None:
    """Returns a few of the examples that an export was given as inputs of the model; None if they are no such inputs.

    Args:
      model: As in `random_inputs`.
      examples: As in `dlth_tf.export`.
    """
    arrays = examples.images if isinstance(examples, Examples) else examples
    if arrays is None:
        return None
    structure = structure_of(model)
    tensors = tree.flatten(structure)
    if isinstance(arrays, Mapping):
        named = structure if isinstance(structure, Mapping) else {tensor.name: tensor for tensor in tensors}
        if arrays.keys() != named.keys():
            return None
        values = {id(tensor): np.asarray(arrays[name]) for name, tensor in named.items()}
    elif len(tensors) == 1:
        values = {id(tensors[0]): np.asarray(arrays)}
    else:
        return None
    if not all(_fits(values[id(tensor)], tensor) for tensor in tensors):
        return None
    return tree.map_structure(
        lambda tensor: tf.cast(values[id(tensor)][: tensor.shape[0] or EXAMPLES], tensor.dtype), structure
    )


def _fits(array: np.ndarray, tensor: Any) -> bool:
    kinds = {"f": "float", "i": "int", "u": "int", "b": "bool"}
    shape = tuple(tensor.shape)
    same = len(array.shape) == len(shape) and all(
        size in (None, length) for size, length in zip(shape[1:], array.shape[1:], strict=True)
    )
    return same and len(array) >= (shape[0] or 1) and kinds.get(array.dtype.kind, "?") in str(tensor.dtype)


def structure_of(model: Any) -> Any:
    """Returns the Keras tensors of a model's inputs in the structure that it takes."""
    return model._inputs_struct if hasattr(model, "_inputs_struct") else model.inputs[0]


def _sizes(model: Any, structure: Any) -> Iterator[int]:
    tensors = tree.flatten(structure)
    if not any(None in tensor.shape[1:] for tensor in tensors):
        yield SIZES[0]
        return
    for size in SIZES:
        try:
            shapes = tree.map_structure(lambda tensor, size=size: _shape(tensor, size), structure)
            found = model.compute_output_shape(shapes)
        except Exception:  # noqa: S112 (Keras fails in any way at a size that is too small: the next one is tried)
            continue
        if 0 not in tree.flatten(found):
            yield size


def _shape(tensor: Any, size: int) -> tuple[int, ...]:
    return (tensor.shape[0] or EXAMPLES, *(size if axis is None else axis for axis in tensor.shape[1:]))


def _numbers(model: Any) -> Iterator[tuple[int, bool]]:
    """Yields a number above all whole numbers, and whether numbers of other types are whole too, to try in this order.

    Keras lets an embedding take floating-point numbers.
    """
    layers = all_sublayers(model)
    limits = [layer.input_dim for layer in layers if isinstance(layer, keras.layers.Embedding)]
    limits += [layer.num_tokens for layer in layers if isinstance(layer, keras.layers.CategoryEncoding)]
    largest = min(limits, default=256)
    for most in (largest, *(limit for limit in (10, 2, 1) if limit < largest)):
        if limits:
            yield most, True
        yield most, False


class _Draw:
    """Draws the values of one input after the other."""

    def __init__(self, model: Any, size: int, most: int, whole: bool) -> None:
        self.random = np.random.default_rng(0)
        self.size = size
        self.most = most
        self.whole = whole
        layers = all_sublayers(model)
        self.padding = next((layer.mask_value for layer in layers if isinstance(layer, keras.layers.Masking)), None)
        self.words = list(WORDS)
        for layer in layers:
            if hasattr(layer, "get_vocabulary"):
                self.words += [str(word) for word in layer.get_vocabulary()[:100]]

    def __call__(self, tensor: Any) -> Any:
        shape = _shape(tensor, self.size)
        dtype = str(tensor.dtype)
        if dtype == "string":
            return tf.constant(self.random.choice(np.array(self.words, dtype=object), shape))
        if dtype == "bool":
            return tf.constant(self.random.random(shape) < 0.5)
        if "int" in dtype or self.whole:
            whole = self.random.integers(0, 256 if dtype == "uint8" else self.most, shape)
            if len(shape) > 1:
                whole[::2, ..., (shape[-1] + 1) // 2 :] = 0  # what an embedding may mask
            return tf.cast(whole, dtype)
        numbers = self.random.normal(size=shape)
        if self.padding is not None and len(shape) > 2:
            numbers[::2, (shape[1] + 1) // 2 :] = self.padding
        return tf.cast(numbers, dtype)


def same(ours: Any, theirs: Any) -> bool:
    """Returns whether two structures of tensors hold the same numbers, up to rounding, and texts."""
    pairs = list(zip(tree.flatten(ours), tf.nest.flatten(theirs, expand_composites=False), strict=True))
    return all(_same(a, b) for a, b in pairs)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, tf.SparseTensor | tf.RaggedTensor) and type(a) is type(b):
        parts = (tf.nest.flatten(each, expand_composites=True) for each in (a, b))
        return all(_same(x, y) for x, y in zip(*parts, strict=True))
    if tuple(a.shape) != tuple(b.shape) or tf.as_dtype(a.dtype) != tf.as_dtype(b.dtype):
        return False
    dtype = tf.as_dtype(a.dtype)
    if not dtype.is_floating:
        return bool(np.array_equal(np.asarray(a), np.asarray(b)))
    left, right = (np.asarray(tf.cast(tensor, tf.float64)) for tensor in (a, b))
    finite = np.isfinite(left)
    scale = max(1.0, float(np.abs(left[finite]).max(initial=0)))
    tolerance = TOLERANCES.get(dtype.name, TOLERANCE) * scale
    return bool(np.allclose(left, right, rtol=0, atol=tolerance, equal_nan=True))


def mask_of(tensor: Any) -> Any:
    """Returns the mask that Keras passes on with a tensor, or None."""
    return getattr(tensor, "_keras_mask", None)


def with_mask(tensor: Any, mask: Any) -> Any:
    """Returns a copy of a tensor that carries a mask, or none."""
    if not isinstance(tensor, tf.Tensor):
        return tensor
    copy = tf.identity(tensor)
    if mask is not None:
        copy._keras_mask = mask
    return copy


def has_masks(found: Any, expected: Any) -> bool:
    """Returns whether the tensors of a structure carry the masks that those of another one carry."""
    pairs = [(mask_of(a), mask_of(b)) for a, b in zip(tf.nest.flatten(found), tree.flatten(expected), strict=True)]
    return all(b is None or (a is not None and np.array_equal(a, b)) for a, b in pairs)
