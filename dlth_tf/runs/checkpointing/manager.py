"""CheckpointManager: writes the progress of a run to checkpoints, and restores it from them."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dlth_tf import masking
from dlth_tf.methods import Network
from dlth_tf.runs.checkpointing.checked import check_meta, check_rewind
from dlth_tf.runs.checkpointing.files import CheckpointFiles, Saved
from dlth_tf.runs.checkpointing.interval import CheckpointInterval
from dlth_tf.runs.checkpointing.state import (
    network_state,
    restore_network,
    restore_rewind,
    rewind_state,
    training_state,
)

MOST_PHASES = 10_000  # of any run


@dataclass
class RunState:
    """The progress of a run.

    Attributes:
      phase: Index of the current phase.
      rows: History rows of the completed phases.
      phases: Rows of result.json of the completed phases.
      macs: Multiply-adds of training on one image, (dense, sparse), of the completed phases.
      seconds: Duration of the run before this process.
      rate_scale: Factor of all learning rates since a rollback.
      rollback: Entry of result.json for a rollback, or None.
      reused: Entry of result.json for a training that another run of the sweep has done, or None.
    """

    phase: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    phases: list[dict[str, Any]] = field(default_factory=list)
    macs: list[tuple[int, float]] = field(default_factory=list)
    seconds: float = 0.0
    rate_scale: float = 1.0
    rollback: dict[str, Any] | None = None
    reused: dict[str, Any] | None = None


class CheckpointManager:
    """Writes and restores the checkpoints of one run.

    Args:
      network: The network of the run.
      files: The checkpoint files of the run directory.
      interval: Interval between two checkpoints.
      writes: Whether this process writes; all workers of a run must call `save`, since some variables are read by all
        together.
    """

    def __init__(
        self, network: Network, files: CheckpointFiles, interval: CheckpointInterval, writes: bool = True
    ) -> None:
        self.network = network
        self.files = files
        self.interval = interval
        self.writes = writes
        self.state = RunState()
        self._began = time.perf_counter()
        self._initial = network.initial

    def seconds(self) -> float:
        """Returns the duration of the run over all its processes."""
        return self.state.seconds + time.perf_counter() - self._began

    def due(self, steps: int, steps_per_epoch: int) -> bool:
        """Returns whether a checkpoint is due `steps` steps after the last one in the same phase."""
        return self.interval.due(steps, steps_per_epoch)

    def due_between_phases(self) -> bool:
        """Returns whether a checkpoint is due between two phases."""
        return self.interval.due_between_phases()

    def save(self, callbacks: Sequence[Any] | None = None) -> None:
        """Writes a checkpoint.

        Args:
          callbacks: The callbacks of the phase, in the middle of one; None just before a phase.
        """
        network = self.network
        meta: dict[str, Any] = {
            **dataclasses.asdict(self.state),
            "seconds": self.seconds(),
            "inside": callbacks is not None,
            "before_removal": network.before_removal,
            "after_removal": network.after_removal,
            "rewound": network.initial_changed,
        }
        arrays = {**network_state(network.whole()), **rewind_state(network)}
        if callbacks is not None:
            arrays |= training_state(network.trained)
            meta["step"] = masking.steps_made(network.trained)
            meta["callbacks"] = {}
            for name, callback in stateful(callbacks).items():
                meta["callbacks"][name], state = callback.saved_state()
                arrays |= {f"callback/{name}/{key}": value for key, value in state.items()}
        if self.writes:
            self.files.save(meta, arrays)
        self.interval.saved()

    def load(self, phases: int = MOST_PHASES) -> Saved | None:
        """Restores the network and the progress of the run from the newest checkpoint.

        Args:
          phases: Number of phases of the run.

        Returns:
          The checkpoint, or None if there is none.

        Raises:
          BadInput: If there are checkpoints, but none is valid, or they belong to another network.
        """
        return self.files.latest(lambda saved: self._restore(saved, phases))

    def _restore(self, saved: Saved, phases: int) -> None:
        network = self.network
        meta = saved.meta
        check_meta(meta, phases)
        if meta["rewound"]:
            check_rewind(network, saved.arrays)
        restore_network(network.model, saved.arrays)
        values = {item.name: meta[item.name] for item in dataclasses.fields(RunState) if item.name in meta}
        self.state = RunState(**{**values, "macs": [tuple(pair) for pair in values["macs"]]})
        self._began = time.perf_counter()
        network.before_removal = meta["before_removal"]
        network.after_removal = meta["after_removal"]
        if meta["rewound"]:
            restore_rewind(network, saved.arrays)
        else:
            network.initial = self._initial
            network.initial_changed = False


def stateful(callbacks: Sequence[Any]) -> dict[str, Any]:
    """Returns the callbacks with a state to save, by class name; a phase has at most one of each class."""
    return {type(callback).__name__: callback for callback in callbacks if hasattr(callback, "saved_state")}


def restore_callbacks(callbacks: Sequence[Any], saved: Saved) -> None:
    """Restores the state of every stateful callback, after that of the network and the optimizer."""
    for name, callback in stateful(callbacks).items():
        start = f"callback/{name}/"
        arrays = {key.removeprefix(start): value for key, value in saved.arrays.items() if key.startswith(start)}
        callback.restore_state(saved.meta["callbacks"][name], arrays)
