"""Translates the graph of a Keras 3 model layer by layer into tf_keras, where every layer has a twin there."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras
from keras import tree

from dlth_tf.masking.keras3.graph import options
from dlth_tf.masking.structure.layer_paths import weight_names

NOT_FOR_INFERENCE = ("_initializer", "_regularizer", "_constraint")
OTHER_NAMES = {"LeakyReLU": {"negative_slope": "alpha"}}
OTHER_WEIGHTS = {kind: {"kernel": "depthwise_kernel"} for kind in ("DepthwiseConv1D", "DepthwiseConv2D")}
OPERATIONS = {"Add": "Add", "Multiply": "Multiply", "Subtract": "Subtract", "Relu": "ReLU"}  # `x + y` on Keras tensors
EXAMPLES = 4
TOLERANCE = 1e-5


class Untranslatable(Exception):
    """Something in the model has no twin in tf_keras."""


def translated(model: Any) -> tf_keras.Model | None:
    """Returns a tf_keras model of the same layers with the same values, or None if there is none.

    The translation is only used where it computes the same: it is compared on random examples.

    Args:
      model: A Keras 3 model on TensorFlow.
    """
    try:
        network = _network(model)
        return network if _agrees(model, network) else None
    except (Untranslatable, ValueError, TypeError, NotImplementedError):  # Keras' words for what a layer cannot do
        return None


def _network(model: Any) -> tf_keras.Model:
    graph = model._functional if isinstance(model, keras.Sequential) else model
    if graph is None or not hasattr(graph, "_nodes_by_depth"):
        raise Untranslatable
    tensors: dict[int, Any] = {}
    twins: dict[int, Any] = {}

    def of(tensor: Any) -> Any:
        return tensors[id(tensor)]

    for tensor in graph.inputs:
        batch, *shape = tensor.shape
        twin = tf_keras.Input(tuple(shape), batch_size=batch, dtype=tf.as_dtype(tensor.dtype), name=tensor.name)
        tensors[id(tensor)] = twin
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        for node in graph._nodes_by_depth[depth]:
            if node.is_input:
                continue
            if id(node.operation) not in twins:
                twins[id(node.operation)] = _twin(node.operation)
            arguments = tree.map_structure(
                lambda each: of(each) if isinstance(each, keras.KerasTensor) else each, node.arguments.args
            )
            if options(node):
                raise Untranslatable
            if not isinstance(node.operation, keras.Layer):
                arguments = (list(arguments),) if len(node.input_tensors) > 1 else arguments
            outputs = twins[id(node.operation)](*arguments)
            for tensor, twin in zip(node.output_tensors, tf.nest.flatten(outputs), strict=True):
                tensors[id(tensor)] = twin
    for operation_id, twin in twins.items():
        source = next(o for o in graph.operations if id(o) == operation_id)
        if isinstance(source, keras.Layer) and not isinstance(source, keras.Model):
            _copy_weights(source, twin)
    inputs = tree.map_structure(of, graph._inputs_struct)
    return tf_keras.Model(inputs, tree.map_structure(of, graph._outputs_struct), name=model.name)


def _twin(operation: Any) -> Any:
    kind = type(operation).__name__
    if isinstance(operation, keras.Model):
        return _network(operation)
    if not type(operation).__module__.startswith("keras."):
        raise Untranslatable
    if not isinstance(operation, keras.Layer):
        if kind not in OPERATIONS:
            raise Untranslatable
        return getattr(tf_keras.layers, OPERATIONS[kind])()
    twin = getattr(tf_keras.layers, kind, None)
    if twin is None:
        raise Untranslatable
    return twin(**_arguments(operation, twin))


def _arguments(layer: Any, twin: type) -> dict[str, Any]:
    """The arguments of the twin's constructor: those of the layer that it knows and inference needs."""
    taken = {name for kind in twin.__mro__[:-1] for name in inspect.signature(kind).parameters}
    arguments = {"name": layer.name, "dtype": layer.dtype_policy.name}
    for name, value in layer.get_config().items():
        new = OTHER_NAMES.get(type(layer).__name__, {}).get(name, name)
        if new not in taken or new in arguments or name.endswith(NOT_FOR_INFERENCE):
            continue
        if name == "activation" or name.endswith("_activation"):
            arguments[new] = _activation(getattr(layer, name))
        elif isinstance(value, dict) and "class_name" in value:
            inner = getattr(layer, name)
            if not isinstance(inner, keras.Layer):
                raise Untranslatable
            arguments[new] = _twin(inner)
        else:
            arguments[new] = value
    arguments.pop("trainable", None)
    return arguments


def _activation(function: Any) -> Any:
    name = keras.activations.serialize(function) if function is not None else "linear"
    if not isinstance(name, str):
        raise Untranslatable
    return name


def _copy_weights(layer: Any, twin: Any) -> None:
    other = OTHER_WEIGHTS.get(type(layer).__name__, {})
    known = {key: other.get(name, name) for key, name in weight_names(layer).items()}
    values = {known[id(weight)]: weight.numpy() for weight in layer.weights}
    names = weight_names(twin)
    if {names[id(weight)] for weight in twin.weights} != values.keys():
        raise Untranslatable
    for weight in twin.weights:
        weight.assign(values[names[id(weight)]])


def _agrees(model: Any, network: tf_keras.Model) -> bool:
    """Returns whether both compute the same on random examples."""
    random = np.random.default_rng(0)
    words = [layer.input_dim for layer in model._flatten_layers() if isinstance(layer, keras.layers.Embedding)]

    def example(tensor: Any) -> np.ndarray:
        shape = [tensor.shape[0] or EXAMPLES, *(size or 8 for size in tensor.shape[1:])]
        if "int" in str(tensor.dtype):
            return random.integers(0, min(words, default=2), shape).astype(str(tensor.dtype))
        return random.normal(size=shape).astype(str(tensor.dtype))

    inputs = tree.map_structure(example, model._inputs_struct if hasattr(model, "_inputs_struct") else model.inputs[0])
    ours = tree.flatten(model(inputs, training=False))
    theirs = tf.nest.flatten(network(inputs, training=False))
    pairs = [(np.asarray(a, np.float64), np.asarray(b, np.float64)) for a, b in zip(ours, theirs, strict=True)]
    scale = max(1.0, *(float(np.abs(a).max(initial=0)) for a, _ in pairs))
    return all(a.shape == b.shape and np.allclose(a, b, rtol=0, atol=TOLERANCE * scale) for a, b in pairs)
