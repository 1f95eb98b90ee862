"""Prunable parts of layers: the layers inside a layer, and the names of their weights."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TypeAlias

import tensorflow as tf
import tf_keras

from dlth_tf.masking.keras2.tfmot import PruneRegistry
from dlth_tf.masking.structure.layer_paths import Path, parts_of

Layer: TypeAlias = tf_keras.layers.Layer


def declares_weights(layer: Layer) -> bool:
    """Returns whether the layer's own code says which of its weights can be pruned (`get_prunable_weights`)."""
    declared = getattr(layer, "get_prunable_weights", None)
    if declared is None or PruneRegistry.supports(layer):
        return False  # of the types that it supports, tf-mot itself sets the method
    return not (isinstance(declared, functools.partial) and declared.func is weights_of_parts)


def pruned_attributes(layer: Layer) -> Sequence[str]:
    """Returns the weights that tf-mot prunes in a layer of a type that it supports; for RNNs it asks the cells."""
    return PruneRegistry._LAYERS_WEIGHTS_MAP.get(type(layer), ("recurrent",))


def is_prunable(layer: Layer) -> bool:
    """Returns whether the layer itself has weights that can be pruned, its parts aside."""
    return declares_weights(layer) or (PruneRegistry.supports(layer) and bool(pruned_attributes(layer)))


def prunable_parts(layer: Layer) -> list[tuple[Path, Layer]]:
    """Returns the prunable layers inside a layer that is not prunable itself (see `layer_paths.parts_of`)."""
    return parts_of(layer, is_prunable)


def weights_of_parts(layer: Layer, chosen: Callable[[Path], bool]) -> list[tf.Variable]:
    """Returns the prunable weights of the parts of a layer whose path is chosen, each once."""
    found: dict[int, tf.Variable] = {}
    for path, part in prunable_parts(layer):
        if chosen(path):
            found |= {id(weight): weight for weight in own_prunable_weights(part)}
    return list(found.values())


def own_prunable_weights(layer: Layer) -> list[tf.Variable]:
    """Returns the prunable weights of a built layer that is prunable itself."""
    if declares_weights(layer):
        return list(layer.get_prunable_weights())
    return list(PruneRegistry.make_prunable(layer).get_prunable_weights())
