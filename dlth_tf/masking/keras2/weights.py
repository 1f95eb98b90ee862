"""Layers and weights of a Keras 2 model, by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TypeAlias

import tensorflow as tf
import tf_keras

from dlth_tf.errors import BadInput
from dlth_tf.masking.keras2.layer import MaskedLayer
from dlth_tf.masking.prunable import PrunableWeight

Layer: TypeAlias = tf_keras.layers.Layer


def is_wrapped(layer: Layer) -> bool:
    """Returns whether the layer is this package's wrapper."""
    return isinstance(layer, MaskedLayer)


def inner_layer(layer: Layer) -> Layer:
    """Returns the layer inside a wrapper, or the layer itself."""
    return layer.layer if isinstance(layer, MaskedLayer) else layer


def is_batch_norm(layer: Layer) -> bool:
    """Returns whether the layer is a batch normalization."""
    return isinstance(layer, tf_keras.layers.BatchNormalization)


def leaf_layers(model: tf_keras.Model) -> Iterator[Layer]:
    """Yields every layer of a model and of nested models, once each, in model order; input layers are left out."""
    seen: set[int] = set()

    def walk(layers: list[Layer]) -> Iterator[Layer]:
        for layer in layers:
            if id(layer) in seen:
                continue
            seen.add(id(layer))
            if isinstance(layer, tf_keras.Model):
                yield from walk(layer.layers)
            elif not isinstance(layer, tf_keras.layers.InputLayer):
                yield layer

    return walk(model.layers)


def prunable_weights(model: tf_keras.Model) -> dict[str, PrunableWeight]:
    """Returns the prunable weights of a wrapped model: "layer_name/weight" -> PrunableWeight, in model order.

    Raises:
      BadInput: If the model is not wrapped or not built, or two of its layers share a name.
    """
    wrappers = [layer for layer in leaf_layers(model) if isinstance(layer, MaskedLayer)]
    if not wrappers:
        reason = "is not wrapped (call model = dlth_tf.wrap(model) before compile), or nothing in it can be pruned"
        raise BadInput("model", model.name, reason)
    for wrapper in wrappers:
        if not wrapper.built:
            reason = f"is not built yet (layer {wrapper.layer.name}): call it once on a batch, or model.build(shape)"
            raise BadInput("model", model.name, reason)
    for name, times in Counter(wrapper.layer.name for wrapper in wrappers).items():
        if times > 1:
            reason = (
                f"has {times} prunable layers named {name!r}: tickets are keyed by layer name, so rename all but one"
            )
            raise BadInput("model", model.name, reason)
    entries = {}
    for wrapper in wrappers:
        names = _names([weight for weight, _, _ in wrapper.pruning_vars])
        for name, (weight, mask, _), ticket in zip(names, wrapper.pruning_vars, wrapper.tickets, strict=True):
            key = f"{wrapper.layer.name}/{name}"
            entries[key] = PrunableWeight(key, wrapper.layer, weight, mask, ticket)
    return entries


def named_weights(model: tf_keras.Model) -> dict[str, tf.Variable]:
    """Returns every weight of the network, wrapped or not, without masks and tickets: "layer_name/weight" -> variable.

    Raises:
      BadInput: If two layers with weights share a name.
    """
    weights: dict[str, tf.Variable] = {}
    for layer in map(inner_layer, leaf_layers(model)):
        for name, weight in zip(_names(layer.weights), layer.weights, strict=True):
            if f"{layer.name}/{name}" in weights:
                reason = f"has several layers named {layer.name!r} with weights: rename all but one"
                raise BadInput("model", model.name, reason)
            weights[f"{layer.name}/{name}"] = weight
    return weights


def _names(weights: list[tf.Variable]) -> list[str]:
    """The shortest ends of the variables' own names that differ ("kernel"; "query/kernel" in attention)."""
    if not weights:
        return []
    parts = [weight.name.split(":")[0].split("/") for weight in weights]
    for length in range(1, 1 + max(map(len, parts))):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{'/'.join(part[-1:])}_{index}" for index, part in enumerate(parts)]
