"""The layers of Keras 3 that can be pruned, and which of their weights."""

from __future__ import annotations

from typing import Any, TypeAlias

import keras

from dlth_tf.masking.structure.layer_paths import all_sublayers, parts_of

Layer: TypeAlias = Any  # keras.Layer
# By the name of a layer's class or a base class of Keras, the weights that are pruned: those that tf-mot prunes, and
# what Keras 3 has beyond that.
PRUNED: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("Dense", "EinsumDense"), ("kernel",)),
    **{f"Conv{rank}D{kind}": ("kernel",) for rank in (1, 2, 3) for kind in ("", "Transpose")},
    **{f"DepthwiseConv{rank}D": () for rank in (1, 2)},
    **{f"SeparableConv{rank}D": ("pointwise_kernel",) for rank in (1, 2)},
    **dict.fromkeys(("SimpleRNNCell", "GRUCell", "LSTMCell"), ("kernel", "recurrent_kernel")),
    "ConvLSTMCell": ("kernel", "recurrent_kernel"),
    "Embedding": ("embeddings",),
}
# Layers that are one for tickets, although they are made of others.
WHOLES = ("RNN", "MultiHeadAttention", "GroupedQueryAttention")


def _keras_kinds(layer: Layer) -> list[str]:
    """The names of the layer's class and base classes that Keras itself defines."""
    return [kind.__name__ for kind in type(layer).__mro__ if kind.__module__.partition(".")[0] == "keras"]


def _pruned_names(layer: Layer) -> tuple[str, ...]:
    return next((PRUNED[kind] for kind in _keras_kinds(layer) if kind in PRUNED), ())


def declares_weights(layer: Layer) -> bool:
    """Returns whether the layer's own code says which of its weights can be pruned, by tf-mot's method for that."""
    return callable(getattr(layer, "get_prunable_weights", None))


def _is_whole(layer: Layer) -> bool:
    return any(kind in WHOLES for kind in _keras_kinds(layer))


def is_prunable(layer: Layer) -> bool:
    """Returns whether the layer itself has weights that can be pruned, its parts aside."""
    if _is_whole(layer):
        return any(is_prunable(part) for part in all_sublayers(layer))
    return declares_weights(layer) or bool(_pruned_names(layer))


def own_prunable_weights(layer: Layer) -> list[Any]:
    """Returns the prunable weights of a built layer that is prunable itself."""
    if declares_weights(layer):
        return list(layer.get_prunable_weights())
    if not _is_whole(layer):
        return [weight for weight in layer.weights if weight.name in _pruned_names(layer)]
    found = {
        id(each): each for part in all_sublayers(layer) if not _is_whole(part) for each in own_prunable_weights(part)
    }
    return [weight for weight in layer.weights if id(weight) in found]


def why_dense(layer: Layer) -> str | None:
    """Returns why this layer cannot be pruned, or None if it, or a layer inside it, can be."""
    if is_prunable(layer) or parts_of(layer, is_prunable):
        return None
    if layer.built and not layer.weights:
        return "has no weights"
    kind = type(layer).__name__
    if isinstance(layer, keras.layers.Wrapper) or kind not in _keras_kinds(layer):
        return f"nothing is known about the weights of {kind}: declare them with get_prunable_weights()"
    return f"no weight of a {kind} is pruned"
