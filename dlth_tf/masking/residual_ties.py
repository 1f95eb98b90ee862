"""Which layers' filters or channels are tied to those of other layers by additions (residual connections)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TypeAlias

import tensorflow as tf
import tf_keras

from dlth_tf.masking.keras2.layer import MaskedLayer
from dlth_tf.masking.keras2.weights import PrunableWeight, leaf_layers

layers = tf_keras.layers
Layer: TypeAlias = tf_keras.layers.Layer
# What leaves every channel where it is, so that a removed one can be followed through it.
CHANNELWISE = (
    layers.InputLayer,  # of a model inside a model
    layers.BatchNormalization,
    layers.Activation,
    layers.ReLU,
    layers.LeakyReLU,
    layers.ELU,
    layers.PReLU,
    layers.Dropout,
    layers.SpatialDropout2D,
    layers.ZeroPadding2D,
    layers.Cropping2D,
    layers.UpSampling2D,
    layers.DepthwiseConv2D,
    layers.MaxPooling2D,
    layers.AveragePooling2D,
    layers.GlobalAveragePooling2D,
    layers.GlobalMaxPooling2D,
)
JOINING = (layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum)
Neighbours = dict[int, list[Layer]]  # by the layer's id


def tied_layers(model: tf_keras.Model, granularity: str) -> set[str]:
    """Names of the wrapped layers in which a group of this granularity cannot be removed physically by itself.

    For "filter" those whose outputs are added to others' before any layer mixes channels again, for "channel" those whose
    inputs are, here or on another branch: in a residual network all but the inner convolutions of a block, as in the
    official code. Models inside models are followed; of a subclassed one the graph is not known, and nothing can be found.
    """
    if granularity not in ("filter", "channel"):
        return set()
    consumers, producers = _neighbours(model)

    def tied(layer: MaskedLayer) -> bool:
        sources = (
            [layer]
            if granularity == "filter"
            else [found for found in _reached(layer, producers) if not _passes(found)]
        )
        return any(_joins(source) or any(map(_joins, _reached(source, consumers))) for source in sources)

    return {layer.layer.name for layer in leaf_layers(model) if isinstance(layer, MaskedLayer) and tied(layer)}


def _reached(layer: Layer, neighbours: Neighbours) -> Iterator[Layer]:
    """What follows a layer (or comes before it, by producers), up to and with the first that do not pass channels on."""
    seen: set[int] = set()
    open_ends = [*neighbours[id(layer)]]
    while open_ends:
        found = open_ends.pop()
        if id(found) not in seen:
            seen.add(id(found))
            yield found
            if _passes(found):
                open_ends += neighbours[id(found)]


def _passes(layer: Layer) -> bool:
    return isinstance(layer.layer if isinstance(layer, MaskedLayer) else layer, CHANNELWISE) or _is_activation(layer)


def _joins(layer: Layer) -> bool:
    return isinstance(layer, JOINING) or (_is_operation(layer) and _inputs(layer) > 1 and "concat" not in layer.name)


def _is_operation(layer: Layer) -> bool:
    """Whether the layer is what Keras makes of `a + b`, `tf.nn.relu(a)` and the like on its tensors."""
    return type(layer).__name__ == "TFOpLambda"


def _is_activation(layer: Layer) -> bool:
    """Whether it is an operation on one tensor that keeps its shape; taken for elementwise."""
    return _is_operation(layer) and _inputs(layer) == 1 and str(layer.input_shape) == str(layer.output_shape)


def _inputs(layer: Layer) -> int:
    return max(len(node.keras_inputs) for node in layer._inbound_nodes)


def batch_norm_gamma(entry: PrunableWeight) -> tf.Variable | None:
    """gamma of the batch norm that takes a kernel's outputs directly, one number per output; None if there is none."""
    taken_by = {id(node.outbound_layer): node.outbound_layer for node in entry.layer._outbound_nodes}.values()
    norms = [norm for norm in taken_by if isinstance(norm, layers.BatchNormalization)]
    return norms[0].gamma if len(norms) == 1 and norms[0].scale and entry.layout == "kernel" else None


def _neighbours(model: tf_keras.Model) -> tuple[Neighbours, Neighbours]:
    """Consumers and producers of every layer, across the borders of models inside models (whose inputs are layers too)."""
    consumers: Neighbours = defaultdict(list)
    producers: Neighbours = defaultdict(list)
    for graph in _graphs(model):
        for node in (node for depth in graph._nodes_by_depth.values() for node in depth if not node.is_input):
            for place, tensor in enumerate(node.keras_inputs):
                consumer, producer = _entrance(node.outbound_layer, place), _exit(tensor)
                consumers[id(producer)].append(consumer)
                producers[id(consumer)].append(producer)
    return consumers, producers


def _graphs(model: tf_keras.Model) -> Iterator[tf_keras.Model]:
    if _is_graph(model):
        yield model
    for layer in model.layers:
        if isinstance(layer, tf_keras.Model):
            yield from _graphs(layer)


def _is_graph(layer: Layer) -> bool:
    return isinstance(layer, tf_keras.Model) and bool(getattr(layer, "_is_graph_network", False))


def _entrance(layer: Layer, place: int) -> Layer:
    """The layer itself, or of a model the input that its tensor number `place` goes to."""
    return layer.inputs[place]._keras_history.layer if _is_graph(layer) else layer


def _exit(tensor: tf.Tensor) -> Layer:
    """The layer that really makes a tensor, inside a model if need be."""
    layer, _, place = tensor._keras_history
    return _exit(layer.outputs[place]) if _is_graph(layer) else layer
