"""wrap and strip: from an ordinary model of Keras 2 to a maskable one and back."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import tensorflow as tf
import tf_keras

from dlth_tf.core.removed_weights import not_zero
from dlth_tf.errors import BadInput
from dlth_tf.masking.keras2.graph import is_subclassed
from dlth_tf.masking.keras2.layer import MaskedLayer
from dlth_tf.masking.keras2.tfmot import PruneLowMagnitude, PruneRegistry
from dlth_tf.masking.keras2.weights import inner_layer, leaf_layers, prunable_weights

Layer: TypeAlias = tf_keras.layers.Layer


def wrap(model: tf_keras.Model, *, skip: str | Sequence[str] = (), only: str | Sequence[str] = ()) -> tf_keras.Model:
    """Puts tf-mot's wrapper on every layer that has something to prune (see `masking.world.wrap`)."""
    if not isinstance(model, tf_keras.Model):
        allowed = "must be a tf_keras.Model"
        raise BadInput("model", type(model).__name__, allowed)
    skipped = _patterns(skip)
    chosen = _patterns(only)
    layers = list(leaf_layers(model))
    _check_wrappable(model, layers)
    names = [inner_layer(layer).name for layer in layers]
    for kind, patterns in (("skip", skipped), ("only", chosen)):
        for pattern in patterns:
            if not fnmatch.filter(names, pattern):
                raise BadInput(kind, pattern, f"matches no layer; the model has {', '.join(names)}")

    def wrapped(layer: Layer) -> Layer:
        left_out = _matches(layer, skipped) or (chosen and not _matches(layer, chosen))
        return layer if left_out or why_dense(layer) else _wrap_layer(layer)

    if all(layer is wrapped_layer for layer, wrapped_layer in ((n, wrapped(n)) for n in layers)):
        if not any(isinstance(layer, MaskedLayer) for layer in layers):
            reason = "has no layer that tf-mot can prune (dlth_tf.layer_table gives the reason for each)"
            raise BadInput("model", model.name, reason)
        return model
    return _rebuild(model, wrapped)


def _check_wrappable(model: tf_keras.Model, layers: list[Layer]) -> None:
    for layer in layers:
        if isinstance(layer, PruneLowMagnitude) and not isinstance(layer, MaskedLayer):
            reason = f"has tf-mot's own wrapper {layer.name}: call tfmot.sparsity.keras.strip_pruning first"
            raise BadInput("model", model.name, reason)
        if isinstance(layer, tf_keras.layers.MultiHeadAttention) and not layer.built:
            reason = f"is not built yet ({layer.name} creates its weights in its first call): call it once on a batch"
            raise BadInput("model", model.name, reason)


def strip(model: tf_keras.Model) -> tf_keras.Model:
    """Returns the ordinary model inside a wrapped one (see `masking.world.strip`)."""
    for name, entry in prunable_weights(model).items():
        kept = entry.kept()
        if np.any(kept & ~entry.chosen()):
            remedy = "let RSTPenalty finish, or apply_ticket(model, ticket, remove=True)"
            raise BadInput(
                "model", model.name, f"has a ticket for {name} but its weights are not removed yet: {remedy}"
            )
        if observed := not_zero(entry.weight.numpy(), kept):
            causes = (
                "a fit without callbacks.KeepMask() or RandomMask(remove=True) changes nearly all of them, a "
                "constraint, an assignment or a train step of your own may change some, and a loss that is not finite "
                "makes kept weights NaN too; masking.remove(model) sets them to zero again"
            )
            raise BadInput(
                "model", model.name, f"has removed weights in {name} that are not zero ({observed}): {causes}"
            )
    return _rebuild(model, inner_layer)


