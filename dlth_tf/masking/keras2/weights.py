"""Every prunable weight of a wrapped model under its ticket name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
import tf_keras

from dlth_tf.core.layout import layout_of
from dlth_tf.errors import BadInput
from dlth_tf.masking.keras2.layer import MaskedLayer


@dataclass(frozen=True)
class PrunableWeight:
    """One weight tensor with its mask and its ticket, all of one shape and dtype."""

    name: str
    layer: MaskedLayer
    weight: tf.Variable
    mask: tf.Variable
    ticket: tf.Variable

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the weight, and so of mask and ticket."""
        return tuple(self.weight.shape)

    @property
    def layout(self) -> str:
        """How the tensor's axes are to be read (`core.layout`); transposed convolutions have outputs before inputs."""
        if "Transpose" in type(self.layer.layer).__name__:
            return "transposed"
        return layout_of(self.name, self.shape)

    def chosen(self) -> np.ndarray:
        """The ticket as booleans, True = kept."""
        return self.ticket.numpy() != 0

    def kept(self) -> np.ndarray:
        """The mask as booleans, True = not removed (yet)."""
        return self.mask.numpy() != 0


def leaf_layers(model: tf_keras.Model) -> Iterator[tf_keras.layers.Layer]:
    """Every layer of a model and of the models inside it, once each, in model order."""
    seen: set[int] = set()

    def walk(layers: list[tf_keras.layers.Layer]) -> Iterator[tf_keras.layers.Layer]:
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
    """The prunable weights of a wrapped model: "layer_name/weight" -> PrunableWeight, in model order.

    Raises:
      BadInput: the model is not wrapped or not built, or two of its layers share a name.
    """
    wrappers = [layer for layer in leaf_layers(model) if isinstance(layer, MaskedLayer)]
    if not wrappers:
        raise BadInput(
            "model",
            model.name,
            "is not wrapped (call model = dlth_tf.wrap(model) before compile), or nothing in it can be pruned",
        )
    for wrapper in wrappers:
        if not wrapper.built:
            raise BadInput(
                "model",
                model.name,
                f"is not built yet (layer {wrapper.layer.name}): call it once on a batch, or model.build(shape)",
            )
    for name, times in Counter(wrapper.layer.name for wrapper in wrappers).items():
        if times > 1:
            raise BadInput(
                "model",
                model.name,
                f"has {times} prunable layers named {name!r}: tickets are keyed by layer name, give each its own",
            )
    found = {}
    for wrapper in wrappers:
        weights = [weight for weight, _, _ in wrapper.pruning_vars]
        for name, (weight, mask, _), ticket in zip(_names(weights), wrapper.pruning_vars, wrapper.tickets, strict=True):
            found[f"{wrapper.layer.name}/{name}"] = PrunableWeight(
                f"{wrapper.layer.name}/{name}", wrapper, weight, mask, ticket
            )
    return found


def check_removed(model: tf_keras.Model) -> None:
    """Sees that every weight that the masks remove is zero.

    Raises:
      RuntimeError: one is not; the tensor is named.
    """
    for name, entry in prunable_weights(model).items():
        if np.any(entry.weight.numpy()[~entry.kept()]):
            raise RuntimeError(
                f"{name} has removed weights that are not zero: something outside the optimizer's step changed them"
            )


def named_weights(model: tf_keras.Model) -> dict[str, tf.Variable]:
    """Every weight of the network itself, wrapped or not, without masks and tickets: "layer_name/weight" -> variable.

    Raises:
      BadInput: two layers with weights share a name.
    """
    found: dict[str, tf.Variable] = {}
    for layer in leaf_layers(model):
        layer = layer.layer if isinstance(layer, MaskedLayer) else layer
        for name, weight in zip(_names(layer.weights), layer.weights, strict=True):
            if f"{layer.name}/{name}" in found:
                raise BadInput(
                    "model", model.name, f"has several layers named {layer.name!r} with weights: give each its own name"
                )
            found[f"{layer.name}/{name}"] = weight
    return found


def _names(weights: list[tf.Variable]) -> list[str]:
    """The shortest ends of the variables' own names that tell them apart ("kernel"; "query/kernel" in attention)."""
    if not weights:
        return []
    parts = [weight.name.split(":")[0].split("/") for weight in weights]
    for length in range(1, 1 + max(map(len, parts))):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{'/'.join(part[-1:])}_{index}" for index, part in enumerate(parts)]
