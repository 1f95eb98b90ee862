"""Replays of every recorded trace of the official PyTorch code, and negative twins that must not agree with it.

With DLTH_TRACES=DIR the traces of another folder are replayed.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf.masking import StepHook
from tests.golden.replay import Replay
from tests.golden.structured import write_trace

FOLDER = Path(os.environ.get("DLTH_TRACES") or Path(__file__).parent / "traces")
TRACES = sorted(FOLDER.glob("*.npz"))


def test_the_folder_holds_traces():
    assert TRACES, f"{FOLDER} contains no trace"


@pytest.mark.fast_cases("o2_rst_x2_mlp.f32", "o3_rst_x_conv.f64", "o5_lth_iter2_mlp.f32")
@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_agrees_with_the_official_code_at_every_recorded_step(path):
    replay = Replay(path)
    if replay.why_not_offered():
        pytest.skip(replay.why_not_offered())
    replay.run()


@pytest.mark.fast_cases("rand-filter", "min-channel")
@pytest.mark.parametrize("group", ["filter", "channel"])
@pytest.mark.parametrize("pick", ["rand", "min", "max"])
def test_filters_and_channels_agree_with_an_independent_computation(group, pick, tmp_path):
    replay = Replay(write_trace(tmp_path / "trace.npz", group, pick))
    assert replay.why_not_offered() is None
    replay.run()


@pytest.mark.parametrize("group", ["filter", "channel"])
def test_a_doubled_penalty_on_groups_does_not_agree(group, tmp_path):
    with pytest.raises(AssertionError):
        Replay(write_trace(tmp_path / "trace.npz", group, doubled=True)).run()


def test_a_trace_recorded_without_momentum_agrees_and_one_with_it_must_have_velocities(tmp_path):
    Replay(write_trace(tmp_path / "plain.npz", "filter", momentum=0.0)).run()
    lacking = Replay(write_trace(tmp_path / "momentum.npz", "filter"))
    lacking.z = {name: value for name, value in lacking.z.items() if not name.startswith("final_velocity/")}
    with pytest.raises(KeyError, match="final_velocity"):
        lacking.run()


def test_an_option_that_is_not_offered_is_named(tmp_path):
    replay = Replay(write_trace(tmp_path / "trace.npz", "filter"))
    replay.args["mag_ratio_limit"] = 1.2
    assert replay.why_not_offered() == "mag_ratio_limit=1.2: the stop at a ratio of magnitudes is not offered"
    replay.args["wg"] = "block"
    assert replay.why_not_offered() == "wg=block: this granularity of the official code is not offered"


def own(name: str) -> Path:
    return Path(__file__).parent / "traces" / f"{name}.npz"


def must_disagree(name: str, **changes) -> None:
    Replay(own(name)).run()
    with pytest.raises(AssertionError):
        Replay(own(name), **changes).run()


@pytest.mark.fast_cases("f64")
@pytest.mark.parametrize("dtype", ["f64", "f32"])
def test_decoupled_weight_decay_does_not_agree(dtype):
    must_disagree(f"o1_rst_x_mlp.{dtype}", optimizer=tf_keras.optimizers.SGD)


class RateInsideVelocity(tf_keras.optimizers.SGD):
    """Keras' velocity with the published, coupled weight decay, which differs only once the learning rate changes."""

    def __init__(self, rate, momentum, weight_decay):
        super().__init__(rate, momentum=momentum)
        self.l2 = weight_decay

    def update_step(self, gradient, variable):
        super().update_step(gradient + tf.constant(self.l2, variable.dtype.base_dtype) * variable, variable)


@pytest.mark.parametrize("dtype", ["f64", "f32"])
def test_the_learning_rate_inside_the_velocity_does_not_agree(dtype):
    with pytest.raises(AssertionError, match=r"loss|snap"):
        Replay(own(f"o1_rst_x_mlp.{dtype}"), optimizer=RateInsideVelocity).run()


@pytest.mark.fast_cases("o1_rst_x_mlp.f64")
@pytest.mark.parametrize("name", ["o1_rst_x_mlp.f64", "o1_rst_x_mlp.f32", "o3_rst_x_conv.f64"])
def test_a_doubled_penalty_does_not_agree(name, monkeypatch):
    strength = StepHook.strength
    monkeypatch.setattr(StepHook, "strength", lambda self, *args: 2 * strength(self, *args))
    with pytest.raises(AssertionError):
        Replay(own(name)).run()


@pytest.mark.fast_cases("o4_rst_iter2_delete_mlp.f64")
@pytest.mark.parametrize("name", ["o1_rst_x_mlp.f64", "o1_rst_x_mlp.f32", "o4_rst_iter2_delete_mlp.f64"])
def test_a_penalty_that_starts_a_step_late_does_not_agree(name, monkeypatch):
    strength = StepHook.strength

    def late(self, dtype, step=None):
        step = self.optimizer.iterations
        return tf.where(step > 0, strength(self, dtype, tf.maximum(step - 1, 0)), tf.zeros((), dtype))

    monkeypatch.setattr(StepHook, "strength", late)
    with pytest.raises(AssertionError):
        Replay(own(name)).run()


@pytest.mark.fast_cases("f32")
@pytest.mark.parametrize("dtype", ["f64", "f32"])
def test_same_padding_of_a_strided_convolution_does_not_agree(dtype):
    must_disagree(f"o3_rst_x_conv.{dtype}", padding="same")


@pytest.mark.slow
def test_a_mask_that_is_applied_before_the_step_instead_of_after_it_does_not_agree(monkeypatch):
    def before(self, gradient, variable):
        target = self.targets.get(self.optimizer._var_key(variable))
        if target is not None and target.mask is not None:
            variable.assign(variable * target.mask)
        self._update_step(gradient, variable)

    monkeypatch.setattr(StepHook, "update_step", before)
    with pytest.raises(RuntimeError, match=r"removed weights of .* are not zero"):
        Replay(own("o5_lth_iter2_mlp.f64")).run()


def test_traces_skip_nothing_here():
    assert [Replay(path).why_not_offered() for path in sorted(own("o1").parent.glob("*.npz"))] == [None] * 10


def test_public_names_used_by_the_replay_are_public():
    assert {"Ticket", "apply_ticket", "callbacks", "optimizers", "strip", "wrap"} <= set(dlth.__all__)