def why_dense(layer: Layer) -> str | None:
    """Returns why tf-mot cannot prune this layer, or None if it can."""
    if isinstance(layer, MaskedLayer):
        return "is wrapped already"
    kind = type(layer).__name__
    if not PruneRegistry.supports(layer):
        if hasattr(layer, "get_prunable_weights"):
            return None
        return f"tf-mot does not know the layer type {kind}" if layer.weights or not layer.built else "has no weights"
    # tf-mot lists every type that it accepts with the weights that it prunes; for recurrent layers it asks the cells.
    prunes = PruneRegistry._LAYERS_WEIGHTS_MAP.get(type(layer), ["recurrent"])
    if not prunes:
        return f"tf-mot prunes no weight of a {kind}" if layer.weights else "has no weights"
    return None


def _patterns(patterns: str | Sequence[str]) -> tuple[str, ...]:
    if isinstance(patterns, str):
        return tuple(part.strip() for part in patterns.split(",") if part.strip())
    return tuple(patterns)


def _matches(layer: Layer, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(inner_layer(layer).name, pattern) for pattern in patterns)


def _wrap_layer(layer: Layer) -> MaskedLayer:
    wrapper = MaskedLayer(layer)
    if layer.built:
        with tf.name_scope(wrapper.name):  # tf-mot's summaries expect the layer's name in those of its mask variables
            wrapper.build(None)
    return wrapper


def _rebuild(model: tf_keras.Model, change: Callable[[Layer], Layer]) -> tf_keras.Model:
    """Replaces every layer of a model and of nested models by `change(layer)`."""
    done: dict[int, Layer] = {}  # one replacement per layer, wherever it is shared

    def once(layer: Layer) -> Layer:
        if id(layer) not in done:
            done[id(layer)] = rebuild(layer) if isinstance(layer, tf_keras.Model) else change(layer)
        return done[id(layer)]

    def rebuild(inner: tf_keras.Model) -> tf_keras.Model:
        return _exchange_in_place(inner, once) if is_subclassed(inner) else _clone(inner, once)

    return rebuild(model)


def _clone(model: tf_keras.Model, once: Callable[[Layer], Layer]) -> tf_keras.Model:
    """Rebuilds a graph network around other layers, with its class and its attributes."""
    clone = tf_keras.models.clone_model(model, clone_function=once)
    object.__setattr__(
        clone, "__class__", type(model)
    )  # clone_model drops a class that has its own constructor, and with it the train_step
    for attribute in [name for name in vars(model) if name not in vars(clone)]:
        setattr(clone, attribute, _replace_layers(vars(model)[attribute], once))
    return clone


def _exchange_in_place(model: tf_keras.Model, once: Callable[[Layer], Layer]) -> tf_keras.Model:
    """Replaces the layers in the attributes of a subclassed model."""
    held = {
        name: value for name, value in vars(model).items() if not name.startswith("_self_") and _holds_layers(value)
    }
    for attribute, value in held.items():
        delattr(model, attribute)  # tracked again in the same order, on which "first" and "last" depend
        setattr(model, attribute, _replace_layers(value, once))
    model.train_function = model.test_function = model.predict_function = None
    return model


def _is_layer(value: object) -> bool:
    return isinstance(value, tf_keras.layers.Layer) and not isinstance(
        value, tf_keras.metrics.Metric
    )  # Keras derives it from Layer


def _holds_layers(value: object) -> bool:
    if isinstance(value, list | tuple | dict):
        return any(_holds_layers(item) for item in (value.values() if isinstance(value, dict) else value))
    return _is_layer(value)


def _replace_layers(value: object, once: Callable[[Layer], Layer]) -> object:
    """Replaces the layers in a value; returns the same object if it has no layers."""
    if not _holds_layers(value):
        return value
    if isinstance(value, dict):
        return {key: _replace_layers(item, once) for key, item in value.items()}
    if isinstance(value, list | tuple):
        new = [_replace_layers(item, once) for item in value]
        if isinstance(value, list):
            return new
        return value._make(new) if hasattr(value, "_make") else tuple(new)  # a named tuple stays one
    return once(value)
