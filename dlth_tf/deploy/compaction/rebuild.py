"""Rebuilds a Keras model with fewer channels."""

from __future__ import annotations

from typing import Any

import numpy as np
import tf_keras

from dlth_tf.deploy.compaction import kinds
from dlth_tf.deploy.compaction.arrays import Arrays
from dlth_tf.deploy.compaction.graph import Graph, LayerCall
from dlth_tf.deploy.compaction.maps import Conv2DWithMap, windows
from dlth_tf.deploy.compaction.slots import within
from dlth_tf.deploy.copied_layers import fill, recreated
from dlth_tf.errors import BadInput

Kept = list[np.ndarray]  # for every tensor, bool[channels]


def rebuild(model: tf_keras.Model, graph: Graph, arrays: Arrays, kept: Kept) -> tf_keras.Model:
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
    calls = {call.layer.name: call for call in graph.calls}

    def smaller(layer: Any) -> Any:
        try:
            if layer.name in arrays.maps:
                return _with_map(graph, calls[layer.name], kept)
            return recreated(layer, **_options(calls[layer.name], kept))
        except Exception as error:
            raise BadInput(
                "model", model.name, f"has a layer {layer.name} that cannot be recreated from its config: {error}"
            ) from error

    rebuilt = tf_keras.models.clone_model(model, clone_function=smaller)
    if not rebuilt.built:
        rebuilt.build(model.input_shape)
    for layer in rebuilt.layers:
        weights = kept_weights(calls[layer.name], arrays.weights[layer.name], kept)
        if layer.name in arrays.maps:
            kernel, *bias = weights
            added = arrays.maps[layer.name][..., kept[calls[layer.name].output]]
            weights = [kernel, (added + sum(bias)).astype(kernel.dtype)]
        fill(layer, weights)
    return rebuilt


def _with_map(graph: Graph, call: LayerCall, kept: Kept) -> Conv2DWithMap:
    _, rows, columns = windows(graph, call)
    config = call.layer.get_config() | {"activation": call.layer.activation} | _options(call, kept)
    return Conv2DWithMap(rows=rows, columns=columns, **config)


def _options(call: LayerCall, kept: Kept) -> dict[str, Any]:
    """Returns the entries of the layer's config that change."""
    if call.kind == kinds.MIXING:
        count = int(kept[call.output].sum())
        return {"units" if type(call.layer) is kinds.layers.Dense else "filters": count}
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
