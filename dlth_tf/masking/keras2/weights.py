"""Layers and weights of a Keras 2 model, by name."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from typing import TypeAlias

import tensorflow as tf
import tf_keras

from dlth_tf.errors import BadInput
from dlth_tf.masking.keras2.layer import MaskedLayer
from dlth_tf.masking.keras2.parts import is_prunable, prunable_parts
from dlth_tf.masking.prunable import PrunableWeight
from dlth_tf.masking.structure.layer_paths import (
    Path,
    located,
    own_weights,
    renumbered,
    unique_names,
    variables_of,
    weight_names,
)

Layer: TypeAlias = tf_keras.layers.Layer


def is_wrapped(layer: Layer) -> bool:
    """Returns whether the layer is this package's wrapper."""
    return isinstance(layer, MaskedLayer)


def has_masks(model: tf_keras.Model) -> bool:
    """Returns whether the model is wrapped."""
    return any(is_wrapped(layer) for layer in leaf_layers(model))


def inner_layer(layer: Layer) -> Layer:
    """Returns the layer inside a wrapper, or the layer itself."""
    return layer.layer if isinstance(layer, MaskedLayer) else layer


def is_batch_norm(layer: Layer) -> bool:
    """Returns whether the layer is a batch normalization."""
    return isinstance(layer, tf_keras.layers.BatchNormalization)


def leaf_layers(model: tf_keras.Model) -> Iterator[Layer]:
    """Yields every layer of a model and of nested models, once each, in model order; input layers are left out."""
    for _, layer in _located(model):
        yield layer


def _located(model: tf_keras.Model) -> Iterator[tuple[Path, Layer]]:
    """Every layer with the names of the nested models around it."""
    return located(model, tf_keras.Model, tf_keras.layers.InputLayer)


def layer_names(model: tf_keras.Model) -> dict[int, str]:
    """Returns a name for every layer with weights, by id of the layer inside the wrapper (see `unique_names`)."""
    return unique_names([(path, inner_layer(layer)) for path, layer in _located(model)])


def prunable_weights(model: tf_keras.Model) -> dict[str, PrunableWeight]:
    """Returns the prunable weights of a wrapped model: "layer_name/weight" -> PrunableWeight, in model order.

    Raises:
      BadInput: If the model is not wrapped or not built, or two of its layers share a name.
    """
    wrappers = [layer for layer in leaf_layers(model) if isinstance(layer, MaskedLayer)]
    if not wrappers:
        reason = "is not wrapped (call model = dlth_tf.wrap(model) before compile), or nothing in it can be pruned"
        raise BadInput("model", model.name, reason)
    unbuilt = [wrapper.layer.name for wrapper in wrappers if not wrapper.built]
    if unbuilt and (not model.built or len(unbuilt) == len(wrappers)):
        reason = f"is not built yet (layer {unbuilt[0]}): call it once on a batch, or model.build(shape)"
        raise BadInput("model", model.name, reason)
    wrappers = [wrapper for wrapper in wrappers if wrapper.built]  # nothing in a built model calls the others
    names = layer_names(model)
    trained = {id(weight) for weight in model.trainable_weights}
    stable = renumbered([wrapper.layer for wrapper in wrappers])
    for name, times in Counter(names[id(wrapper.layer)] for wrapper in wrappers).items():
        if times > 1:
            reason = (
                f"has {times} prunable layers named {name!r}: tickets are keyed by layer name, so rename all but one"
            )
            raise BadInput("model", model.name, reason)
    found: dict[str, PrunableWeight] = {}
    for wrapper in wrappers:
        for entry in _entries(wrapper, names[id(wrapper.layer)], stable[id(wrapper.layer)]):
            found[entry.name] = dataclasses.replace(entry, frozen=id(entry.weight) not in trained)
    return found


def _entries(wrapper: MaskedLayer, layer_name: str, stable_name: str) -> Iterator[PrunableWeight]:
    """The prunable weights of one wrapper."""
    names = weight_names(wrapper.layer)
    parts = [] if is_prunable(wrapper.layer) else prunable_parts(wrapper.layer)
    owners = {id(weight): ("/".join(path), part) for path, part in parts for weight in part.weights}
    around = layer_name.removesuffix(wrapper.layer.name)
    for (weight, mask, _), ticket in zip(wrapper.pruning_vars, wrapper.tickets, strict=True):
        part_name, part = owners.get(id(weight), ("", wrapper.layer))
        yield PrunableWeight(
            name=f"{layer_name}/{names[id(weight)]}",
            layer=part,
            weight=weight,
            mask=mask,
            ticket=ticket,
            layer_name=f"{layer_name}/{part_name}" if part_name else layer_name,
            outer=wrapper.layer,
            stable_name=f"{around}{stable_name}/{names[id(weight)]}",
        )


def named_weights(model: tf_keras.Model) -> dict[str, tf.Variable]:
    """Returns every weight of the network, wrapped or not, without masks and tickets: "layer_name/weight" -> variable.

    Those of the model itself come last.

    Raises:
      BadInput: If two layers with weights share a name.
    """
    weights: dict[str, tf.Variable] = {}
    layer_name = layer_names(model)
    for layer in map(inner_layer, leaf_layers(model)):
        names = weight_names(layer)
        for weight in variables_of(layer):
            name = f"{layer_name[id(layer)]}/{names[id(weight)]}"
            if name in weights:
                reason = f"has several layers named {layer.name!r} with weights: rename all but one"
                raise BadInput("model", model.name, reason)
            weights[name] = weight
    return weights | own_weights(model, leaf_layers(model))
