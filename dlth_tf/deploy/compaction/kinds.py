"""The effect of a layer on channels: the kinds of `masking.structure.layer_kinds`, and two more for compaction."""

from __future__ import annotations

from typing import Any

from dlth_tf.deploy.compaction.library import Shape, library_of
from dlth_tf.masking.structure.layer_kinds import (
    CONCATENATE,
    DEPTHWISE,
    FLATTEN,
    INPUT,
    JOIN,
    MIXING,
    PADDING,
    POINTWISE,
    POOLING,
)
from dlth_tf.masking.world import of

__all__ = [
    "CHANNEL_PADDING",
    "CONCATENATE",
    "DEPTHWISE",
    "FLATTEN",
    "INPUT",
    "JOIN",
    "MIXING",
    "PADDING",
    "POINTWISE",
    "POOLING",
    "UNKNOWN",
    "Shape",
    "activation_name",
    "elementwise",
    "is_batch_norm",
    "kind_of",
    "position_independent",
    "why_unknown",
]

CHANNEL_PADDING = "channel padding"
UNKNOWN = "unknown"


def kind_of(layer: Any, inputs: list[Shape]) -> str:
    """Returns the kind of a layer; `UNKNOWN` unless it is certain.

    Args:
      layer: Built layer.
      inputs: Shapes of its inputs with the batch axis, channels last.
    """
    kind = library_of(layer).kind_of_type(layer) or UNKNOWN
    if kind == INPUT:
        return kind
    if any(len(shape) < 2 or shape[-1] is None for shape in inputs):
        return UNKNOWN
    if kind == PADDING and _pads_channels(layer, inputs[0]):
        return CHANNEL_PADDING
    return kind if _as_expected(kind, layer, inputs) else UNKNOWN


def why_unknown(layer: Any, inputs: list[Shape]) -> str:
    """Returns why `kind_of` does not know a layer, as what it is: "a grouped convolution with groups=2".

    Args:
      layer: Layer whose kind is `UNKNOWN`.
      inputs: Shapes of its inputs with the batch axis.
    """
    library = library_of(layer)
    kind = library.kind_of_type(layer)
    name = type(layer).__name__
    if isinstance(layer, library.Model):
        return "a model inside the model"
    if library.is_function(layer):
        return "a function on tensors"
    if kind is None:
        return f"a layer of type {name}, which stays whole"
    if getattr(layer, "groups", 1) != 1:
        return f"a grouped convolution with groups={layer.groups}"
    if getattr(layer, "data_format", None) == "channels_first":
        return f"a {name} with channels first"
    if kind == POINTWISE and not elementwise(layer):
        return f"an activation {activation_name(layer)} that is not known to treat every number alone"
    if kind in (MIXING, DEPTHWISE) and not _has_only_kernel_and_bias(layer):
        return f"a {name} with weights beside its kernel and bias"
    return f"a {name} with inputs of shape {', '.join(str(list(shape)) for shape in inputs)}, which stays whole"


def activation_name(layer: Any) -> str:
    """Returns the name of a layer's activation; "linear" if it has none."""
    activation = layer.activation
    return "linear" if activation is None else getattr(activation, "__name__", type(activation).__name__)


def is_batch_norm(layer: Any) -> bool:
    """Returns whether a layer is a batch normalization."""
    return of(layer).is_batch_norm(layer)


def _as_expected(kind: str, layer: Any, inputs: list[Shape]) -> bool:
    """Returns whether the layer's options are the ones that its kind assumes."""
    if getattr(layer, "data_format", None) == "channels_first":
        return False
    ranks = {len(shape) for shape in inputs}
    channels = {shape[-1] for shape in inputs}
    if kind == JOIN:
        return len(inputs) > 1 and len(ranks) == len(channels) == 1
    if kind == CONCATENATE:
        return len(ranks) == 1 and layer.axis in (-1, ranks.pop() - 1)
    if kind == FLATTEN:
        return None not in inputs[0][1:]
    if kind == POINTWISE and is_batch_norm(layer):
        axes = layer.axis if isinstance(layer.axis, list | tuple) else [layer.axis]
        return list(axes) in ([-1], [len(inputs[0]) - 1])
    if kind == POINTWISE:
        return elementwise(layer)
    if kind in (MIXING, DEPTHWISE) and not _has_only_kernel_and_bias(layer):
        return False
    return getattr(layer, "groups", 1) == 1 and len(inputs) == 1


def _has_only_kernel_and_bias(layer: Any) -> bool:
    """Returns whether a layer has no other weights, as those of LoRA and of quantization."""
    return len(layer.weights) == 1 + bool(layer.use_bias)


def _pads_channels(layer: Any, shape: Shape) -> bool:
    """Returns whether the layer is the shortcut of `models/cifar_resnet.py`.

    Its data format "channels_first" makes it pad the last axis, which is that of the channels here.
    """
    return (
        type(layer).__name__ == "ZeroPadding2D"
        and layer.data_format == "channels_first"
        and layer.padding[0] == (0, 0)
        and len(shape) == 4
    )


def elementwise(layer: Any) -> bool:
    """Returns whether the layer's own activation is known to treat every value independently (softmax does not)."""
    activation = getattr(layer, "activation", None)
    try:
        return activation is None or activation in library_of(layer).ELEMENTWISE
    except TypeError:  # an unhashable callable
        return False


def position_independent(layer: Any) -> bool:
    """Returns whether a constant input adds a constant to the output, because no position reads padding."""
    if not hasattr(layer, "kernel_size"):  # Dense
        return True
    return layer.padding == "valid" or (layer.padding == "same" and all(size == 1 for size in layer.kernel_size))
