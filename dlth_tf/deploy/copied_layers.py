"""Layers built anew: from their config, with weights, and with what a config does not hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import tf_keras
from tensorflow.python.ops.lookup_ops import LookupInterface

from dlth_tf.deploy.layer_config import config_of
from dlth_tf.masking.keras2.copying import uncalled
from dlth_tf.masking.keras2.graph import is_graph_network
from dlth_tf.masking.structure.layer_paths import all_sublayers

Layer: TypeAlias = tf_keras.layers.Layer


def recreated(layer: Layer, dtype: str | None = None, **changes: Any) -> Layer:
    """Builds a layer anew from its config.

    A layer with a lookup table is copied instead: its config has no vocabulary that `adapt` has found.

    Args:
      layer: Layer of any kind.
      dtype: Precision of the new layer and of the layers inside it, unless they are of whole numbers; None keeps it.
      **changes: Entries of the config that change.
    """
    if any(lookup_tables(layer)):
        return uncalled(layer)
    config = config_of(layer)
    activation = getattr(layer, "activation", None)
    if callable(activation) and "activation" in config:  # by name, Keras would only find the ones that it knows
        own = isinstance(activation, tf_keras.layers.Layer)
        config["activation"] = recreated(activation, dtype) if own else activation
    config |= changes
    return type(layer).from_config(config if dtype is None else _in_dtype(config, dtype))


def cloned(model: tf_keras.Model, dtype: str | None = None, inputs: Sequence[Any] | None = None) -> tf_keras.Model:
    """Builds a network anew, layer by layer, with the same names and without its weights.

    Args:
      model: Network whose graph is known; so are those of nested ones that are built anew.
      dtype: As in `recreated`.
      inputs: Keras tensors in place of the network's inputs; None keeps their shapes.
    """

    def clone(layer: Any) -> Any:
        return cloned(layer, dtype) if is_graph_network(layer) else recreated(layer, dtype)

    return tf_keras.models.clone_model(model, input_tensors=inputs, clone_function=clone)


def fill(layer: Layer, weights: Sequence[np.ndarray]) -> None:
    """Sets the weights of a new layer, and what Keras derives from them once (`adapt`)."""
    layer.set_weights(weights)
    finish(layer)


def finish(layer: Layer) -> None:
    """Lets preprocessing layers use the weights that they have now: Keras reads them when it adapts a layer only."""
    for part in (layer, *all_sublayers(layer)):
        if hasattr(part, "finalize_state") and not any(lookup_tables(part)):
            part.finalize_state()


def lookup_tables(layer: Layer) -> Iterator[Any]:
    """Yields the lookup tables of a layer and of the layers inside it, each once."""
    seen: set[int] = set()
    for part in (layer, *all_sublayers(layer)):
        for value in (*vars(part).values(), *getattr(part, "held_tables", ())):
            if isinstance(value, LookupInterface) and id(value) not in seen:
                seen.add(id(value))
                yield value


def _in_dtype(value: Any, dtype: str) -> Any:
    """The same config with another precision, also for layers inside a layer; those of whole numbers keep theirs."""
    if isinstance(value, dict):
        return {
            key: dtype if key == "dtype" and _is_float(item) else _in_dtype(item, dtype) for key, item in value.items()
        }
    return [_in_dtype(item, dtype) for item in value] if isinstance(value, list) else value


def _is_float(policy: Any) -> bool:
    """Returns whether an entry `dtype` names a precision, as a word or as a policy with its config."""
    return "float" in str(policy["config"]["name"] if isinstance(policy, dict) else policy)
