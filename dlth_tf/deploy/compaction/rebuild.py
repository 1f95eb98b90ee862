"""Rebuilds a Keras model with fewer channels."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from dlth_tf.deploy.compaction import kinds
from dlth_tf.deploy.compaction.arrays import Arrays
from dlth_tf.deploy.compaction.graph import Graph, LayerCall
from dlth_tf.deploy.compaction.library import Library, library_of
from dlth_tf.deploy.compaction.maps import windows
from dlth_tf.deploy.compaction.slots import within
from dlth_tf.deploy.layer_config import config_of
from dlth_tf.errors import BadInput

Kept = list[np.ndarray]  # for every tensor, bool[channels]


def rebuild(model: Any, graph: Graph, arrays: Arrays, kept: Kept) -> Any:
    """Builds a model with the same class, layers and names, but with the kept channels alone.

    Args:
      model: Model to rebuild. It is not changed.
      graph: Its graph.
      arrays: Weights of the new model before channels are removed.
      kept: For every tensor, bool[channels]: Channels to keep.

    Returns:
      An uncompiled model that shares no weights with `model`.

    Raises:
      BadInput: If a custom layer cannot be recreated from its config.
    """
    library = library_of(model)
    calls = {call.layer.name: call for call in graph.calls}
    norms = norms_behind_maps(library, graph, arrays)
    made: dict[int, Any] = {}

    def smaller(layer: Any) -> Any:
        try:
            if layer.name in arrays.maps:
                return _with_map(graph, calls[layer.name], kept)
            if layer.name in norms.values():
                return library.layers.Activation("linear", name=layer.name, dtype=layer.dtype_policy)
            return library.recreated(layer, made, **_options(calls[layer.name], kept))
        except Exception as error:
            raise BadInput(
                "model", model.name, f"has a layer {layer.name} that cannot be recreated from its config: {error}"
            ) from error

    rebuilt = library.rebuilt(model, smaller)
    for layer in rebuilt.layers:
        call = calls[layer.name]
        weights = kept_weights(call, arrays.weights[layer.name], kept)
        if layer.name in norms.values():
            weights = []
        if layer.name in arrays.maps:
            kernel, *bias = weights
            added = arrays.maps[layer.name][..., kept[call.output]] + sum(bias)
            if layer.name in norms:
                scale, shift = _affine(calls[norms[layer.name]].layer, arrays.weights[norms[layer.name]])
                scale, shift = scale[kept[call.output]], shift[kept[call.output]]
                kernel, added = np.where(kernel == 0, 0, kernel * scale).astype(kernel.dtype), added * scale + shift
            weights = [kernel, added.astype(kernel.dtype)]
        library.fill(layer, weights, call.layer)
    return rebuilt


def norms_behind_maps(library: Library, graph: Graph, arrays: Arrays) -> dict[str, str]:
    """Finds batch norms that become part of the map before them, since converters fold them into a bias only.

    Returns:
      Name of a convolution with a map -> name of the batch norm that alone reads what it computes, in float32.
    """
    readers = Counter([*(tensor for call in graph.calls for tensor in call.inputs), *graph.results])
    made = {call.output: call.layer for call in graph.calls if call.layer.name in arrays.maps}
    return {
        made[call.input].name: call.layer.name
        for call in graph.calls
        if call.kind == kinds.POINTWISE
        and isinstance(call.layer, library.layers.BatchNormalization)
        and call.input in made
        and readers[call.input] == 1
        and kinds.activation_name(made[call.input]) == "linear"
        and {call.layer.compute_dtype, made[call.input].compute_dtype} == {"float32"}
    }


def _affine(norm: Any, weights: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Returns scale and shift of a batch norm in inference mode, float64[channels]."""
    *vectors, mean, variance = (weight.astype(np.float64) for weight in weights)
    scale = 1 / np.sqrt(variance + norm.epsilon)
    if norm.scale:
        scale = scale * vectors[0]
    return scale, (vectors[-1] if norm.center else 0) - scale * mean


def _with_map(graph: Graph, call: LayerCall, kept: Kept) -> Any:
    from dlth_tf.deploy.compaction.conv2d_with_map import Conv2DWithMap  # loads TensorFlow, and export asks for it only

    _, rows, columns = windows(graph, call)
    config = config_of(call.layer) | {"activation": call.layer.activation} | _options(call, kept)
    return Conv2DWithMap(rows=rows, columns=columns, **config)


def _options(call: LayerCall, kept: Kept) -> dict[str, Any]:
    """Returns the entries of the layer's config that change."""
    if call.kind == kinds.MIXING:
        count = int(kept[call.output].sum())
        return {"filters" if hasattr(call.layer, "filters") else "units": count}
    if call.kind == kinds.CHANNEL_PADDING:
        outputs = kept[call.output]
        before = within(call, len(outputs))
        return {"padding": ((0, 0), (int(outputs[: before.start].sum()), int(outputs[before.stop :].sum())))}
    return {}


def kept_weights(call: LayerCall, weights: list[np.ndarray], kept: Kept) -> list[np.ndarray]:
    """Returns what is left of a layer's weights, or of other arrays of their shapes.

    Args:
      call: The only call of the layer, or any of them if its kind is unknown.
      weights: One array per weight, in Keras' order.
      kept: For every tensor, bool[channels]: Channels to keep.
    """
    if call.kind == kinds.MIXING:
        kernel = weights[0][..., kept[call.input], :][..., kept[call.output]]
    elif call.kind == kinds.DEPTHWISE:
        kernel = weights[0][..., kept[call.input], :]
    else:
        return [weight[kept[call.output]] for weight in weights] if call.kind == kinds.POINTWISE else weights
    return [kernel, *(bias[kept[call.output]] for bias in weights[1:])]
