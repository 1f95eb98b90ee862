"""Two training steps of resnet8 with a norm, on one replica and on two logical CPUs; writes the differences to a file.

python -m tests.models.two_replicas NORM OUT.npz
"""

from __future__ import annotations

import sys

import numpy as np
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking
from tests.models.small import small


def trained(strategy: tf.distribute.Strategy, norm: str) -> dict[str, np.ndarray]:
    images = np.random.default_rng(0).standard_normal((16, 8, 8, 3)).astype(np.float32)
    images[:8] *= 5  # the statistics of the two halves differ
    with strategy.scope():
        model = dlth.wrap(small("resnet8", norm=norm))
        model.compile(
            dlth.optimizers.SGD(0.1, momentum=0.9), tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        )
    model.fit(tf.data.Dataset.from_tensor_slices((images, np.arange(16) % 7)).batch(16), epochs=2, verbose=0)
    return {name: weight.numpy() for name, weight in masking.named_weights(model).items()}


if __name__ == "__main__":
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], tf.distribute.ReductionToOneDevice())
    one = trained(tf.distribute.get_strategy(), sys.argv[1])
    both = trained(two, sys.argv[1])
    np.savez(sys.argv[2], **{name: np.abs(one[name] - both[name]).max() for name in one})
