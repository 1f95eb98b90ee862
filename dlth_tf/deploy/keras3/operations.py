"""Layers of tf_keras that stand for what Keras 3 does between layers: operations on tensors, masks put on and off."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
import tf_keras
from keras import tree

from dlth_tf.deploy.keras3.probe import mask_of

OPERATIONS = {"Add": "Add", "Multiply": "Multiply", "Subtract": "Subtract"}  # of two Keras tensors, such as `x + y`


class Masked(tf_keras.layers.Layer):
    """Returns the first of two tensors with the mask that Keras passes on with the second one."""

    def call(self, inputs: Any) -> Any:
        """Returns the tensor."""
        return tf.identity(inputs[0])

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Returns the mask of the second tensor."""
        return mask[1]


class Unmasked(tf_keras.layers.Layer):
    """Returns its tensor without the mask that Keras passes on with it, where an operation of Keras 3 drops it."""

    def call(self, inputs: Any) -> Any:
        """Returns the tensor."""
        return tf.identity(inputs)


def unmasked_tensor(tensor: Any) -> Any:
    """Returns a tensor without its mask."""
    return tensor if mask_of(tensor) is None else Unmasked(dtype=tensor.dtype.name)(tensor)


class Keras3OpLambda(tf_keras.layers.Layer):
    """An operation of Keras 3 on tensors, such as `x / 255` or `keras.ops.mean(x, 1)`, on TensorFlow.

    For compaction it is a function on tensors, like the layers that tf_keras makes of such operations; their names end
    the same way.

    Args:
      name: Name of the operation.
      operation: The operation.
      arguments: What it is called with: positional and named arguments, with Keras tensors where tensors are.
    """

    def __init__(self, name: str, operation: Any, arguments: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
        super().__init__(name=name, autocast=False)
        self._call = _Call(operation, arguments)

    def call(self, inputs: Any) -> Any:
        """Computes the operation of the tensors, which come in the order of the arguments."""
        return self._call(inputs)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {"name": self.name, "operation": self._call.operation, "arguments": self._call.arguments}


class _Call:
    """A function whose arguments tf_keras does not look into."""

    def __init__(self, operation: Any, arguments: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
        self.operation = operation
        self.arguments = arguments

    def __call__(self, inputs: Any) -> Any:
        tensors = iter(inputs if isinstance(inputs, list | tuple) else [inputs])
        args, named = tree.map_structure(
            lambda each: next(tensors) if isinstance(each, keras.KerasTensor) else each, self.arguments
        )
        return self.operation.call(*args, **named)


def known_operation(node: Any) -> tf_keras.layers.Layer | None:
    """Returns the layer of tf_keras that computes an operation, and that compaction knows; None without one."""
    kind = type(node.operation)
    given = tree.flatten((node.arguments.args, node.arguments.kwargs))
    named = {"name": node.operation.name, "dtype": node.output_tensors[0].dtype}
    if not kind.__module__.startswith("keras."):
        return None
    if kind.__name__ in OPERATIONS and len(given) == 2 and all(isinstance(each, keras.KerasTensor) for each in given):
        return getattr(tf_keras.layers, OPERATIONS[kind.__name__])(**named)
    return tf_keras.layers.ReLU(**named) if kind.__name__ == "Relu" else None
