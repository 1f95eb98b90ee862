"""When a run is killed: in a training step, around an epoch's end, in the middle of writing, between phases, at the very end."""

from __future__ import annotations

from typing import Any

from dlth_tf.runs.plan import make_phases, make_recipe
from tests.faults.driver import Fault
from tests.runs.tiny import EXAMPLES, tiny

STEP, EPOCH_END = (
    "dlth_tf.runs.checkpointing.callback:CheckpointCallback.on_train_batch_end",
    "dlth_tf.runs.checkpointing.callback:CheckpointCallback.on_epoch_end",
)
WRITE, RENAME, SYNC = "dlth_tf.files:write_atomic", "os:replace", "os:fsync"

WHILE_WRITING = (
    Fault(RENAME, given=".npz"),  # the arrays are there under another name
    Fault(RENAME, given=".npz", when="after"),  # the arrays are there, and not the .json that makes them a checkpoint
    Fault(RENAME, given="checkpoints/", nth=2),
    Fault(RENAME, given="checkpoints/", nth=2, when="after"),  # the checkpoint is there, and older ones still are
    Fault(WRITE, given=".npz", do="half"),
    Fault(WRITE, given="checkpoints/", nth=2, do="half"),
    Fault(SYNC, nth=2),  # the first is config.json's
    Fault(
        "dlth_tf.runs.checkpointing.files:_flush_to_disk", when="after"
    ),  # nothing is left to be done but to take old ones away
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
    return [phase.name for phase in make_phases(config, make_recipe(config, EXAMPLES["train"]))]


def in_phase(name: str, nth: int) -> Fault:
    """After so many calls into TensorFlow of a phase, counted from where the process begins or goes on."""
    return Fault(STEP, given=name, nth=nth, when="after")


def chain(number: int, names: list[str], executions: int) -> list[Fault]:
    """One kill in every phase, one while a checkpoint is written, one between an epoch's row and its checkpoint, one at the end.

    Args:
      number: chooses among the moments of a kind.
      names: of the phases.
      executions: after how many calls into TensorFlow of a phase.
    """
    return [
        *(in_phase(name, executions) for name in names),
        WHILE_WRITING[number % len(WHILE_WRITING)],
        Fault(EPOCH_END, given=names[-1]),
        AT_THE_END[number % len(AT_THE_END)],
    ]
