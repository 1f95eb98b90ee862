"""The table of every layer: pruned or dense, with the reason."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dlth_tf.errors import BadInput
from dlth_tf.masking.dense_layers import FROZEN
from dlth_tf.masking.prunable import PrunableWeight
from dlth_tf.masking.world import leaf_layers, of, prunable_weights

COLUMNS = ("layer", "type", "weight", "shape", "parameters", "kept", "status", "why")


def layer_table(model: Any, whole: Mapping[str, str] | None = None, effective: bool = False) -> pd.DataFrame:
    """Lists every layer with its pruning status.

    Args:
      model: A model of tf_keras or of Keras 3, wrapped or not.
      whole: Layer name -> reason why a ticket keeps it whole (`masking.why_whole`), if known.
      effective: Whether a column `effective` counts the kept parameters that lie on a path of kept weights from the
        input to the output; the others have no effect on what the network computes.

    Returns:
      One row per prunable weight, and one per layer without any, in model order. Columns: layer, type, weight, shape,
      parameters (of the weight, or of the layer), kept (parameters that the ticket keeps), status ("pruned" or
      "dense"), why.

    Raises:
      BadInput: If `effective` is asked for and not known: the model is not wrapped, is no Sequential or Functional
        model of tf_keras with one input and one output, or has layers whose paths are not known.
    """
    adapter = of(model)
    masked = adapter.has_masks(model)
    entries = list(prunable_weights(model).values()) if masked else []
    rows: list[tuple[object, ...]] = []
    for layer in leaf_layers(model):
        inner = adapter.inner_layer(layer)
        if own := [entry for entry in entries if entry.outer is inner]:
            rows += [_weight_row(entry, (whole or {}).get(entry.layer_name)) for entry in own]
        else:
            size = sum(int(np.prod(weight.shape)) for weight in layer.weights if hasattr(weight, "shape"))
            without = "left out by skip or only" if inner.built else "not built: nothing has called it"
            why = adapter.why_dense(inner) or (without if masked else adapter.CAN_BE_PRUNED)
            rows.append((layer.name, type(layer).__name__, "", "", size, size, "dense", why))
    table = pd.DataFrame(rows, columns=COLUMNS)
    if effective:
        counts = _on_paths(model, entries)
        table.insert(COLUMNS.index("kept") + 1, "effective", [counts.get(key, row.kept) for key, row in _keys(table)])
    return table


def _keys(table: pd.DataFrame) -> Iterator[tuple[tuple[str, str], Any]]:
    return (((row.layer, row.weight), row) for row in table.itertuples())


def _on_paths(model: Any, entries: Sequence[PrunableWeight]) -> dict[tuple[str, str], int]:
    """Returns the number of kept weights on paths by layer and weight as the table names them."""
    found = of(model).weights_on_paths(model, {entry.name: entry.chosen() for entry in entries}) if entries else None
    if found is None:
        allowed = (
            "needs a wrapped Sequential or Functional model of tf_keras, with one input, one output and layers of "
            "known paths"
        )
        raise BadInput("effective", True, allowed)
    return {
        (entry.layer_name, _after_common_start(entry.name, entry.layer_name)): int(found[entry.name].sum())
        for entry in entries
    }


def _weight_row(entry: PrunableWeight, whole: str | None) -> tuple[object, ...]:
    size = int(np.prod(entry.shape))
    kept = int(entry.chosen().sum())
    status = "pruned"
    why = f"{1 - kept / size:.2%} by the ticket"
    if kept == size:
        status = "dense"
        why = whole or (FROZEN if entry.frozen else "kept whole by the ticket, or no ticket yet")
    layer = entry.layer_name
    weight = _after_common_start(entry.name, layer)
    return layer, type(entry.layer).__name__, weight, "x".join(map(str, entry.shape)), size, kept, status, why


def _after_common_start(name: str, other: str) -> str:
    """The rest of a path after the parts that it begins with in common with another."""
    parts = name.split("/")
    pairs = zip(parts, other.split("/"), strict=False)
    return "/".join(parts[len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))) :])
