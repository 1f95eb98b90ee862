"""Replicas hold the same network, bit for bit, and their number changes only rounding."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from dlth_tf.runs.devices import replicas
from tests.runs.tiny import ROOT, as_flags, data_dir, environment

RST = {
    "dataset": "digits",
    "method": "rst",
    "sparsity": 0.9,
    "verbosity": 0,
    "transform_batch_size": 64,
    "epochs": "1it",
}
LENET = {**RST, "model": "lenet_300_100", "penalty_step": 0.01, "penalty_every": 1, "hold_steps": 99}  # 200 steps
RESNET = {**RST, "model": "resnet8", "penalty_step": 0.25, "penalty_every": 1, "hold_steps": 3, "sparsity": 0.5}
SYNC, PLAIN = ({**RESNET, "model_args": json.dumps({"width": 0.25, "norm": norm})} for norm in ("sync_batch", "batch"))


def trained(folder: Path, count: int, **flags: object) -> dict[str, np.ndarray]:
    """The weights after a run in a separate process, on one device or on `count` replicas."""
    where = {"strategy": "one_device"} if count == 1 else {"strategy": "mirrored", "num_replicas": count}
    name = f"{len(list(folder.iterdir()))}"
    command = [
        sys.executable,
        "-m",
        "dlth_tf.train",
        *as_flags(**{"data_dir": data_dir(), **flags, **where, "run_dir": folder / name}),
    ]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=500)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr[-3000:]
    with np.load(folder / name / "weights.npz") as found:
        return dict(found)


def apart(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> float:
    """The largest difference between two weights."""
    assert one.keys() == other.keys()
    return max(float(np.abs(weight - other[name]).max()) for name, weight in one.items())


@pytest.mark.faults
@pytest.mark.timeout(1500)
def test_weights_after_200_steps_do_not_depend_on_the_number_of_replicas(tmp_path):
    one, two, four = (trained(tmp_path, count, **LENET) for count in (1, 2, 4))
    assert apart(one, two) < 1e-6 and apart(one, four) < 1e-6
    assert apart(one, trained(tmp_path, 2, **LENET, scale_lr=True)) > 1e-4, "the twin: a difference would be seen"


@pytest.mark.faults
@pytest.mark.timeout(1500)
def test_synchronised_batch_norm_does_not_depend_on_it_and_plain_batch_norm_does(tmp_path):
    assert apart(trained(tmp_path, 1, **SYNC), trained(tmp_path, 2, **SYNC)) < 1e-4
    assert apart(trained(tmp_path, 1, **PLAIN), trained(tmp_path, 2, **PLAIN)) > 1e-3


DIVERGE = """
import sys
import dlth_tf as dlth
import tensorflow as tf
import tf_keras
from dlth_tf import masking
from dlth_tf.runs.devices.replicas import check_same, mirrored_variables

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    layers = tf_keras.layers
    hidden = [layers.Dense(4, name="fc1"), layers.BatchNormalization(name="norm")]
    model = dlth.wrap(tf_keras.Sequential([layers.Input((3,)), *hidden, layers.Dense(2, name="fc2")]))
    model.compile(dlth.optimizers.SGD(0.1, momentum=0.9), "mse")
    model.fit(tf.random.normal([8, 3]), tf.zeros([8, 2]), batch_size=4, verbose=0)
    averages = {name for name, variable in masking.named_weights(model).items() if "moving" in name}
    assert len(averages) == 2
    check_same(model)
    print(*(name for name, variable in mirrored_variables(model)), sep=",")
    statistics = masking.named_weights(model)["norm/moving_mean"]
    strategy.experimental_local_results(statistics)[1].assign_add([1.0] * 4)
    check_same(model)
    for name, variable in mirrored_variables(model):
        copy = strategy.experimental_local_results(variable)[1]
        before = copy.numpy()
        copy.assign_add(tf.ones_like(copy))
        try:
            check_same(model)
        except RuntimeError as error:
            assert str(error) == f"replicas have diverged: {name} differs", error
        else:
            raise AssertionError(name)
        copy.assign(before)
        check_same(model)
"""


@pytest.mark.slow
def test_a_copy_that_is_another_is_found_and_named():
    done = subprocess.run(
        [sys.executable, "-c", DIVERGE], env=environment(), cwd=ROOT, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr[-3000:]
    names = done.stdout.strip().split(",")
    for part in ("weight fc1/kernel", "weight norm/gamma", "mask of fc2/kernel", "ticket of fc1/kernel"):
        assert part in names
    assert sum("velocity" in name or "/v/" in name for name in names) == 6, names
    assert not any("moving" in name for name in names)


def test_one_device_has_nothing_to_compare_and_agrees_with_itself():
    replicas.check_same(None)
    assert replicas.agreed(True, False) == (True, False)
    assert replicas.rate_factor(scale_lr=True) == 1.0


@pytest.mark.parametrize(("synchronized", "expected"), [(False, 2), (True, 1)])
def test_the_log_says_what_several_replicas_change(synchronized, expected, monkeypatch, caplog):
    monkeypatch.setattr(tf.distribute, "get_strategy", lambda: SimpleNamespace(num_replicas_in_sync=2))
    logger = logging.getLogger("dlth_tf")  # a command that ran before in this process may have changed it
    monkeypatch.setattr(logger, "propagate", True)
    monkeypatch.setattr(logger, "handlers", [])
    model = tf_keras.Sequential(
        [tf_keras.layers.Input((3,)), tf_keras.layers.BatchNormalization(synchronized=synchronized)]
    )
    with caplog.at_level(logging.INFO, logger="dlth_tf"):
        replicas.log_what_differs(model, scale_lr=True)
    assert (
        len(caplog.messages) == expected
        and caplog.messages[0] == "learning rates are multiplied by 2, the number of replicas"
    )


def graphics() -> int:
    return len(tf.config.list_physical_devices("GPU"))


@pytest.mark.gpu
@pytest.mark.skipif(graphics() < 2, reason="needs two GPUs")
@pytest.mark.timeout(900)
def test_two_gpus_give_the_network_of_one(tmp_path):
    visible = {key: value for key, value in environment().items() if key != "CUDA_VISIBLE_DEVICES"}
    found = []
    for where in ({"strategy": "one_device"}, {"strategy": "mirrored", "num_replicas": 2}):
        run_dir = tmp_path / where["strategy"]
        command = [
            sys.executable,
            "-m",
            "dlth_tf.train",
            *as_flags(**LENET, **where, data_dir=data_dir(), run_dir=run_dir),
        ]
        subprocess.run(command, env=visible, check=True, timeout=400)
        with np.load(run_dir / "weights.npz") as arrays:
            found.append(dict(arrays))
    assert apart(*found) < 1e-4
