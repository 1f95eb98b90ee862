"""Precisions, XLA, TensorBoard and replicas: each run ends sparse, and restores the settings of the process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorflow.python.framework import config as tf_config

from dlth_tf.core import Ticket
from dlth_tf.errors import BadInput
from dlth_tf.runs.devices.context import machine
from dlth_tf.runs.devices.replicas import rate_factor
from dlth_tf.runs.devices.strategies import strategy
from dlth_tf.runs.plan import make_phases, make_recipe
from dlth_tf.runs.runner import run
from tests.runs.tiny import Finished, environment, tiny, tiny_flags, train


def is_sparse(done: Finished) -> bool:
    """Returns whether exactly the weights outside the ticket are zero: 90 % of two kernels, and none of the third."""
    ticket, weights = Ticket.load(done.directory.ticket), done.weights
    return all(np.array_equal(weights[name] != 0, ticket[name]) for name in ticket) and done.result["sparsity"][
        "per_tensor"
    ] == {
        "fc1/kernel": 0.9,
        "fc2/kernel": 0.9,
        "fc3/kernel": 0.0,
    }


@pytest.mark.fast_cases("float64-float64")
@pytest.mark.parametrize(
    ("precision", "dtype"),
    [
        ("float64", "float64"),
        ("mixed_float16", "float32"),  # with loss scaling
        pytest.param("mixed_bfloat16", "float32", marks=pytest.mark.slow),
    ],
)
def test_every_precision_trains_and_ends_sparse(precision, dtype, tmp_path, tiny_runs):
    done = train(tiny("rst", tmp_path / "run", precision=precision, verbosity=2))
    assert is_sparse(done) and is_sparse(tiny_runs["rst"])
    assert {weight.dtype for weight in done.weights.values()} == {np.dtype(dtype)}
    assert [phase["steps"] for phase in done.result["phases"]] == [9, 16]
    assert done.result["weights_sha256"] != tiny_runs["rst"].result["weights_sha256"]
    assert [line.split("  ")[0] for line in done.said.splitlines() if ": epoch" in line] == [
        "transform: epoch 1/1",
        "finetune: epoch 1/2",
        "finetune: epoch 2/2",
    ]
    assert tf_keras.backend.floatx() == "float32" and tf_keras.mixed_precision.global_policy().name == "float32"


@pytest.mark.slow
def test_xla_gives_the_same_network_up_to_rounding(tmp_path, tiny_runs):
    done = train(tiny("rst", tmp_path / "run", jit_compile=True))
    assert is_sparse(done)
    for name, weight in tiny_runs["rst"].weights.items():
        assert np.allclose(done.weights[name], weight, atol=1e-5)


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Tag -> (step, value) of the scalars in a TensorBoard folder; the value of a histogram is NaN."""
    found = EventAccumulator(str(folder)).Reload()
    values = {
        tag: [(event.step, tf.make_ndarray(event.tensor_proto)) for event in found.Tensors(tag)]
        for tag in found.Tags()["tensors"]
    }
    return {
        tag: [(step, float(value)) if value.ndim == 0 else (step, np.nan) for step, value in points]
        for tag, points in values.items()
    }


@pytest.mark.slow
def test_tensorboard_shows_every_epoch_of_every_phase(tmp_path):
    run(tiny("rst", tmp_path / "run", tensorboard=True))
    for phase, steps, penalties, sparsity in (
        ("transform", [0, 9], [0.2, 1.2], 0),
        ("finetune", [0, 8, 16], [0, 0, 0], 1998 / 2320),
    ):
        folder = tmp_path / "run" / "tensorboard" / phase
        monitored = events(folder / "sparsity")
        assert [step for step, _ in monitored["penalty"]] == steps
        assert np.allclose([value for _, value in monitored["penalty"]], penalties)
        assert np.allclose([value for _, value in monitored["sparsity/all"]], sparsity)
        assert len(monitored["weights/fc1/kernel"]) == len(steps)
        assert (
            len(events(folder / "train")["epoch_test_accuracy"])
            == len(events(folder / "validation")["epoch_accuracy"])
            == len(steps) - 1
        )


