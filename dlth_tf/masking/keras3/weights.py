"""Layers and weights of a Keras 3 model, by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import keras

from dlth_tf.errors import BadInput
from dlth_tf.masking.keras3.execution import sync
from dlth_tf.masking.keras3.prunable import is_prunable, own_prunable_weights, packed_weights, weights_with_lora
from dlth_tf.masking.prunable import PrunableWeight
from dlth_tf.masking.structure.layer_paths import (
    Path,
    all_sublayers,
    located,
    own_weights,
    parts_of,
    paths_of,
    renumbered,
    unique_names,
    variables_of,
    weight_names,
)

Layer: TypeAlias = Any  # keras.Layer


def is_batch_norm(layer: Layer) -> bool:
    """Returns whether the layer is a batch normalization."""
    return isinstance(layer, keras.layers.BatchNormalization)


def _located(model: Any) -> Iterator[tuple[Path, Layer]]:
    return located(model, keras.Model, keras.layers.InputLayer)


def leaf_layers(model: Any) -> Iterator[Layer]:
    """Yields every layer of a model and of nested models, once each, in model order; input layers are left out."""
    for _, layer in _located(model):
        yield layer


def models_inside(model: Any) -> list[Any]:
    """Returns the models inside a model, at any depth."""
    return [layer for layer in all_sublayers(model) if isinstance(layer, keras.Model)]


def paths(model: Any) -> list[Path]:
    """Returns the paths of the layers and of their prunable parts."""
    return [path for layer in leaf_layers(model) for path in paths_of(layer, is_prunable)]


def find_prunable(model: Any, arrays: Any) -> dict[str, PrunableWeight]:
    """Finds every weight that can be pruned: "layer_name/weight" -> PrunableWeight, in model order.

    Args:
      model: A Keras 3 model.
      arrays: Function from (name, path of the layer, weight, quantization if packed) to mask and ticket, or None for a
        weight that is left out.

    Raises:
      BadInput: If the model is not built, or two layers share a name.
    """
    layers = list(_built_parts(model))
    names = unique_names(list(_located(model)))
    stable = _stable_names(model, names, [layer for layer, _ in layers])
    trained = {id(weight) for weight in model.trainable_weights}
    found: dict[str, PrunableWeight] = {}
    seen: set[int] = set()
    for layer, parts in layers:
        own = weight_names(layer)
        outer = names[id(layer)]
        packed, with_lora = packed_weights(layer), weights_with_lora(layer)
        for path, part in parts:
            for weight in own_prunable_weights(part):
                if id(weight) in seen:  # a weight that two layers share
                    continue
                seen.add(id(weight))
                name = f"{outer}/{own[id(weight)]}"
                if name in found:
                    allowed = f"has several prunable weights named {name}: tickets are keyed by name, so rename a layer"
                    raise BadInput("model", model.name, allowed)
                mask, ticket = arrays(name, (layer.name, *path), weight, packed.get(id(weight))) or (None, None)
                if mask is None:
                    continue
                found[name] = PrunableWeight(
                    name=name,
                    layer=part,
                    weight=weight,
                    mask=mask,
                    ticket=ticket,
                    layer_name="/".join((outer, *path)),
                    outer=layer,
                    frozen=id(weight) not in trained,
                    in_use=with_lora.get(id(weight)),
                    stable_name=f"{stable[id(layer)]}/{own[id(weight)]}",
                )
    return found


def _built_parts(model: Any) -> Iterator[tuple[Layer, list[tuple[Path, Layer]]]]:
    """The layers with prunable parts, and these with their paths; nothing in a built model calls those not built."""
    layers = [(layer, parts) for layer in leaf_layers(model) if (parts := _parts(layer))]
    unbuilt = [part.name for layer, parts in layers for _, part in parts if not (layer.built and part.built)]
    if unbuilt and (not model.built or len(unbuilt) == sum(len(parts) for _, parts in layers)):
        reason = f"is not built yet (layer {unbuilt[0]}): call it once on a batch, or model.build(shape)"
        raise BadInput("model", model.name, reason)
    for layer, parts in layers:
        if layer.built and (built := [(path, part) for path, part in parts if part.built]):
            yield layer, built


def _stable_names(model: Any, names: Mapping[int, str], layers: Sequence[Layer]) -> dict[int, str]:
    """The names of layers, by id, with automatic numbers that count within the model, also of models around them."""
    models = models_inside(model)
    stable = renumbered([*layers, *models])
    around = {each.name: stable[id(each)] for each in models}
    paths = {id(layer): path if names.get(id(layer)) != layer.name else () for path, layer in _located(model)}
    made = {key: "/".join((*map(around.__getitem__, paths[key]), stable[key])) for key in map(id, layers)}
    times = Counter(made.values())
    return {key: name if times[name] == 1 else names[key] for key, name in made.items()}


def _parts(layer: Layer) -> list[tuple[Path, Layer]]:
    """The prunable layers of a layer with their paths: itself, or those inside it."""
    return [((), layer)] if is_prunable(layer) else parts_of(layer, is_prunable)


def named_weights(model: Any) -> dict[str, Any]:
    """Returns every weight of the network: "layer_name/weight" -> variable; last those of the model itself.

    Raises:
      BadInput: If two layers with weights share a name.
    """
    sync(model)
    names = unique_names(list(_located(model)))
    weights: dict[str, Any] = {}
    for layer in leaf_layers(model):
        own = weight_names(layer)
        for weight in variables_of(layer):
            name = f"{names[id(layer)]}/{own[id(weight)]}"
            if name in weights:
                reason = f"has several layers named {layer.name!r} with weights: rename all but one"
                raise BadInput("model", model.name, reason)
            weights[name] = weight
    return weights | own_weights(model, leaf_layers(model))
