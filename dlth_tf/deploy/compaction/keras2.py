"""The adapter of compaction for tf_keras (the protocol `Library`)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, MutableMapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from dlth_tf.deploy import copied_layers
from dlth_tf.deploy.compaction.library import Node, is_of_package, same_trainable
from dlth_tf.deploy.stripped import without_wrappers as plain
from dlth_tf.masking.keras2 import graph
from dlth_tf.masking.keras2.layer_kinds import TYPES

__all__ = [
    "ELEMENTWISE",
    "Model",
    "computed",
    "fill",
    "is_function",
    "kind_of_type",
    "layers",
    "nodes",
    "plain",
    "rebuilt",
    "recreated",
    "results",
]

layers = tf_keras.layers
Model = tf_keras.Model
activations = tf_keras.activations
ELEMENTWISE = {
    activations.linear,
    activations.relu,
    activations.elu,
    activations.selu,
    activations.gelu,
    activations.sigmoid,
    activations.hard_sigmoid,
    activations.tanh,
    activations.softplus,
    activations.softsign,
    activations.swish,
    activations.exponential,
    activations.mish,
    tf.nn.relu,
    tf.nn.relu6,
    tf.nn.elu,
    tf.nn.selu,
    tf.nn.leaky_relu,
    tf.nn.silu,
    tf.nn.gelu,
    tf.sigmoid,
    tf.tanh,
}
KIND_OF_TYPE = {layer_type: kind for kind, types in TYPES.items() for layer_type in types}


def nodes(model: tf_keras.Model) -> list[Node] | None:
    """Returns the calls of a Functional or built Sequential model; None for any other."""
    return [_node(node) for node in graph.nodes(model)] if graph.is_graph_network(model) else None


def _node(node: Any) -> Node:
    return Node(
        node.layer,
        () if node.is_input else tuple(_key(tensor) for tensor in node.keras_inputs),
        {_key(tensor): tuple(tensor.shape) for tensor in tf.nest.flatten(node.outputs)},
        node.is_input,
        tuple(name for name, value in node.call_kwargs.items() if value is not None),
        len(node.call_args) == 1,
    )


def _key(tensor: Any) -> Hashable:
    layer, call, output = graph.origin(tensor)
    return id(layer), call, output


def results(model: tf_keras.Model) -> list[Hashable]:
    """Returns the keys of the tensors that a model returns."""
    return [_key(tensor) for tensor in model.outputs]


def kind_of_type(layer: tf_keras.layers.Layer) -> str | None:
    """Returns the kind of a layer by its exact type."""
    return KIND_OF_TYPE.get(type(layer))


def is_function(layer: tf_keras.layers.Layer) -> bool:
    """Returns whether the layer stands for a function on tensors."""
    return isinstance(layer, layers.Lambda) or type(layer).__name__.endswith("OpLambda")


def computed(function: Any, inputs: Sequence[np.ndarray], dtype: str) -> np.ndarray:
    """Returns what a layer computes in inference mode, or an activation, in float64."""
    tensors = [tf.constant(value, dtype) for value in inputs]
    argument = tensors if len(tensors) > 1 else tensors[0]
    layer = isinstance(function, tf_keras.layers.Layer)
    outputs = function(argument, training=False) if layer else function(argument)
    return outputs.numpy().astype(np.float64)


def recreated(layer: tf_keras.layers.Layer, made: MutableMapping[int, Any], **changes: Any) -> tf_keras.layers.Layer:
    """Builds a layer anew from its config, a nested model from its layers, each once."""
    if id(layer) not in made:
        nested = graph.is_graph_network(layer) and is_of_package(layer, "tf_keras")
        made[id(layer)] = (
            rebuilt(layer, lambda inner: recreated(inner, made))
            if nested
            else copied_layers.recreated(layer, **changes)
        )
    return made[id(layer)]


def fill(layer: tf_keras.layers.Layer, weights: Sequence[np.ndarray], source: Any) -> None:
    """Sets the weights of a layer; a lookup table came with it when it was recreated."""
    copied_layers.fill(layer, weights)


def rebuilt(model: tf_keras.Model, smaller: Callable[[Any], Any]) -> tf_keras.Model:
    """Builds a model like another one, from layers that `smaller` makes of the other's."""
    made = tf_keras.models.clone_model(model, clone_function=smaller)
    if not made.built:
        made.build(model.input_shape)
    same_trainable(model, made)
    return made
