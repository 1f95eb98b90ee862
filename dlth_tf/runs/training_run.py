"""Run: everything that belongs to one run while it trains, as one value; and Observer, which watches it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

from dlth_tf.methods import Network, Phase
from dlth_tf.runs.checkpointing.manager import CheckpointManager
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.directory import RunDirectory
from dlth_tf.runs.inputs import Inputs

OnRow = Callable[[dict[str, Any]], None]


class Observer:
    """Watches a run; every method may be overridden.

    Args:
      on_row: Called with every row of the history as it is added.
    """

    def __init__(self, on_row: OnRow | None = None) -> None:
        self._on_row = on_row

    def on_row(self, row: dict[str, Any]) -> None:
        """Called with every row of the history as it is added."""
        if self._on_row is not None:
            self._on_row(row)

    def on_phase_begin(self, phase: Phase, network: Network) -> None:
        """Called after the start actions of a phase, before its first step; not when a run resumes inside the phase."""

    def on_fit(self, phase: Phase, batches: tf.data.Dataset) -> None:
        """Called with the training batches before each call of `fit`."""

    def on_phase_end(self, phase: Phase, network: Network) -> None:
        """Called after the last step of a phase, before its end actions."""


@dataclass(frozen=True)
class Run:
    """One run while it trains.

    Attributes:
      config: Configuration of the run.
      directory: The run directory.
      inputs: The images.
      network: The wrapped model, its recipe, and its initial weights.
      checkpoints: Writer of checkpoints; holds the progress of the run.
      observer: Watches the run.
    """

    config: RunConfig
    directory: RunDirectory
    inputs: Inputs
    network: Network
    checkpoints: CheckpointManager
    observer: Observer = field(default_factory=Observer)

    @property
    def writes(self) -> bool:
        """Whether this process writes the run directory."""
        return self.checkpoints.writes
