"""The table of every layer: pruned or dense, and why."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import tf_keras

from dlth_tf.masking.keras2.layer import MaskedLayer
from dlth_tf.masking.keras2.weights import PrunableWeight, leaf_layers, prunable_weights
from dlth_tf.masking.keras2.wrapping import why_dense

COLUMNS = ("layer", "type", "weight", "shape", "parameters", "kept", "status", "why")


def layer_table(model: tf_keras.Model, whole: Mapping[str, str] | None = None) -> pd.DataFrame:
    """One row per prunable weight, and one per layer that has none, in model order.

    Args:
      model: wrapped or not.
      whole: layer name -> why a ticket leaves it whole (`masking.why_whole`), if that is known.

    Returns:
      Columns layer, type, weight, shape, parameters (of the weight, or of the layer), kept (parameters that the ticket
      keeps), status ("pruned", "dense") and why.
    """
    wrapped = any(isinstance(layer, MaskedLayer) for layer in leaf_layers(model))
    entries = list(prunable_weights(model).values()) if wrapped else []
    rows: list[tuple[object, ...]] = []
    for layer in leaf_layers(model):
        if isinstance(layer, MaskedLayer):
            rows += [
                _weight_row(entry, (whole or {}).get(entry.layer.layer.name))
                for entry in entries
                if entry.layer is layer
            ]
        else:
            size = sum(int(np.prod(weight.shape)) for weight in layer.weights)
            why = why_dense(layer) or (
                "left out by skip or only" if wrapped else "not wrapped yet: tf-mot can prune it"
            )
            rows.append((layer.name, type(layer).__name__, "", "", size, size, "dense", why))
    return pd.DataFrame(rows, columns=COLUMNS)


def _weight_row(entry: PrunableWeight, whole: str | None) -> tuple[object, ...]:
    chosen, size = entry.chosen(), int(np.prod(entry.shape))
    kept = int(chosen.sum())
    status, why = (
        ("pruned", f"{1 - kept / size:.2%} by the ticket")
        if kept < size
        else ("dense", whole or "kept whole by the ticket, or no ticket yet")
    )
    layer = entry.layer.layer
    weight = entry.name.removeprefix(layer.name + "/")
    return layer.name, type(layer).__name__, weight, "x".join(map(str, entry.shape)), size, kept, status, why
