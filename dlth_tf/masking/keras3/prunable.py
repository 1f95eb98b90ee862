"""The layers of Keras 3 that can be pruned, and which of their weights."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
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
PACKED = ("int4", "gptq", "awq")  # quantizations of Keras that put several weights into one number


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


def packed_weights(layer: Layer) -> dict[int, str]:
    """Returns id -> quantization of the weights of a layer whose numbers hold several weights each."""
    return {id(weight): part.quantization_mode for part, weight in _of_keras(layer) if part.quantization_mode in PACKED}


def weights_with_lora(layer: Layer) -> dict[int, Callable[[], Any]]:
    """Returns id -> value in use of the weights of a layer that computes with their sum with a product of others."""
    return {
        id(weight): functools.partial(_in_use, part, weight.name)
        for part, weight in _of_keras(layer)
        if getattr(part, "lora_enabled", False)
    }


def _in_use(layer: Layer, name: str) -> Any:
    return keras.ops.convert_to_numpy(getattr(layer, name))


def _of_keras(layer: Layer) -> Iterator[tuple[Layer, Any]]:
    """The weights of a layer, and of those inside it, that Keras' own kinds of layers prune, each with its layer."""
    for part in (layer, *all_sublayers(layer)):
        names = _pruned_names(part)
        yield from ((part, weight) for weight in part.weights if weight.name in names)


def why_dense(layer: Layer) -> str | None:
    """Returns why this layer cannot be pruned, or None if it, or a layer inside it, can be."""
    prunable = [layer] if is_prunable(layer) else [part for _, part in parts_of(layer, is_prunable)]
    packed = packed_weights(layer)
    weights = [weight for part in prunable for weight in own_prunable_weights(part)]
    if weights and all(id(weight) in packed for weight in weights):
        return f"its {weights[0].name} is packed {packed[id(weights[0])]}"
    if prunable:
        return None
    if layer.built and not layer.weights:
        return "has no weights"
    kind = type(layer).__name__
    if isinstance(layer, keras.layers.Wrapper) or kind not in _keras_kinds(layer):
        return f"nothing is known about the weights of {kind}: declare them with get_prunable_weights()"
    return f"no weight of a {kind} is pruned"