@pytest.mark.slow
def test_two_replicas_give_the_network_of_one_device(tmp_path, tiny_runs):
    one = tiny_runs["rst"]  # auto: one device
    flags = tiny_flags("rst", "two", strategy="mirrored", num_replicas=2, deterministic=False)
    command = [sys.executable, "-m", "dlth_tf.train", *flags]
    ended = subprocess.run(command, env=environment(), cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    two = dict(np.load(tmp_path / "two" / "weights.npz"))
    for name, weight in one.weights.items():
        assert np.allclose(weight, two[name], rtol=0, atol=1e-5)
    assert not all(
        np.allclose(weight, two[name], rtol=0, atol=1e-5) for name, weight in tiny_runs["scratch"].weights.items()
    )
    result = json.loads((tmp_path / "two" / "result.json").read_text())
    assert all(result[key] == one.result[key] for key in ("sparsity", "parameters"))
    assert result["cost"]["training_macs_theoretical"] == one.result["cost"]["training_macs_theoretical"]


def test_more_replicas_than_devices_are_refused_once_tensorflow_has_started(tmp_path):
    tf.config.list_logical_devices()
    with pytest.raises(BadInput, match="num_replicas=64: TensorFlow has already started in this process"):
        strategy(tiny("rst", tmp_path, strategy="mirrored", num_replicas=64))


def test_one_device_is_the_default_strategy(tmp_path):
    found = strategy(tiny("rst", tmp_path, strategy="one_device"))
    assert not tf.distribute.has_strategy() and found.num_replicas_in_sync == 1


def test_without_a_tpu_the_strategy_is_refused(tmp_path, monkeypatch):
    monkeypatch.delenv("TPU_NAME", raising=False)
    with pytest.raises(
        BadInput, match=r"^strategy=tpu: cannot use the TPU named local \(\S.*\); TPU_NAME names another one$"
    ):
        strategy(tiny("rst", tmp_path, strategy="tpu"))


@pytest.mark.parametrize("precision", ["float64", "mixed_float16"])
def test_what_a_tpu_cannot_compute_is_refused(precision, tmp_path):
    with pytest.raises(BadInput, match=f"^precision={precision}: is not supported on a TPU"):
        tiny("rst", tmp_path, strategy="tpu", precision=precision)


@pytest.mark.parametrize("name", ["mirrored", "multi_worker"])
def test_xla_is_refused_where_replicas_are_cpus(name, tmp_path, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["127.0.0.1:1"]}, "task": {"type": "worker", "index": 0}}')
    with pytest.raises(BadInput, match=r"^jit_compile=True: XLA is not supported on the \S*\s?CPU"):
        strategy(tiny("rst", tmp_path, strategy=name, jit_compile=True))


def test_a_batch_that_the_gpus_cannot_share_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [f"/{kind}:{number}" for number in range(3)])
    monkeypatch.setattr(
        tf.distribute, "MirroredStrategy", lambda devices: SimpleNamespace(num_replicas_in_sync=len(devices))
    )
    with pytest.raises(BadInput, match=r"^batch_size=128: must be a multiple of the 3 replicas$"):
        strategy(tiny("rst", tmp_path))  # auto, and so all three
    assert strategy(tiny("rst", tmp_path, batch_size=96, transform_batch_size=48)).num_replicas_in_sync == 3


def test_learning_rates_of_all_phases_grow_with_the_replicas_when_asked_to(tmp_path, monkeypatch):
    monkeypatch.setattr(tf.distribute, "get_strategy", lambda: SimpleNamespace(num_replicas_in_sync=4))
    plain, scaled = (tiny("rst", tmp_path, scale_lr=scale) for scale in (False, True))
    before, after = (
        make_phases(config.method, make_recipe(config, 1097), rate_factor(config.scale_lr))
        for config in (plain, scaled)
    )
    assert [phase.learning_rate.values for phase in before] == [(0.001,), (0.1, 0.01, 0.001)]
    assert [phase.learning_rate.values for phase in after] == [(0.004,), pytest.approx((0.4, 0.04, 0.004))]
    assert [phase.learning_rate.boundaries for phase in after] == [phase.learning_rate.boundaries for phase in before]


@pytest.mark.gpu
@pytest.mark.skipif(not tf.config.list_physical_devices("GPU"), reason="needs a GPU")
def test_a_run_takes_the_gpu_by_itself(tmp_path):
    with machine(tiny("rst", tmp_path, strategy="one_device")) as chosen, chosen.scope():
        assert "GPU" in tf.Variable(tf.zeros([2])).device


@pytest.mark.parametrize("fails", [False, True])
def test_dtypes_and_determinism_are_put_back(fails, tmp_path):
    before = tf_config.is_op_determinism_enabled()
    try:
        with machine(tiny("rst", tmp_path, precision="float64")):
            assert tf_keras.backend.floatx() == "float64" and tf_config.is_op_determinism_enabled()
            if fails:
                raise KeyError
    except KeyError:
        pass
    assert tf_keras.backend.floatx() == "float32" and tf_config.is_op_determinism_enabled() == before
    tf_keras.backend.set_floatx("float16")
    try:
        assert tf_keras.layers.Dense(1).dtype == "float16"  # no policy is left that would hide it
    finally:
        tf_keras.backend.set_floatx("float32")


def test_a_policy_of_the_users_own_is_put_back(tmp_path):
    tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        with machine(tiny("rst", tmp_path)):
            assert tf_keras.mixed_precision.global_policy().name == "float32"
        assert tf_keras.mixed_precision.global_policy().name == "mixed_bfloat16"
    finally:
        tf_keras.mixed_precision.set_global_policy(None)
