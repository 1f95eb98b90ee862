"""A limit for the variables of a network that a file describes, before they take memory."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from dlth_tf.errors import BadInput
from dlth_tf.masking.world import package_of

MOST_VALUES = 2**28  # numbers in the output of a layer for one example, or for a fixed batch, 1 GiB
ROOM = 64 * 2**20  # bytes of variables that no file has: states of random generators and the like


@contextlib.contextmanager
def limited_variables(most: int, refusal: BadInput) -> Iterator[None]:
    """Limits the variables that are created inside; the one that would exceed the limit is not initialized.

    A configuration of a few bytes can describe a network of any size, and its initial values would be computed before
    its weights are compared with those of the file.

    Args:
      most: Largest number of bytes of all variables.
      refusal: Error to raise if there are more.

    Raises:
      BadInput: `refusal`, whatever error the code inside made of it.
    """
    total = 0
    refused = False

    def create(next_creator: Callable[..., tf.Variable], **facts: Any) -> tf.Variable:
        nonlocal total, refused
        total += _bytes(facts)
        if total > most:
            refused = True
            raise refusal
        return next_creator(**facts)

    try:
        with tf.variable_creator_scope(create):
            yield
    except Exception:
        if refused:
            raise refusal from None
        raise


def check_outputs(model: Any) -> None:
    """Checks the outputs of all layers, since a layer without weights can repeat, pad or enlarge without bound.

    Args:
      model: Built model of tf_keras or Keras 3.

    Raises:
      ValueError: If a layer has more than MOST_VALUES numbers for one example, or for the batch of a fixed size; the
        message is the rest of a sentence.
    """
    for name, shape in _of_keras_3(model) if package_of(model) == "keras" else _of_tf_keras(model):
        if math.prod(size for size in shape if size) > MOST_VALUES:
            raise ValueError(f"its layer {name} has more than {MOST_VALUES:,} numbers for one example")


def _of_keras_3(model: Any) -> Iterator[tuple[str, Sequence[int | None]]]:
    from dlth_tf.masking.keras3.graph import output_shapes

    return output_shapes(model)


def _of_tf_keras(model: tf_keras.Model) -> Iterator[tuple[str, Sequence[int | None]]]:
    for layer in model.submodules:
        if isinstance(layer, tf_keras.layers.Layer):
            yield from ((layer.name, shape.as_list()) for shape in _output_shapes(layer))


def _output_shapes(layer: tf_keras.layers.Layer) -> list[tf.TensorShape]:
    """Returns the known shapes of what a layer gave when the model was built."""
    shapes: list[tf.TensorShape] = []
    with contextlib.suppress(ValueError, RuntimeError, AttributeError):  # there are no more calls of it
        for number in itertools.count():
            found = tf.nest.flatten(layer.get_output_at(number))
            shapes += [tf.TensorShape(tensor.shape) for tensor in found if hasattr(tensor, "shape")]
    return [shape for shape in shapes if shape.rank is not None]


def _bytes(facts: dict[str, Any]) -> int:
    """Returns the bytes of a variable, or 0 if it is created from a value that exists."""
    shape = tf.TensorShape(facts.get("shape"))
    initial = facts.get("initial_value")
    if shape.rank is None and callable(initial):  # Keras 3 states no shape: that of a graph that is never run
        with tf.Graph().as_default():
            shape = tf.convert_to_tensor(initial()).shape
    if not shape.is_fully_defined():
        return 0
    return math.prod(shape.as_list()) * max(1, tf.as_dtype(facts.get("dtype") or tf.float32).size)
