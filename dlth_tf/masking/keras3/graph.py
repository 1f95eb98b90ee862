"""The graph of a Keras 3 model: the only file that names Keras' private graph attributes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, TypeAlias

import keras

from dlth_tf.masking.structure.channel_graph import ChannelGraph
from dlth_tf.masking.structure.layer_kinds import JOIN, channelwise, types_in

Layer: TypeAlias = Any  # keras.Layer, or the Operation that Keras makes of `a + b` on its tensors

CHANNELWISE = channelwise(keras.layers)
JOINING = types_in(keras.layers)[JOIN]


def channel_graph(model: Any) -> ChannelGraph:
    """Builds the graph of layers, across the borders of nested models; the graph of a subclassed model is not known.

    Args:
      model: A Keras 3 model.
    """
    consumers: dict[int, list[Layer]] = defaultdict(list)
    producers: dict[int, list[Layer]] = defaultdict(list)
    for graph in _graphs(model):
        for node in (node for node in nodes(graph) if not node.is_input):
            for place, tensor in enumerate(node.input_tensors):
                consumer, producer = _entrance(node.operation, place), _exit(tensor)
                consumers[id(producer)].append(consumer)
                producers[id(consumer)].append(producer)
    return ChannelGraph(dict(consumers), dict(producers), passes=_passes, joins=_joins)


def output_shapes(model: Any) -> Iterator[tuple[str, tuple[int | None, ...]]]:
    """Yields the name of every layer that is called, and the shape of what it returns, with the batch axis.

    Args:
      model: A Keras 3 model.
    """
    for graph in _graphs(model):
        for node in nodes(graph):
            yield from ((node.operation.name, tuple(tensor.shape)) for tensor in node.outputs)
        yield from ((tensor.name, tuple(tensor.shape)) for tensor in graph.inputs)


def functional(model: Any) -> Any:
    """Returns the Functional model with the graph: the model itself, that of a built Sequential one, or None."""
    if isinstance(model, keras.Sequential):
        return model._functional
    return model if hasattr(model, "_nodes_by_depth") else None


def _graphs(model: Any) -> Iterator[Any]:
    if (graph := functional(model)) is not None:
        yield graph
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _graphs(layer)


def nodes(graph: Any) -> list[Any]:
    """Returns the nodes of a Functional model, in the order of computation."""
    by_depth = graph._nodes_by_depth
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]


def nodes_without_masks(graph: Any) -> list[Any]:
    """Returns the nodes that the outputs need, without those that only compute masks which Keras itself passes on.

    Keras computes the mask of an embedding, and what layers make of it, with operations of the graph.
    """
    ordered = nodes(graph)
    needed = {id(tensor) for tensor in graph.outputs}
    kept = []
    for node in reversed(ordered):
        if any(id(tensor) in needed for tensor in node.outputs) or node.is_input:
            masks = {id(node.arguments.kwargs[name]) for name in passed_masks(node)}
            needed |= {id(tensor) for tensor in node.input_tensors} - masks
            kept.append(node)
    return kept[::-1]


def passed_masks(node: Any) -> tuple[str, ...]:
    """Returns the names of a call's options that are masks which Keras itself passes on with the tensors."""
    masks = {id(getattr(tensor, "_keras_mask", None)) for tensor in node.input_tensors}
    given = {name: value for name, value in node.arguments.kwargs.items() if value is not None}
    return tuple(name for name, value in given.items() if id(value) in masks)


def options(node: Any) -> tuple[str, ...]:
    """Returns the names of a call's options that are set; Keras itself sets training=False for dropout."""
    given = {name: value for name, value in node.arguments.kwargs.items() if value is not None}
    return tuple(name for name, value in given.items() if not (name == "training" and value is False))


def _entrance(operation: Layer, place: int) -> Layer:
    """The layer, or for a nested model the input layer that receives its tensor number `place`."""
    graph = functional(operation) if isinstance(operation, keras.Model) else None
    return operation if graph is None else graph.inputs[place]._keras_history.operation


def _exit(tensor: Any) -> Layer:
    """The layer that computes a Keras tensor, inside a nested model if need be."""
    operation, _, output = tensor._keras_history
    graph = functional(operation) if isinstance(operation, keras.Model) else None
    return operation if graph is None else _exit(graph.outputs[output])


def _is_operation(layer: Layer) -> bool:
    return not isinstance(layer, keras.Layer)


def _inputs(layer: Layer) -> int:
    return max(len(node.input_tensors) for node in layer._inbound_nodes)


def _passes(layer: Layer) -> bool:
    """Returns whether every channel keeps its index; an operation that keeps its tensor's shape is elementwise."""
    if _is_operation(layer):
        return _inputs(layer) == 1 and all(
            node.input_tensors[0].shape == node.output_tensors[0].shape for node in layer._inbound_nodes
        )
    return isinstance(layer, CHANNELWISE)


def _joins(layer: Layer) -> bool:
    """Returns whether channels of several tensors are combined index by index."""
    if _is_operation(layer):
        return _inputs(layer) > 1 and "concat" not in type(layer).__name__.lower()
    return isinstance(layer, JOINING)
