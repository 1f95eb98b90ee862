"""A transformation and a finetune under a strategy.

As a command it runs them under MirroredStrategy on two logical CPUs and writes the outcome into a file:

    python -m tests.callbacks.two_replicas OUT.npz

One process per strategy: several MirroredStrategy objects in one process disturb each other's collectives.
"""

from __future__ import annotations

import sys

import numpy as np
import tensorflow as tf

import dlth_tf as dlth
from dlth_tf import masking
from tests.masking.networks import LOSS, batches, mlp


def outcome(strategy: tf.distribute.Strategy) -> dict[str, np.ndarray]:
    """Returns weights after the penalty and the finetune, masks, steps, and the largest removed |w| of any replica."""
    with strategy.scope():
        model = dlth.wrap(mlp())
        model.compile(dlth.optimizers.SGD(0.1, momentum=0.9, weight_decay=5e-4), LOSS, steps_per_execution=4)
    penalty = dlth.callbacks.RSTPenalty(step=0.25, every=3, limit=0.5, hold_steps=5, remove_at_end=False)
    model.fit(batches(12, size=16), verbose=0, callbacks=[dlth.callbacks.RandomMask(0.5, seed=1), penalty])
    arrays = {f"squeezed/{name}": variable.numpy() for name, variable in masking.named_weights(model).items()}
    masking.remove(model)
    with strategy.scope():
        model.compile(dlth.optimizers.SGD(0.1, momentum=0.9, weight_decay=5e-4), LOSS)
    model.fit(batches(6, size=16), verbose=0, callbacks=[dlth.callbacks.KeepMask()])
    arrays |= {f"trained/{name}": variable.numpy() for name, variable in masking.named_weights(model).items()}
    arrays["steps"] = np.array(penalty.steps)
    arrays["removed"] = np.array(0.0)
    for name, entry in masking.prunable_weights(model).items():
        arrays[f"mask/{name}"] = entry.kept()
        for replica in strategy.experimental_local_results(entry.weight):
            arrays["removed"] = np.maximum(arrays["removed"], np.abs(replica.numpy()[~entry.kept()]).max(initial=0))
    arrays["replicas"] = np.array(strategy.num_replicas_in_sync)
    return arrays


def main(path: str) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    np.savez(path, **outcome(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])))


if __name__ == "__main__":
    main(sys.argv[1])
