"""wrap and strip: from an ordinary model of Keras 2 to a maskable one and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import tensorflow as tf
import tf_keras

from dlth_tf.errors import BadInput
from dlth_tf.masking.fit_session import HELD, SESSION
from dlth_tf.masking.hook_installer import HOOKS
from dlth_tf.masking.keras2.copying import uncalled
from dlth_tf.masking.keras2.graph import is_subclassed
from dlth_tf.masking.keras2.layer import MaskedLayer
from dlth_tf.masking.keras2.parts import is_prunable, prunable_parts
from dlth_tf.masking.keras2.plain_weights import LOAD, accept_plain_weights
from dlth_tf.masking.keras2.tfmot import PruneLowMagnitude, PruneRegistry
from dlth_tf.masking.keras2.weights import inner_layer, leaf_layers, prunable_weights
from dlth_tf.masking.layer_choice import LayerChoice
from dlth_tf.masking.stripping import check_strippable
from dlth_tf.masking.structure.layer_paths import Path, paths_of

Layer: TypeAlias = tf_keras.layers.Layer
# Attributes that this package gives a wrapped model, and one that its callbacks train at present.
OWN_ATTRIBUTES = (LOAD, HOOKS, HELD, SESSION)


def wrap(model: tf_keras.Model, *, skip: str | Sequence[str] = (), only: str | Sequence[str] = ()) -> tf_keras.Model:
    """Puts tf-mot's wrapper on every layer that has something to prune (see `masking.world.wrap`)."""
    if not isinstance(model, tf_keras.Model):
        allowed = "must be a tf_keras.Model"
        raise BadInput("model", type(model).__name__, allowed)
    layers = list(leaf_layers(model))
    _check_wrappable(model, layers)
    choice = LayerChoice.parse(skip, only).check([path for layer in layers for path in _paths(layer)])
    with model.distribute_strategy.scope():
        # All wrappers are made before anything is exchanged, so a layer that fails leaves the model as it was.
        wrappers = {id(layer): _wrap_layer(layer, choice) for layer in layers if _wraps(layer, choice)}
        if wrappers:
            model = _rebuild(model, lambda layer: wrappers.get(id(layer), layer))
        elif not any(isinstance(layer, MaskedLayer) for layer in layers):
            reason = "has no layer that tf-mot can prune (dlth_tf.layer_table gives the reason for each)"
            raise BadInput("model", model.name, reason)
    # Also where all was wrapped: Keras' own readers and copiers of models know nothing of plain files.
    for each in [model, *(layer for layer in model._flatten_layers() if isinstance(layer, tf_keras.Model))]:
        accept_plain_weights(each, _plain_twin)
    return model


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
    return _stripped(model)


def stripped_copy(model: tf_keras.Model) -> tf_keras.Model:
    """Returns what `strip` would, around the same weights; a subclassed model keeps its wrappers."""
    return _stripped(model, copy=True)


def _stripped(model: tf_keras.Model, copy: bool = False) -> tf_keras.Model:
    check_strippable(model, prunable_weights(model))
    with model.distribute_strategy.scope():
        return _rebuild(model, inner_layer, copy)


def _plain_twin(model: tf_keras.Model) -> tf_keras.Model:
    """The same network without wrappers, whatever its masks say; a subclassed model is left as it is."""
    return _rebuild(model, inner_layer, copy=True)


def why_dense(layer: Layer) -> str | None:
    """Returns why tf-mot cannot prune this layer, or None if it, or a layer inside it, can be pruned."""
    if isinstance(layer, MaskedLayer):
        return "is wrapped already"
    if is_prunable(layer) or prunable_parts(layer):
        return None
    kind = type(layer).__name__
    if PruneRegistry.supports(layer):
        return f"tf-mot prunes no weight of a {kind}" if layer.weights else "has no weights"
    return f"tf-mot does not know the layer type {kind}" if layer.weights or not layer.built else "has no weights"


def _wraps(layer: Layer, choice: LayerChoice) -> bool:
    """Returns whether a layer gets a wrapper."""
    whole, *parts = _paths(layer)
    return why_dense(layer) is None and any(choice.includes(path) for path in parts or [whole])


def _paths(layer: Layer) -> list[Path]:
    """The paths of a layer and of its prunable parts, each beginning with the layer's own name."""
    return paths_of(inner_layer(layer), is_prunable)


def _wrap_layer(layer: Layer, choice: LayerChoice) -> MaskedLayer:
    parts = _paths(layer)[1:]
    chosen = [path for path in parts if choice.includes(path)]
    inner = uncalled(layer) if layer._inbound_nodes else layer  # the loss terms of a call belong to its graph
    wrapper = MaskedLayer(inner, None if chosen == parts else ["/".join(path[1:]) for path in chosen])
    if layer.built:
        with tf.name_scope(wrapper.name):  # tf-mot's summaries expect the layer's name in those of its mask variables
            wrapper.build(None)
    return wrapper


def _rebuild(model: tf_keras.Model, change: Callable[[Layer], Layer], copy: bool = False) -> tf_keras.Model:
    """Replaces every layer of a model and of nested models by `change(layer)`.

    A model with a graph is built anew, of layers that no other graph has; a subclassed one that is in no graph keeps
    its own, unless it is to be copied.
    """
    done: dict[int, Layer] = {}  # one replacement per layer, wherever it is shared
    copied: dict[int, Layer] = {}

    def once(layer: Layer) -> Layer:
        if id(layer) not in done:
            done[id(layer)] = rebuild(layer) if isinstance(layer, tf_keras.Model) else change(layer)
        return done[id(layer)]

    def in_graph(layer: Layer) -> Layer:
        if id(layer) not in copied:
            if isinstance(layer, tf_keras.Model) and is_subclassed(layer):
                copied[id(layer)] = _exchange(uncalled(layer), in_graph)
            else:
                new = once(layer)
                fresh = isinstance(new, MaskedLayer | tf_keras.Model) and new is not layer
                copied[id(layer)] = new if fresh else uncalled(new)
        return copied[id(layer)]

    def rebuild(inner: tf_keras.Model) -> tf_keras.Model:
        return _exchange(inner, once) if is_subclassed(inner) else _clone(inner, in_graph)

    return in_graph(model) if copy else rebuild(model)


def _clone(model: tf_keras.Model, once: Callable[[Layer], Layer]) -> tf_keras.Model:
    """Rebuilds a graph network around other layers, with its class and its attributes."""
    clone = tf_keras.models.clone_model(model, clone_function=once)
    object.__setattr__(
        clone, "__class__", type(model)
    )  # clone_model drops a class that has its own constructor, and with it the train_step
    clone._callable_losses.extend(model._callable_losses)  # those of model.add_loss(function)
    clone._trainable = model._trainable
    for attribute in [name for name in vars(model) if name not in vars(clone) and name not in OWN_ATTRIBUTES]:
        setattr(clone, attribute, _replace_layers(vars(model)[attribute], once))
    return clone


def _exchange(model: tf_keras.Model, once: Callable[[Layer], Layer]) -> tf_keras.Model:
    """Replaces the layers in the attributes of a subclassed model."""
    held = {
        name: value for name, value in vars(model).items() if not name.startswith("_self_") and _holds_layers(value)
    }
    for attribute, value in held.items():
        delattr(model, attribute)  # tracked again in the same order, on which "first" and "last" depend
        setattr(model, attribute, _replace_layers(value, once))
    vars(model).pop(LOAD, None)
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
