"""The state of a wrapped model in a few numbers: what is prunable, chosen and removed, and what that leaves."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dlth_tf.core import PruningSpec
from dlth_tf.masking.dense_layers import why_whole
from dlth_tf.masking.table import layer_table
from dlth_tf.masking.world import named_weights, of, prunable_weights, weight_arrays


@dataclass(frozen=True)
class Summary:
    """Numbers of a wrapped model; printed, they are one short text.

    Attributes:
      name: Name of the model.
      numbers: All numbers in the network: weights, biases and statistics.
      bytes: Their bytes, as a dense network stores them.
      prunable: Weights of the tensors that the ticket prunes; before there is a ticket, of those that one with the
        default `dense_layers` would prune.
      chosen: Weights outside the ticket, to be removed or removed already; 0 before there is a ticket.
      removed: Weights that are removed.
      macs: Multiply-adds of a forward pass on one example: of the dense network, and of the weights that are not
        removed; None if the network has several inputs or the size of its input is open, Keras does not compute with
        TensorFlow, or those of a kernel are not known.
      layers: `layer_table`, in which before there is a ticket the status of what one will prune is "prunable".
      uncounted: Names of the kernels whose multiply-adds are not known.
    """

    name: str
    numbers: int
    bytes: int
    prunable: int
    chosen: int
    removed: int
    macs: tuple[int, int] | None
    layers: pd.DataFrame
    uncounted: tuple[str, ...] = ()

    @property
    def sparsity(self) -> float:
        """Fraction of the prunable weights that is removed."""
        return self.removed / self.prunable if self.prunable else 0.0

    def __repr__(self) -> str:
        state = f"{self.sparsity:.2%} of the prunable weights removed"
        if not self.chosen:
            state = "no ticket yet"
        elif self.removed < self.chosen:
            state = f"a ticket for {self.chosen / self.prunable:.2%} of the prunable weights, {state}"
        left = self.numbers - self.removed
        bytes_left = self.bytes * left // self.numbers
        lines = [
            f"{self.name}: {state}",
            f"  prunable       {self.prunable:,} of {self.numbers:,} numbers",
            f"  removed        {self.removed:,}, {self.removed / self.numbers:.2%} of all numbers",
            f"  bytes          {self.bytes:,} stored dense, {bytes_left:,} of them not removed",
        ]
        if self.macs is not None:
            dense, left = self.macs
            lines.append(f"  multiply-adds  {dense:,} on one example, {left:,} of them with weights not removed")
        if self.uncounted:
            lines.append(f"  multiply-adds  not counted: those of {', '.join(self.uncounted)} are not known")
        rows = self.layers[self.layers["weight"] != ""]
        names = [f"{row.layer}/{row.weight}" for row in rows.itertuples()]
        width = max(map(len, names), default=0)
        lines += [
            f"  {name.ljust(width)}  {row.shape}, {row.status}: {row.why}"
            for name, row in zip(names, rows.itertuples(), strict=True)
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(repr(self))}</pre>"


def summary(model: Any) -> Summary:
    """Returns what a ticket has chosen and removed in a wrapped model, and what that leaves.

    Args:
      model: A wrapped model.

    Returns:
      The numbers, which print as a short text with one line per prunable tensor.

    Raises:
      BadInput: If the model is not wrapped.
    """
    entries = prunable_weights(model)
    sizes = {name: int(np.prod(entry.shape)) for name, entry in entries.items()}
    chosen = {name: sizes[name] - int(entry.chosen().sum()) for name, entry in entries.items()}
    removed = {name: sizes[name] - int(entry.kept().sum()) for name, entry in entries.items()}
    whole = why_whole(model, PruningSpec.parse(0))
    weights = weight_arrays(model).values()
    layers = layer_table(model, whole)
    if any(chosen.values()):
        prunable = sum(sizes[name] for name, count in chosen.items() if count)
    else:
        pruned = [name for name, entry in entries.items() if entry.layer_name not in whole]
        prunable = sum(sizes[name] for name in pruned)
        coming = (layers["weight"] != "") & ~layers["layer"].isin(whole)
        layers.loc[coming, ["status", "why"]] = ["prunable", "a ticket with the default dense_layers prunes it"]
    macs, uncounted = _macs(model, removed, sizes)
    return Summary(
        model.name,
        sum(weight.size for weight in weights),
        sum(weight.nbytes for weight in weights),
        prunable,
        sum(chosen.values()),
        sum(removed.values()),
        macs,
        layers,
        tuple(uncounted),
    )


def _macs(model: Any, removed: dict[str, int], sizes: dict[str, int]) -> tuple[tuple[int, int] | None, Sequence[str]]:
    shape = getattr(model, "input_shape", None)  # of a subclassed model of Keras 3, an attribute of the user's own
    if not isinstance(shape, tuple) or None in shape[1:] or not hasattr(model, "inputs") or not of(model).IN_TENSORFLOW:
        return None, ()
    from dlth_tf.masking.macs import counted_positions  # loads TensorFlow

    positions, uncounted = counted_positions(model, shape[1:])
    if uncounted:
        return None, uncounted
    weights = named_weights(model)
    dense = {name: int(np.prod(weights[name].shape)) * times for name, times in positions.items()}
    left = {name: positions[name] * (sizes[name] - removed[name]) if name in sizes else dense[name] for name in dense}
    return (sum(dense.values()), sum(left.values())), ()
