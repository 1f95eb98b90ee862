"""A plain `fit` under the user's own `strategy.scope()`: two replicas end with the weights and masks of one.

As a command it trains under MirroredStrategy and writes the outcome into a file, in one process per strategy:

    python -m tests.callbacks.test_scope REPLICAS OUT.npz
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking

ROOT = Path(__file__).resolve().parents[2]
STEPS = 16  # per epoch, of 64 images


def network() -> tf_keras.Model:
    tf_keras.utils.set_random_seed(0)
    hidden = tf_keras.layers.Dense(60, activation="relu", input_shape=(64,), name="hidden")
    return tf_keras.Sequential([hidden, tf_keras.layers.Dense(10, name="logits")])


def compiled(strategy: tf.distribute.Strategy, model: tf_keras.Model) -> tf_keras.Model:
    with strategy.scope():
        loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(dlth.optimizers.SGD(0.03, momentum=0.9, weight_decay=5e-4), loss, steps_per_execution=4)
    return model


def outcome(strategy: tf.distribute.Strategy) -> dict[str, np.ndarray]:
    """Returns weights and masks after RST and a finetune, and after iterative magnitude pruning."""
    data = dlth.load_dataset("digits").train
    x = data.images[: 64 * STEPS].reshape(-1, 64).astype("float32") / 16
    y = data.labels[: 64 * STEPS]
    options = {"batch_size": 64, "shuffle": False, "verbose": 0}
    with strategy.scope():
        dual = dlth.wrap(network())
        winner = dlth.wrap(network())
    squeeze = dlth.callbacks.RSTPenalty(step=0.1, every=1, limit=1.0, hold_steps=22)  # 32 steps
    chosen = dlth.callbacks.RandomMask(sparsity=0.9, seed=0)
    compiled(strategy, dual).fit(x, y, epochs=squeeze.epochs(STEPS), callbacks=[chosen, squeeze], **options)
    compiled(strategy, dual).fit(x, y, epochs=2, callbacks=[dlth.callbacks.KeepMask()], **options)
    compiled(strategy, winner).fit(
        x, y, epochs=3, callbacks=[dlth.callbacks.IMP(0.75, rounds=2, rewind_step=4)], **options
    )
    arrays = {"replicas": np.array(strategy.num_replicas_in_sync)}
    for kind, model in (("rst", dual), ("imp", winner)):
        arrays |= {f"{kind}/weight/{name}": variable.numpy() for name, variable in masking.named_weights(model).items()}
        arrays |= {f"{kind}/mask/{name}": entry.kept() for name, entry in masking.prunable_weights(model).items()}
    return arrays


def main(replicas: str, path: str) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * int(replicas))
    np.savez(path, **outcome(tf.distribute.MirroredStrategy([f"CPU:{number}" for number in range(int(replicas))])))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_replicas_in_a_users_scope_give_the_weights_and_masks_of_one(tmp_path):
    outcomes = []
    for replicas in (1, 2):
        command = [sys.executable, "-m", "tests.callbacks.test_scope", str(replicas), str(tmp_path / f"{replicas}.npz")]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400)
        assert done.returncode == 0, done.stderr[-3000:]
        with np.load(tmp_path / f"{replicas}.npz") as arrays:
            outcomes.append(dict(arrays))
    one, two = outcomes
    assert (int(one.pop("replicas")), int(two.pop("replicas"))) == (1, 2) and one.keys() == two.keys()
    for name, value in one.items():
        if "/mask/" in name:
            np.testing.assert_array_equal(two[name], value, err_msg=name)
        else:
            np.testing.assert_allclose(two[name], value, rtol=0, atol=1e-5, err_msg=name)
    assert 1 - one["rst/mask/hidden/kernel"].mean() == pytest.approx(0.9, abs=1e-3)
    assert 1 - one["imp/mask/hidden/kernel"].mean() == pytest.approx(0.75, abs=1e-3)
    assert np.abs(one["rst/weight/logits/kernel"] - one["imp/weight/logits/kernel"]).max() > 1e-2, (
        "the twin: a difference would be seen"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
