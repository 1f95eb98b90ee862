"""Trains one network on one and on two devices, on the backend of the process; prints the largest differences.

Run by `test_replicas.py` in a process of its own, since devices are chosen before anything computes.
"""

from __future__ import annotations

import os

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"

import keras
import numpy as np

import dlth_tf as dlth
from dlth_tf import masking
from tests.keras3.networks import LOSS, data, mlp, removed, transform, zeros


def trained(model: keras.Model) -> dict[str, np.ndarray]:
    """Returns the weights after a transformation and a finetune."""
    x, y = data()
    for callbacks in (transform(), [dlth.callbacks.KeepMask()]):
        with masking.scope(model):
            model.compile(dlth.keras3.SGD(0.05, momentum=0.9), LOSS, jit_compile="auto")
        model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0, callbacks=callbacks)
    assert removed(model) == zeros(model) == {"fc1/kernel": 0.75, "fc2/kernel": 0.75}
    return masking.weight_arrays(model)


def on_two_devices() -> dict[str, np.ndarray]:
    """Trains with MirroredStrategy on TensorFlow, and with DataParallel on JAX."""
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
            model = mlp()
        return trained(model)
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=["cpu:0", "cpu:1"]))
    return trained(mlp())


def on_two_halves() -> dict[str, np.ndarray]:
    """Trains with ModelParallel, which only JAX has: every device holds half of the first two kernels."""
    mesh = keras.distribution.DeviceMesh((1, 2), ["batch", "model"], ["cpu:0", "cpu:1"])
    layout = keras.distribution.LayoutMap(mesh)
    layout[".*fc1.*kernel"] = (None, "model")
    layout[".*fc2.*kernel"] = ("model", None)
    keras.distribution.set_distribution(keras.distribution.ModelParallel(layout_map=layout, batch_dim_name="batch"))
    model = mlp()
    shards = model.get_layer("fc1").kernel.value.addressable_shards
    assert [shard.data.shape for shard in shards] == [(6, 8), (6, 8)]
    return trained(model)


if __name__ == "__main__":
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    one = trained(mlp())
    two = on_two_devices()
    others = [two, on_two_halves()] if keras.config.backend() == "jax" else [two]
    print(*(max(float(np.abs(one[name] - other[name]).max()) for name in one) for other in others))
