"""The graph of a Keras 2 model: the only file that names Keras' private graph attributes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, TypeAlias

import tf_keras

from dlth_tf.masking.keras2.layer_kinds import CHANNELWISE, JOINING
from dlth_tf.masking.keras2.weights import inner_layer
from dlth_tf.masking.structure.channel_graph import ChannelGraph

Layer: TypeAlias = tf_keras.layers.Layer
OPERATION = "TFOpLambda"  # the layer that Keras makes of `a + b`, `tf.nn.relu(a)` and the like on its tensors


def is_graph_network(layer: Layer) -> bool:
    """Returns whether the layer is a model whose graph Keras knows: a Functional or a built Sequential one."""
    return isinstance(layer, tf_keras.Model) and bool(getattr(layer, "_is_graph_network", False))


def is_subclassed(model: tf_keras.Model) -> bool:
    """Returns whether the model is neither Sequential nor Functional, so that its layers are in its attributes."""
    return not (isinstance(model, tf_keras.Sequential) or model._is_graph_network)


def input_shape(model: tf_keras.Model) -> tuple[int | None, ...]:
    """Returns the shape of the model's input with the batch axis; of a subclassed model the shape it was built for."""
    return model.input_shape if model.inputs else model._build_input_shape


def nodes(model: tf_keras.Model) -> list[Any]:
    """Returns the nodes of a graph network, in the order of computation."""
    by_depth = model._nodes_by_depth
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]


def nodes_of(layer: Layer) -> list[Any]:
    """The nodes of all calls of a layer, in all models."""
    return list(layer._inbound_nodes)


def input_names(model: tf_keras.Model) -> list[str]:
    """Returns the names of the input layers of a model with a graph, in the order of `model.inputs`."""
    return [origin(tensor)[0].name for tensor in model.inputs]


def origin(tensor: Any) -> tuple[Layer, int, int]:
    """The layer that returns a Keras tensor, the number of its call, and the number of the output."""
    layer, call, output = tensor._keras_history
    return layer, call, output


def is_operation(layer: Layer) -> bool:
    """Returns whether the layer stands for a TensorFlow operation on Keras tensors."""
    return type(layer).__name__ == OPERATION


def channel_graph(model: tf_keras.Model) -> ChannelGraph:
    """Builds the graph of layers, across the borders of nested models; the graph of a subclassed model is not known.

    Args:
      model: A Keras 2 model, wrapped or not. Wrapped layers appear as the layers inside the wrappers.
    """
    consumers: dict[int, list[Layer]] = defaultdict(list)
    producers: dict[int, list[Layer]] = defaultdict(list)
    for graph in _graphs(model):
        for node in (node for node in nodes(graph) if not node.is_input):
            for place, tensor in enumerate(node.keras_inputs):
                consumer = inner_layer(_entrance(node.outbound_layer, place))
                producer = inner_layer(exit_layer(tensor))
                consumers[id(producer)].append(consumer)
                producers[id(consumer)].append(producer)
    return ChannelGraph(dict(consumers), dict(producers), passes=_passes, joins=_joins)


def _graphs(model: tf_keras.Model) -> Iterator[tf_keras.Model]:
    if is_graph_network(model):
        yield model
    for layer in model.layers:
        if isinstance(layer, tf_keras.Model):
            yield from _graphs(layer)


def _entrance(layer: Layer, place: int) -> Layer:
    """The layer, or for a nested model the input layer that receives its tensor number `place`."""
    return origin(layer.inputs[place])[0] if is_graph_network(layer) else layer


def exit_layer(tensor: Any) -> Layer:
    """Returns the layer that computes a Keras tensor, inside a nested model if need be."""
    layer, _, output = origin(tensor)
    return exit_layer(layer.outputs[output]) if is_graph_network(layer) else layer


def _passes(layer: Layer) -> bool:
    """Returns whether every channel keeps its index; an operation that keeps its tensor's shape is elementwise."""
    if is_operation(layer):
        return _inputs(layer) == 1 and str(layer.input_shape) == str(layer.output_shape)
    return isinstance(layer, CHANNELWISE)


def _joins(layer: Layer) -> bool:
    """Returns whether channels of several tensors are combined index by index."""
    return isinstance(layer, JOINING) or (is_operation(layer) and _inputs(layer) > 1 and "concat" not in layer.name)


def _inputs(layer: Layer) -> int:
    return max(len(node.keras_inputs) for node in nodes_of(layer))
