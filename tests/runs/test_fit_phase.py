"""A phase's training step is traced once: its variables exist before the first step."""

from __future__ import annotations

from pathlib import Path

import pytest
import tf_keras

from dlth_tf.runs import fit_phase
from tests.runs.tiny import tiny, train


def traces(run_dir: Path, monkeypatch: pytest.MonkeyPatch, **changes: object) -> int:
    """Counts the traces of the training step of a run of one phase."""
    traced = []
    original = tf_keras.Model.train_step
    with monkeypatch.context() as patch:
        patch.setattr(tf_keras.Model, "train_step", lambda model, data: traced.append(data) or original(model, data))
        train(tiny("scratch", run_dir, epochs="3it", steps_per_execution=1, **changes))
    return len(traced)


@pytest.mark.fast_cases("{}")
@pytest.mark.parametrize("changes", [{}, {"augment": "mixup"}, {"precision": "mixed_float16"}], ids=str)
def test_the_step_of_a_phase_is_traced_once(changes, tmp_path, monkeypatch):
    assert traces(tmp_path / "run", monkeypatch, **changes) == 1


def test_without_its_variables_it_would_be_traced_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(fit_phase, "build_training", lambda *_: None)
    assert traces(tmp_path / "run", monkeypatch) == 2
