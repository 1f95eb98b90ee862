"""The replay of a recorded trace through `fit` of Keras 3, on the backend of the process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from keras.src.backend.common import dtypes

import dlth_tf as dlth
from tests.golden.replay import Replay
from tests.golden.torch_twins import ENDS

BACKEND = keras.config.backend()
layers = keras.layers


class TorchBatchNormalization(layers.BatchNormalization):
    """Updates running statistics as PyTorch does, with the unbiased variance."""

    def call(self, inputs, training=None, mask=None):
        mean, variance = self.moving_mean, self.moving_variance
        if training:
            axes = list(range(len(inputs.shape) - 1))
            count = inputs.shape[0] * int(np.prod(inputs.shape[1:-1])) if inputs.shape[0] else None
            count = ops.prod(ops.shape(inputs)[:-1]) if count is None else count
            count = ops.cast(count, inputs.dtype)
            mean, variance = ops.mean(inputs, axes), ops.var(inputs, axes)
            for running, now in ((self.moving_mean, mean), (self.moving_variance, variance * count / (count - 1))):
                running.assign(running * self.momentum + now * (1 - self.momentum))
        return (inputs - mean) / ops.sqrt(variance + self.epsilon) * self.gamma + self.beta


class TableRate(keras.optimizers.schedules.LearningRateSchedule):
    """The recorded learning rate of every step."""

    def __init__(self, rates):
        self.rates = np.asarray(rates, keras.config.floatx())

    def __call__(self, step):
        return ops.take(ops.convert_to_tensor(self.rates), ops.cast(step, "int32"))


class Batches(keras.utils.PyDataset):
    """The recorded batches."""

    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x)

    def __getitem__(self, number):
        return self.x[number], self.y[number]


def _mlp(sizes: list[int]) -> keras.Model:
    x = inputs = keras.Input((sizes[0],))
    for number, size in enumerate(sizes[1:], 1):
        x = layers.Dense(size, name=f"fc{number}")(x)
        x = x if number == len(sizes) - 1 else layers.ReLU()(x)
    return keras.Model(inputs, x)


def _conv(first: int, second: int, padding: str) -> keras.Model:
    norm = {"momentum": 0.9, "epsilon": 1e-5}
    x = inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(first, 3, padding="same", use_bias=False, name="conv1")(x)
    x = layers.ReLU()(TorchBatchNormalization(name="bn1", **norm)(x))
    if padding == "torch":
        x = layers.Conv2D(second, 3, strides=2, use_bias=False, name="conv2")(layers.ZeroPadding2D(1)(x))
    else:
        x = layers.Conv2D(second, 3, strides=2, padding="same", use_bias=False, name="conv2")(x)
    x = layers.ReLU()(TorchBatchNormalization(name="bn2", **norm)(x))
    return keras.Model(inputs, layers.Dense(10, name="fc")(layers.GlobalAveragePooling2D()(x)))


def set_precision(dtype: str) -> None:
    """Lets the backend compute in a dtype: float64 needs permission on JAX, and PyTorch's products in Keras."""
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)  # Keras keeps the first one that was used
    if BACKEND == "jax":
        import jax

        jax.config.update("jax_enable_x64", dtype == "float64")
    wide = dtype == "float64" or BACKEND == "tensorflow"
    dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64" if wide else "float32"


@dataclass
class Keras3Replay(Replay):
    """The replay of one trace in Keras 3.

    Attributes:
      jit_compile: As in `compile` of Keras 3.
    """

    optimizer: Any = None
    jit_compile: Any = "auto"

    def network(self) -> keras.Model:
        """Returns the network in the dtype of the trace."""
        keras.backend.clear_session()
        set_precision(self.dtype)
        net = self.meta["net"]
        return _mlp(net["sizes"]) if net["type"] == "mlp" else _conv(*net["channels"], padding=self.padding)

    def variables(self) -> dict[str, Any]:
        """Returns the variables of the network by their names in PyTorch."""
        return {f"{v.path.split('/')[-2]}.{ENDS[v.name]}": v for v in self.net.weights}

    def compile(self, rates: np.ndarray) -> None:
        """Compiles the model with the learning rates of some steps."""
        arguments = {name: self.args[name] for name in ("momentum", "weight_decay")}
        optimizer = (self.optimizer or dlth.keras3.SGD)(TableRate(rates), **arguments)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.model.compile(optimizer, loss, jit_compile=self.jit_compile)

    def data(self, steps: slice) -> Batches:
        """Returns the recorded batches of some steps."""
        index = self.z["steps/batch_idx"][steps]
        x = self.z["data/x_u8"][index].astype(self.dtype) / 16
        x = x.reshape(*index.shape, -1) if self.meta["net"]["type"] == "mlp" else x[..., None]
        return Batches(x, self.z["data/y"][index])
