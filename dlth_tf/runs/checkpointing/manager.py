"""CheckpointManager: what a run has done so far, written to checkpoints and read back."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dlth_tf import masking
from dlth_tf.methods import Network
from dlth_tf.runs.checkpointing.callback import CheckpointInterval
from dlth_tf.runs.checkpointing.files import CheckpointFiles, Saved
from dlth_tf.runs.checkpointing.state import network_state, restore_network, training_state
from dlth_tf.runs.history import OnRow


@dataclass
class RunState:
    """The part of a run that lies behind it.

    Attributes:
      phase: index of the phase that is trained.
      rows: history rows of the phases before.
      phases: their rows of result.json.
      macs: their multiply-adds of training on an image, (dense, sparse).
      seconds: how long the run took before this process.
      rate_scale: what learning rates are multiplied with since a rollback.
      rollback: what result.json says about it.
      reused: what result.json says about a training that another run of the sweep had made.
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
    """Writes and reads the checkpoints of one run.

    Args:
      network: of the run.
      checkpoints: of the run directory.
      clock: says when one is due.
      on_row: called with every row of the history.
      writes: whether this process writes; all workers of a run must save, since some variables are read by all together.
    """

    def __init__(
        self,
        network: Network,
        checkpoints: CheckpointFiles,
        clock: CheckpointInterval,
        on_row: OnRow | None = None,
        writes: bool = True,
    ) -> None:
        self.network, self.checkpoints, self.clock, self.on_row, self.writes = (
            network,
            checkpoints,
            clock,
            on_row,
            writes,
        )
        self.state = RunState()
        self._began, self._initial = time.perf_counter(), network.initial

    def seconds(self) -> float:
        """How long the run has taken, over all its processes."""
        return self.state.seconds + time.perf_counter() - self._began

    def save(self, callbacks: Sequence[Any] | None = None) -> None:
        """Writes a checkpoint: inside a phase with its callbacks, or, without, just before a phase."""
        network = self.network
        meta: dict[str, Any] = {
            **dataclasses.asdict(self.state),
            "seconds": self.seconds(),
            "inside": callbacks is not None,
        }
        meta |= {
            "before_removal": network.before_removal,
            "after_removal": network.after_removal,
            "rewound": network.initial_changed,
        }
        arrays = network_state(network.model)
        if network.initial_changed:
            arrays |= {f"initial/{name}": value for name, value in network.initial.items()}
        if callbacks is not None:
            arrays |= training_state(network.model)
            meta["step"] = int(masking.inner_optimizer(network.model).iterations.numpy())
            meta["callbacks"] = {}
            for name, callback in stateful(callbacks).items():
                meta["callbacks"][name], found = callback.saved_state()
                arrays |= {f"callback/{name}/{key}": value for key, value in found.items()}
        if self.writes:
            self.checkpoints.save(meta, arrays)
        self.clock.saved()

    def load(self) -> Saved | None:
        """Puts the network and the run's state back to the newest checkpoint; None if there is none.

        Raises:
          BadInput: there are checkpoints, but none is whole, or they are of another network.
        """
        saved = self.checkpoints.latest()
        if saved is None:
            return None
        network, meta = self.network, saved.meta
        restore_network(network.model, saved.arrays)
        values = {item.name: meta.get(item.name, item.default) for item in dataclasses.fields(RunState)}
        self.state = RunState(**{**values, "macs": [tuple(pair) for pair in values["macs"]]})
        self._began = time.perf_counter()
        network.before_removal, network.after_removal = meta["before_removal"], meta["after_removal"]
        found = {
            name.removeprefix("initial/"): value for name, value in saved.arrays.items() if name.startswith("initial/")
        }
        network.initial, network.initial_changed = (found, True) if meta["rewound"] else (self._initial, False)
        return saved


def stateful(callbacks: Sequence[Any]) -> dict[str, Any]:
    """The callbacks that have a state of their own to keep, by class name; a phase has one of a kind."""
    return {type(callback).__name__: callback for callback in callbacks if hasattr(callback, "saved_state")}


def restore_callbacks(callbacks: Sequence[Any], saved: Saved) -> None:
    """Gives every stateful callback its state back; the network and the optimizer have theirs already."""
    for name, callback in stateful(callbacks).items():
        start = f"callback/{name}/"
        arrays = {key.removeprefix(start): value for key, value in saved.arrays.items() if key.startswith(start)}
        callback.restore_state(saved.meta["callbacks"][name], arrays)
