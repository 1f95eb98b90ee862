"""Which layers' filters or channels are tied to those of other layers by additions (residual connections)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import tensorflow as tf

from dlth_tf.masking.layer import MaskedLayer
from dlth_tf.masking.weights import PrunableWeight, leaf_layers

layers = tf.keras.layers
# What leaves every channel where it is, so that a removed one can be followed through it.
CHANNELWISE = (
    layers.BatchNormalization,
    layers.Activation,
    layers.ReLU,
    layers.LeakyReLU,
    layers.Dropout,
    layers.ZeroPadding2D,
    layers.Cropping2D,
    layers.DepthwiseConv2D,
    layers.MaxPooling2D,
    layers.AveragePooling2D,
    layers.GlobalAveragePooling2D,
    layers.GlobalMaxPooling2D,
)
JOINING = (layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum)


def joined(model: tf.keras.Model, granularity: str) -> set[str]:
    """Names of the wrapped layers in which a group of this granularity cannot be removed physically by itself.

    For "filter" those whose outputs are added to others' before any layer mixes channels again, for "channel" those whose
    inputs are: in a residual network all but the inner convolutions of a block, as in the official code. A model whose
    graph is not known (subclassed) has none that can be found.
    """
    follow = {"filter": _consumers, "channel": _producers}.get(granularity)
    if follow is None:
        return set()
    wrapped = [layer for layer in leaf_layers(model) if isinstance(layer, MaskedLayer)]
    return {layer.layer.name for layer in wrapped if _meets_a_join(layer, follow)}


def _meets_a_join(layer: layers.Layer, follow: Callable[[layers.Layer], Iterable[layers.Layer]]) -> bool:
    seen: set[int] = set()
    open_ends = list(follow(layer))
    while open_ends:
        found = open_ends.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        if isinstance(found, JOINING) or _adds(found):
            return True
        if isinstance(found.layer if isinstance(found, MaskedLayer) else found, CHANNELWISE):
            open_ends += follow(found)
    return False


def scale_after(entry: PrunableWeight) -> tf.Variable | None:
    """gamma of the batch norm that takes a kernel's outputs directly, one number per output; None if there is none."""
    norms = [norm for norm in _consumers(entry.layer) if isinstance(norm, layers.BatchNormalization)]
    return norms[0].gamma if len(norms) == 1 and norms[0].scale and entry.layout == "kernel" else None


def _adds(layer: layers.Layer) -> bool:
    """Whether the layer is what Keras makes of `a + b`, `a * b` and the like on two of its tensors."""
    inputs = [node.keras_inputs for node in layer._inbound_nodes] if type(layer).__name__ == "TFOpLambda" else []
    return any(len(given) > 1 for given in inputs) and "concat" not in layer.name


def _consumers(layer: layers.Layer) -> list[layers.Layer]:
    return [node.outbound_layer for node in layer._outbound_nodes]


def _producers(layer: layers.Layer) -> list[layers.Layer]:
    return [tensor._keras_history.layer for node in layer._inbound_nodes for tensor in node.keras_inputs]
