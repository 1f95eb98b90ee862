"""wrap and strip: an ordinary Keras model -> a maskable one -> an ordinary one with zeros inside."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import tensorflow as tf
import tf_keras

from dlth_tf.errors import BadInput
from dlth_tf.masking.keras2.layer import MaskedLayer
from dlth_tf.masking.keras2.tfmot import PruneLowMagnitude, PruneRegistry
from dlth_tf.masking.keras2.weights import leaf_layers, prunable_weights

Layer: TypeAlias = tf_keras.layers.Layer


def wrap(model: tf_keras.Model, *, skip: str | Sequence[str] = (), only: str | Sequence[str] = ()) -> tf_keras.Model:
    """Puts tf-mot's wrapper (`MaskedLayer`) on every layer that has something to prune.

    Sequential and Functional models, models inside models and shared layers are rebuilt around the same layers, so the
    weights are those of `model`; a subclassed model gets its layers replaced in place. What tf-mot does not know stays
    dense: `layer_table` says which and why. A model that was rebuilt is not compiled.

    Args:
      model: a Keras 2 model.
      skip: layer names or patterns ("block1*") that are left as they are.
      only: if given, just the layers with these names or patterns are wrapped.

    Returns:
      The wrapped model (for a subclassed model, `model` itself).

    Raises:
      BadInput: no Keras 2 model; nothing in it can be pruned; a pattern that matches no layer; stock tf-mot wrappers; an
        attention layer that was never called.
    """
    if not isinstance(model, tf_keras.Model):
        raise BadInput(
            "model",
            type(model).__name__,
            "must be a tf_keras.Model of Keras 2 (tf_keras), which is what dlth_tf works with",
        )
    skip, only = _patterns(skip), _patterns(only)
    layers = list(leaf_layers(model))
    for layer in layers:
        if isinstance(layer, PruneLowMagnitude) and not isinstance(layer, MaskedLayer):
            raise BadInput(
                "model",
                model.name,
                f"holds tf-mot's own wrapper {layer.name}: call tfmot.sparsity.keras.strip_pruning first",
            )
        if isinstance(layer, tf_keras.layers.MultiHeadAttention) and not layer.built:
            raise BadInput(
                "model",
                model.name,
                f"is not built yet ({layer.name} makes its weights in its first call): call it once on a batch",
            )
    names = [_plain_name(layer) for layer in layers]
    for kind, patterns in (("skip", skip), ("only", only)):
        for pattern in patterns:
            if not fnmatch.filter(names, pattern):
                raise BadInput(kind, pattern, f"matches no layer; the model has {', '.join(names)}")

    def wrapped(layer: Layer) -> Layer:
        left_out = _matches(layer, skip) or (only and not _matches(layer, only))
        return layer if left_out or why_dense(layer) else _wrap_layer(layer)

    if all(layer is wrapped_layer for layer, wrapped_layer in ((n, wrapped(n)) for n in layers)):
        if not any(isinstance(layer, MaskedLayer) for layer in layers):
            raise BadInput(
                "model", model.name, "has no layer that tf-mot can prune (dlth_tf.layer_table tells why for each)"
            )
        return model
    return _rebuild(model, wrapped)


def strip(model: tf_keras.Model) -> tf_keras.Model:
    """The ordinary Keras model inside a wrapped one, with exact zeros where weights were removed. Shares its weights.

    Raises:
      BadInput: not wrapped; the ticket was chosen but nothing is removed yet; or removed weights are not zero any
        more, because the model was trained without a callback that keeps them so.
    """
    for name, entry in prunable_weights(model).items():
        kept, chosen = entry.kept(), entry.chosen()
        if np.any(kept & ~chosen):
            raise BadInput(
                "model",
                model.name,
                f"has a ticket for {name} but its weights are not removed yet: "
                "let RSTPenalty finish, or apply_ticket(model, ticket, remove=True)",
            )
        if np.any(entry.weight.numpy()[~kept]):
            raise BadInput(
                "model",
                model.name,
                f"has removed weights in {name} that are not zero: it was trained without callbacks.KeepMask() or RandomMask(remove=True)",
            )
    return _rebuild(model, lambda layer: layer.layer if isinstance(layer, MaskedLayer) else layer)


def why_dense(layer: Layer) -> str | None:
    """Why tf-mot cannot prune this layer, or None if it can."""
    if isinstance(layer, MaskedLayer):
        return "is wrapped already"
    kind = type(layer).__name__
    if not PruneRegistry.supports(layer):
        if hasattr(layer, "get_prunable_weights"):
            return None
        return f"tf-mot does not know the layer type {kind}" if layer.weights or not layer.built else "has no weights"
    # tf-mot lists every type it accepts with the weights it prunes; for recurrent layers it asks the cells.
    prunes = PruneRegistry._LAYERS_WEIGHTS_MAP.get(type(layer), ["recurrent"])
    if not prunes:
        return f"tf-mot prunes no weight of a {kind}" if layer.weights else "has no weights"
    return None


def _patterns(given: str | Sequence[str]) -> tuple[str, ...]:
    return tuple(part.strip() for part in given.split(",") if part.strip()) if isinstance(given, str) else tuple(given)


def _plain_name(layer: Layer) -> str:
    return layer.layer.name if isinstance(layer, MaskedLayer) else layer.name


def _matches(layer: Layer, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(_plain_name(layer), pattern) for pattern in patterns)


def _wrap_layer(layer: Layer) -> MaskedLayer:
    wrapper = MaskedLayer(layer)
    if layer.built:
        with tf.name_scope(wrapper.name):  # mask variables carry the layer's name, as tf-mot's summaries expect
            wrapper.build(None)
    return wrapper


def _is_subclassed(model: tf_keras.Model) -> bool:
    return not (isinstance(model, tf_keras.Sequential) or model._is_graph_network)


def _rebuild(model: tf_keras.Model, change: Callable[[Layer], Layer]) -> tf_keras.Model:
    """`model` with every layer replaced by `change(layer)`, in models inside it too."""
    done: dict[int, Layer] = {}  # one replacement per layer, wherever it is shared

    def once(layer: Layer) -> Layer:
        if id(layer) not in done:
            done[id(layer)] = rebuild(layer) if isinstance(layer, tf_keras.Model) else change(layer)
        return done[id(layer)]

    def rebuild(inner: tf_keras.Model) -> tf_keras.Model:
        return _exchange_in_place(inner, once) if _is_subclassed(inner) else _clone(inner, once)

    return rebuild(model)


def _clone(model: tf_keras.Model, once: Callable[[Layer], Layer]) -> tf_keras.Model:
    """A graph network around other layers, with the class and the attributes that its user gave it."""
    clone = tf_keras.models.clone_model(model, clone_function=once)
    object.__setattr__(
        clone, "__class__", type(model)
    )  # clone_model drops a class with its own constructor, and so its train_step
    for attribute in [name for name in vars(model) if name not in vars(clone)]:
        setattr(clone, attribute, _replace_layers(vars(model)[attribute], once))
    return clone


def _exchange_in_place(model: tf_keras.Model, once: Callable[[Layer], Layer]) -> tf_keras.Model:
    """A subclassed model with the layers in its attributes replaced."""
    held = {
        name: value for name, value in vars(model).items() if not name.startswith("_self_") and _holds_layers(value)
    }
    for attribute, value in held.items():
        delattr(
            model, attribute
        )  # so that every one is tracked anew: model.layers keeps its order, and with it "first" and "last"
        setattr(model, attribute, _replace_layers(value, once))
    model.train_function = model.test_function = model.predict_function = None
    return model


def _is_layer(value: object) -> bool:
    return isinstance(value, tf_keras.layers.Layer) and not isinstance(
        value, tf_keras.metrics.Metric
    )  # which Keras derives from Layer


def _holds_layers(value: object) -> bool:
    if isinstance(value, list | tuple | dict):
        return any(_holds_layers(item) for item in (value.values() if isinstance(value, dict) else value))
    return _is_layer(value)


def _replace_layers(value: object, once: Callable[[Layer], Layer]) -> object:
    """`value` with the layers in it replaced; the same object if there are none."""
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
