"""The smaller Keras model."""

from __future__ import annotations

from typing import Any

import numpy as np
import tf_keras

from dlth_tf.deploy.compaction import kinds
from dlth_tf.deploy.compaction.arrays import Arrays
from dlth_tf.deploy.compaction.graph import Graph, LayerCall
from dlth_tf.deploy.compaction.slots import within
from dlth_tf.errors import BadInput

Kept = list[np.ndarray]  # of every tensor, bool[channels]


def rebuild(model: tf_keras.Model, graph: Graph, arrays: Arrays, kept: Kept) -> tf_keras.Model:
    """A model of the same class, layers and names, with the kept channels alone and weights of its own.

    Raises:
      BadInput: a layer of the user's own that cannot be made again from its configuration.
    """
    steps = {step.layer.name: step for step in graph.steps}

    def smaller(layer: Any) -> Any:
        try:
            config = layer.get_config()
            if callable(getattr(layer, "activation", None)) and "activation" in config:
                config["activation"] = layer.activation  # by name, Keras would find only those that it knows
            return type(layer).from_config({**config, **_options(steps[layer.name], kept)})
        except Exception as error:
            raise BadInput(
                "model", model.name, f"has a layer {layer.name} that cannot be made again from its config: {error}"
            ) from error

    made = tf_keras.models.clone_model(model, clone_function=smaller)
    if not made.built:
        made.build(model.input_shape)
    for layer in made.layers:
        layer.set_weights(_weights(steps[layer.name], arrays.weights[layer.name], kept))
    return made


def _options(step: LayerCall, kept: Kept) -> dict[str, Any]:
    """What is different in the layer's configuration."""
    if step.kind == kinds.MIXING:
        count = int(kept[step.output].sum())
        return {"units" if type(step.layer) is kinds.layers.Dense else "filters": count}
    if step.kind == kinds.CHANNEL_PADDING:
        outputs = kept[step.output]
        old = within(step, len(outputs))
        return {"padding": ((0, 0), (int(outputs[: old.start].sum()), int(outputs[old.stop :].sum())))}
    return {}


def _weights(step: LayerCall, weights: list[np.ndarray], kept: Kept) -> list[np.ndarray]:
    if step.kind == kinds.MIXING:
        kernel = weights[0][..., kept[step.input], :][..., kept[step.output]]
    elif step.kind == kinds.DEPTHWISE:
        kernel = weights[0][..., kept[step.input], :]
    else:
        return [weight[kept[step.output]] for weight in weights] if step.kind == kinds.POINTWISE else weights
    return [kernel, *(bias[kept[step.output]] for bias in weights[1:])]
