"""Translates the graph of a Keras 3 model layer by layer into tf_keras, where every layer has a twin there."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras
from keras import tree

from dlth_tf.deploy.copied_layers import finish
from dlth_tf.deploy.keras3.network import Keras3Layer
from dlth_tf.masking.keras3.graph import functional, nodes_without_masks, options, passed_masks
from dlth_tf.masking.structure.layer_paths import weight_names

NOT_FOR_INFERENCE = ("_initializer", "_regularizer", "_constraint")
OTHER_NAMES = {"LeakyReLU": {"negative_slope": "alpha"}}
OTHER_WEIGHTS = {kind: {"kernel": "depthwise_kernel"} for kind in ("DepthwiseConv1D", "DepthwiseConv2D")}
OPERATIONS = {"Add": "Add", "Multiply": "Multiply", "Subtract": "Subtract"}  # of two Keras tensors, such as `x + y`
EXAMPLES = 4
TOLERANCE = 1e-5


class Untranslatable(Exception):
    """Something in the model has no twin in tf_keras; the message says what, as the end of a sentence."""


def translated(model: Any) -> tf_keras.Model:
    """Returns a tf_keras model of the same layers with the same values.

    The translation is compared with the model on random examples.

    Args:
      model: A Keras 3 model on TensorFlow.

    Raises:
      Untranslatable: If there is no such model, or if it does not compute the same.
    """
    try:
        network = _network(model)
        agrees = _agrees(model, network)
    except Untranslatable:
        raise
    except Exception as error:  # tf_keras fails in any way on what it does not know; the caller has another way
        raise Untranslatable(f"it cannot be built there ({next(iter(str(error).splitlines()), '')})") from error
    if not agrees:
        raise Untranslatable("its layers compute something else there")
    return network


def _network(model: Any) -> tf_keras.Model:
    graph = functional(model)
    if graph is None:
        raise Untranslatable(f"{model.name} ({type(model).__name__}) is neither Sequential nor Functional")
    tensors: dict[int, Any] = {}
    twins: dict[int, Any] = {}

    def of(tensor: Any) -> Any:
        return tensors[id(tensor)]

    for tensor in graph.inputs:
        batch, *shape = tensor.shape
        twin = tf_keras.Input(tuple(shape), batch_size=batch, dtype=tf.as_dtype(tensor.dtype), name=tensor.name)
        tensors[id(tensor)] = twin
    for node in nodes_without_masks(graph):
        if node.is_input:
            continue
        if not isinstance(node.operation, keras.Layer):
            given = [of(tensor) for tensor in node.input_tensors]
            outputs = _operation(node)(given if len(given) > 1 else given[0])
        else:
            if id(node.operation) not in twins:
                twins[id(node.operation)] = _twin(node.operation)
            # tf_keras passes masks on as well, and an export computes in inference mode whatever `training` says.
            wanted = set(options(node)).difference(passed_masks(node), {"training"})
            arguments, named = tree.map_structure(
                lambda each: of(each) if isinstance(each, keras.KerasTensor) else each,
                (node.arguments.args, {name: node.arguments.kwargs[name] for name in wanted}),
            )
            outputs = twins[id(node.operation)](*arguments, **named)
        for tensor, twin in zip(node.output_tensors, tf.nest.flatten(outputs), strict=True):
            tensors[id(tensor)] = twin
    for source in graph.operations:
        if not isinstance(twins.get(id(source), model), keras.Model | tf_keras.Model | Keras3Layer):
            _copy_weights(source, twins[id(source)])
    inputs = tree.map_structure(of, graph._inputs_struct)
    return tf_keras.Model(inputs, tree.map_structure(of, graph._outputs_struct), name=model.name)


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


def _operation(node: Any) -> tf_keras.layers.Layer:
    """Returns the twin of an operation on Keras tensors, which is called with the tensors among its arguments."""
    arguments = node.arguments.args, node.arguments.kwargs
    given = tree.flatten(arguments)
    own = not type(node.operation).__module__.startswith("keras.")
    kind = None if own else OPERATIONS.get(type(node.operation).__name__)
    if any(isinstance(each, keras.Variable) for each in given):
        raise Untranslatable(f"{_named(node.operation)} computes with a variable of no layer")
    if kind and len(given) == 2 and all(isinstance(each, keras.KerasTensor) for each in given):
        return getattr(tf_keras.layers, kind)()
    if type(node.operation).__name__ == "Relu" and not own:
        return tf_keras.layers.ReLU()
    return Keras3OpLambda(node.operation.name, node.operation, arguments)


def _twin(layer: Any, **changes: Any) -> Any:
    """Returns the layer of tf_keras with the same arguments; where there is none, one that calls the layer itself.

    Args:
      layer: A layer of Keras 3.
      **changes: Arguments that change.
    """
    if isinstance(layer, keras.Model):
        return _network(layer) if functional(layer) is not None else Keras3Layer(layer, layer.name)
    twin = getattr(tf_keras.layers, type(layer).__name__, None)
    if twin is None or not type(layer).__module__.startswith("keras."):
        return Keras3Layer(layer, layer.name)
    try:
        return twin(**_arguments(layer, twin) | changes)
    except Untranslatable:
        return Keras3Layer(layer, layer.name)


def _arguments(layer: Any, twin: type) -> dict[str, Any]:
    """The arguments of the twin's constructor: those of the layer that it knows and inference needs."""
    taken = {name for kind in twin.__mro__[:-1] for name in inspect.signature(kind).parameters}
    arguments = {"name": layer.name, "dtype": layer.dtype_policy.name}
    for name, value in layer.get_config().items():
        new = OTHER_NAMES.get(type(layer).__name__, {}).get(name, name)
        if new not in taken or new in arguments or name.endswith(NOT_FOR_INFERENCE):
            continue
        if name == "activation" or name.endswith("_activation"):
            arguments[new] = _activation(layer, getattr(layer, name))
        elif isinstance(value, dict) and "class_name" in value:
            arguments[new] = _inner(layer, name)
        elif name == "cells":
            arguments[new] = [_twin(cell) for cell in layer.cells]
        else:
            arguments[new] = value
    arguments.pop("trainable", None)
    return arguments


