"""A tiny run that was interrupted after two checkpoints, created once per session and copied for every test."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from dlth_tf.runs import runner
from dlth_tf.runs.checkpointing.callback import CheckpointCallback
from dlth_tf.runs.config import RunConfig
from tests.runs.tiny import tiny


class Interrupted(RuntimeError):
    """Takes the place of the end of the process."""


def interrupt(config: RunConfig, phase: str, step: int) -> None:
    """Runs until `step` of `phase` is complete and its checkpoint written if one was due."""
    original = CheckpointCallback.on_train_batch_end

    def until(self: CheckpointCallback, batch: int, logs: Any = None) -> None:
        original(self, batch, logs)
        if self.phase == phase and self.step() >= step:
            raise Interrupted

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(CheckpointCallback, "on_train_batch_end", until)
        runner.run(config)


_MADE: dict[tuple[str, tuple[tuple[str, Any], ...]], Path] = {}


def interrupted(method: str, phase: str, run_dir: Path, **changes: Any) -> RunConfig:
    """A directory whose last two checkpoints are of steps 3 and 6 of `phase`; returns its configuration."""
    options = {"checkpoint_every": "3it", "steps_per_execution": 1, **changes}
    key = f"{method} {phase}", tuple(sorted(options.items()))
    if key not in _MADE:
        _MADE[key] = run_dir.with_name(f"{run_dir.name}-first")
        interrupt(tiny(method, _MADE[key], **options), phase, 6)
    shutil.copytree(_MADE[key], run_dir)
    return tiny(method, run_dir, **options)
