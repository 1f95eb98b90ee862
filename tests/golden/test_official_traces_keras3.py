"""Replays of every recorded trace through `fit` of Keras 3, on the backend that KERAS_BACKEND names.

With DLTH_TRACES=DIR the traces of another folder are replayed. `tests/keras3/test_every_backend.py` runs this file on
JAX and on PyTorch.
"""

from __future__ import annotations

import os
from pathlib import Path

import keras
import pytest
from keras import ops

from dlth_tf.masking.keras3.hook import StepHook
from tests.golden.keras3_replay import Keras3Replay, set_precision
from tests.golden.structured import write_trace

OWN = Path(__file__).parent / "traces"
FOLDER = Path(os.environ.get("DLTH_TRACES") or OWN)
TRACES = sorted(FOLDER.glob("*.npz"))
COMPILED = [pytest.param("auto", id="auto"), pytest.param(False, id="no_jit", marks=pytest.mark.slow)]


def example(path: Path):
    """float32 agrees where float64 does, so of the traces here only those of float64 are fast."""
    slow = FOLDER == OWN and path.stem.endswith(".f32")
    return pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if slow else [])


@pytest.fixture(autouse=True)
def precision_is_restored():
    yield
    set_precision("float32")


def test_the_folder_holds_traces():
    assert TRACES, f"{FOLDER} contains no trace"


@pytest.mark.fast_cases("o3_rst_x_conv.f64-auto", "o5_lth_iter2_mlp.f64-auto")
@pytest.mark.parametrize("jit_compile", COMPILED)
@pytest.mark.parametrize("path", [example(path) for path in TRACES])
def test_agrees_with_the_official_code_at_every_recorded_step(path, jit_compile):
    replay = Keras3Replay(path, jit_compile=jit_compile)
    if replay.why_not_offered():
        pytest.skip(replay.why_not_offered())
    replay.run()


@pytest.mark.parametrize("group", ["filter", "channel"])
def test_filters_and_channels_agree_with_an_independent_computation(group, tmp_path):
    Keras3Replay(write_trace(tmp_path / "trace.npz", group, "min")).run()


def own(name: str, **options) -> Keras3Replay:
    return Keras3Replay(OWN / f"{name}.npz", **options)


def test_decoupled_weight_decay_does_not_agree():
    with pytest.raises(AssertionError):
        own("o1_rst_x_mlp.f64", optimizer=keras.optimizers.SGD).run()


def test_a_doubled_penalty_does_not_agree(monkeypatch):
    strength = StepHook.strength
    monkeypatch.setattr(StepHook, "strength", lambda self, *args: 2 * strength(self, *args))
    with pytest.raises(AssertionError):
        own("o1_rst_x_mlp.f64").run()


@pytest.mark.slow
def test_a_penalty_that_starts_a_step_late_does_not_agree(monkeypatch):
    strength = StepHook.strength

    def late(self, dtype, step=None):
        step = ops.cast(self.optimizer.iterations, "int32")
        value = strength(self, dtype, ops.maximum(step - 1, 0))
        return ops.where(step > 0, value, ops.zeros_like(value))

    monkeypatch.setattr(StepHook, "strength", late)
    with pytest.raises(AssertionError):
        own("o1_rst_x_mlp.f64").run()


@pytest.mark.slow
def test_same_padding_of_a_strided_convolution_does_not_agree():
    with pytest.raises(AssertionError):
        own("o3_rst_x_conv.f64", padding="same").run()


def test_a_step_without_its_mask_does_not_agree(monkeypatch):
    monkeypatch.setattr(StepHook, "_after", lambda self, key, variable: None)
    with pytest.raises(RuntimeError, match=r"removed weights of .* are not zero"):
        own("o5_lth_iter2_mlp.f64").run()