def _inner(layer: Any, name: str) -> tf_keras.layers.Layer:
    """Returns the twin of a layer that another one holds."""
    both = isinstance(layer, keras.layers.Bidirectional)
    inner = layer.forward_layer if both and name == "layer" else getattr(layer, name)
    # tf_keras puts these words before the names too.
    named = {"name": inner.name.removeprefix("forward_" if name == "layer" else "backward_")} if both else {}
    twin = _twin(inner, **named) if isinstance(inner, keras.Layer) else None
    if twin is None or isinstance(twin, Keras3Layer):
        raise Untranslatable(f"{_named(layer)} has a {name} without a twin in tf_keras")
    return twin


def _activation(layer: Any, function: Any) -> Any:
    """The name of an activation where tf_keras computes the same by it, else the function, which is on TensorFlow."""
    name = keras.activations.serialize(function) if function is not None else "linear"
    if isinstance(function, keras.Layer):
        raise Untranslatable(f"{_named(layer)} has a layer as its activation")
    return name if isinstance(name, str) and _is_known(name) else function


def _is_known(activation: str) -> bool:
    """Returns whether tf_keras computes the same by this name."""
    try:
        twin = tf_keras.activations.get(activation)
    except ValueError:
        return False
    numbers = tf.constant(np.linspace(-8, 8, 99).reshape(33, 3), tf.float32)
    return np.allclose(keras.activations.get(activation)(numbers), twin(numbers), rtol=0, atol=TOLERANCE)


def _named(operation: Any) -> str:
    return f"{operation.name} ({type(operation).__name__})"


def _copy_weights(layer: Any, twin: Any) -> None:
    other = OTHER_WEIGHTS.get(type(layer).__name__, {})
    known = {key: other.get(name, name) for key, name in weight_names(layer).items()}
    values = {known[id(weight)]: weight.numpy() for weight in layer.weights}
    names = weight_names(twin)
    if {names[id(weight)] for weight in twin.weights} != values.keys():
        raise Untranslatable(f"{_named(layer)} has other weights there")
    for weight in twin.weights:
        weight.assign(values[names[id(weight)]])
    finish(twin)


def _agrees(model: Any, network: tf_keras.Model) -> bool:
    """Returns whether both compute the same on random examples."""
    random = np.random.default_rng(0)
    words = [layer.input_dim for layer in model._flatten_layers() if isinstance(layer, keras.layers.Embedding)]

    def example(tensor: Any) -> np.ndarray:
        shape = [tensor.shape[0] or EXAMPLES, *(size or 8 for size in tensor.shape[1:])]
        if "int" in str(tensor.dtype):
            numbers = random.integers(0, min(words, default=2), shape).astype(str(tensor.dtype))
            numbers[::2, (numbers.shape[-1] + 1) // 2 :] = 0  # what an embedding may mask
            return numbers
        return random.normal(size=shape).astype(str(tensor.dtype))

    inputs = tree.map_structure(example, model._inputs_struct if hasattr(model, "_inputs_struct") else model.inputs[0])
    ours = tree.flatten(model(inputs, training=False))
    theirs = tf.nest.flatten(network(inputs, training=False))
    pairs = [(np.asarray(a, np.float64), np.asarray(b, np.float64)) for a, b in zip(ours, theirs, strict=True)]
    scale = max(1.0, *(float(np.abs(a).max(initial=0)) for a, _ in pairs))
    return all(a.shape == b.shape and np.allclose(a, b, rtol=0, atol=TOLERANCE * scale) for a, b in pairs)
