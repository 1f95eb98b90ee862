"""Kept weights that lie on a path from the input to the output: the others have no effect on what is computed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from dlth_tf.masking.keras2.graph import is_subclassed
from dlth_tf.masking.keras2.layer import MaskedLayer
from dlth_tf.masking.keras2.layer_kinds import TYPES
from dlth_tf.masking.keras2.weights import prunable_weights
from dlth_tf.masking.structure import layer_kinds
from dlth_tf.scores.keras2 import first_replica

layers = tf_keras.layers

_MEANS = {  # pooling that chooses one position -> pooling that takes all, of the same positions
    layers.MaxPooling1D: layers.AveragePooling1D,
    layers.MaxPooling2D: layers.AveragePooling2D,
    layers.MaxPooling3D: layers.AveragePooling3D,
    layers.GlobalMaxPooling1D: layers.GlobalAveragePooling1D,
    layers.GlobalMaxPooling2D: layers.GlobalAveragePooling2D,
    layers.GlobalMaxPooling3D: layers.GlobalAveragePooling3D,
}
_UNCHANGED = (*TYPES[layer_kinds.PADDING], layers.Flatten, layers.Reshape, layers.Permute)
_KERNELS = (*TYPES[layer_kinds.MIXING], *TYPES[layer_kinds.DEPTHWISE])


class _Unknown(Exception):
    """A layer whose paths are not known."""


def weights_on_paths(
    model: tf_keras.Model, masks: Mapping[str, np.ndarray] | None = None
) -> dict[str, np.ndarray] | None:
    """Returns which weights of a wrapped model are kept and lie on a path of kept weights from the input to the output.

    A path leads through every activation, batch norm and pooling position, and does not begin at a bias: a unit without
    a path from the input is a constant. It is found by sending ones through a copy of the network that consists of
    sums with positive weights alone, and gradients back.

    Args:
      model: A wrapped model, built.
      masks: Name of every prunable weight -> booleans of its shape, True = kept; None takes what is not removed.

    Returns:
      Name of every prunable weight -> booleans of its shape; None for a model that is neither Sequential nor
      Functional, has an input of unknown shape or several inputs or outputs, or has a layer of another kind than
      `layer_kinds` lists.

    Raises:
      BadInput: If the model is not wrapped or not built.
    """
    entries = prunable_weights(model)
    kept = masks or {name: entry.kept() for name, entry in entries.items()}
    try:
        network, kernels = _sums(model, {id(entry.weight): kept[name] for name, entry in entries.items()})
    except _Unknown:
        return None
    with tf.GradientTape() as tape:
        reached = tf.reduce_sum(network(tf.ones((1, *network.input_shape[1:]), tf.float64)))
    wanted = first_replica(kernels[id(entry.weight)] for entry in entries.values())
    gradients = tape.gradient(reached, wanted, unconnected_gradients="zero")
    return {name: kept[name] & (gradient.numpy() > 0) for name, gradient in zip(entries, gradients, strict=True)}


def _sums(model: tf_keras.Model, masks: Mapping[int, np.ndarray]) -> tuple[tf_keras.Model, dict[int, tf.Variable]]:
    """Returns the network of sums, and the id of every kernel of `model` -> its kernel there, a mask over the fan-in.

    Raises:
      _Unknown: If a layer is of an unknown kind.
    """
    if is_subclassed(model):
        raise _Unknown
    copies: dict[int, tuple[tf_keras.layers.Layer, tf_keras.layers.Layer]] = {}  # one per layer, wherever it is shared

    def once(layer: tf_keras.layers.Layer) -> tf_keras.layers.Layer:
        if id(layer) not in copies:
            copies[id(layer)] = layer, rebuilt(layer) if isinstance(layer, tf_keras.Model) else _sum(_inner(layer))
        return copies[id(layer)][1]

    def rebuilt(part: tf_keras.Model) -> tf_keras.Model:
        if len(part.inputs or ()) != 1 or len(part.outputs) != 1 or None in part.inputs[0].shape[1:]:
            raise _Unknown
        inputs = tf_keras.Input(part.inputs[0].shape[1:], dtype="float64")
        return tf_keras.models.clone_model(part, inputs, clone_function=once)

    network = rebuilt(model)
    kernels = {}
    for layer, copy in copies.values():
        if isinstance(_inner(layer), _KERNELS):
            (kernel,) = copy.weights
            old = next(weight for weight in _inner(layer).weights if weight.shape == kernel.shape)
            kernel.assign(masks.get(id(old), np.ones(old.shape)) / math.prod(old.shape[:-1]))
            kernels[id(old)] = kernel
    return network, kernels


def _inner(layer: tf_keras.layers.Layer) -> tf_keras.layers.Layer:
    return layer.layer if isinstance(layer, MaskedLayer) else layer


def _sum(layer: tf_keras.layers.Layer) -> tf_keras.layers.Layer:
    """Returns the layer that passes on positive numbers wherever `layer` passes on anything."""
    config: dict[str, Any] = {**layer.get_config(), "dtype": "float64"}
    if type(layer) in _KERNELS:
        return type(layer).from_config({**config, "use_bias": False, "activation": "linear"})
    if type(layer) in (*TYPES[layer_kinds.POINTWISE], layers.Rescaling, layers.Normalization):
        return layers.Activation("linear", name=layer.name, dtype="float64")
    if type(layer) in TYPES[layer_kinds.POOLING]:
        return _MEANS.get(type(layer), type(layer)).from_config(config)
    if type(layer) in (*_UNCHANGED, layers.Concatenate, layers.Multiply):
        return type(layer).from_config(config)
    if type(layer) in TYPES[layer_kinds.JOIN]:
        return layers.Add(name=layer.name, dtype="float64")
    raise _Unknown
