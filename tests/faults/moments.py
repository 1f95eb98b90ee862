"""Moments to kill a run: in a training step, around the end of an epoch, while writing, between phases, at the end."""

from __future__ import annotations

from typing import Any

from dlth_tf.runs.plan import make_phases, make_recipe
from tests.faults.driver import Fault
from tests.runs.tiny import EXAMPLES, tiny

STEP = "dlth_tf.runs.checkpointing.callback:CheckpointCallback.on_train_batch_end"
EPOCH_END = "dlth_tf.runs.checkpointing.callback:CheckpointCallback.on_epoch_end"
WRITE = "dlth_tf.files:write_atomic"  # of arrays and tables
WRITE_JSON = "dlth_tf.files.json_files:write_atomic"
RENAME = "os:replace"
SYNC = "os:fsync"

WHILE_WRITING = (
    Fault(RENAME, given=".npz"),  # the arrays exist under another name
    Fault(RENAME, given=".npz", when="after"),  # the arrays exist, but not the .json that makes them a checkpoint
    Fault(RENAME, given="checkpoints/", nth=2),
    Fault(RENAME, given="checkpoints/", nth=2, when="after"),  # the checkpoint exists, and older ones still do
    Fault(WRITE, given=".npz", do="half"),
    Fault(WRITE_JSON, given="checkpoints/", do="half"),
    Fault(SYNC, nth=2),  # the first one is for config.json
    # Only the old checkpoints remain to be deleted.
    Fault("dlth_tf.runs.checkpointing.files:_flush_to_disk", when="after"),
)
AT_THE_END = (
    Fault("dlth_tf.runs.runner:save_network"),
    Fault(RENAME, given="weights.npz"),
    Fault(RENAME, given="ticket.npz", when="after"),
    Fault(RENAME, given="result.json"),
    Fault("dlth_tf.runs.runner:write_history", when="after"),
    Fault("dlth_tf.masking:strip"),
)


def phases(method: str, **changes: Any) -> list[str]:
    """The names of a method's phases in a tiny run."""
    config = tiny(method, "run", **changes)
    return [phase.name for phase in make_phases(config.method, make_recipe(config, EXAMPLES["train"]))]


def in_phase(name: str, nth: int) -> Fault:
    """After `nth` calls into TensorFlow in a phase, counted from where the process begins or resumes."""
    return Fault(STEP, given=name, nth=nth, when="after")


def chain(number: int, names: list[str], executions: int) -> list[Fault]:
    """One kill in every phase, one while writing a checkpoint, one between row and checkpoint of an epoch, one last.

    Args:
      number: Chooses among the moments of a kind.
      names: Names of the phases.
      executions: Number of calls into TensorFlow in a phase before the kill.
    """
    return [
        *(in_phase(name, executions) for name in names),
        WHILE_WRITING[number % len(WHILE_WRITING)],
        Fault(EPOCH_END, given=names[-1]),
        AT_THE_END[number % len(AT_THE_END)],
    ]
