"""One network of every kind that can be wrapped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

import dlth_tf as dlth

L = tf_keras.layers


@dataclass(frozen=True)
class Kind:
    """A kind of network.

    Attributes:
      build: Builds the network.
      inputs: Returns a batch of inputs.
      prunable: Names of the prunable tensors, in model order.
    """

    build: Callable[[], tf_keras.Model]
    inputs: Callable[[], Any]
    prunable: tuple[str, ...]

    def model(self) -> tf_keras.Model:
        tf_keras.utils.set_random_seed(3)
        model = self.build()
        model(self.inputs())
        return model


def normal(*shape: int) -> Callable[[], np.ndarray]:
    return lambda: np.random.default_rng(1).normal(size=shape).astype(tf_keras.backend.floatx())


def tokens() -> np.ndarray:
    """Returns sequences of different lengths, padded with 0."""
    words = np.random.default_rng(1).integers(1, 9, (6, 3))
    words[:3, 2:] = 0
    return words


def functional(shape: tuple[int, ...], *layers: tf_keras.layers.Layer) -> tf_keras.Model:
    inputs = hidden = L.Input(shape)
    for layer in layers:
        hidden = layer(hidden)
    return tf_keras.Model(inputs, hidden)


def attention() -> tf_keras.Model:
    inputs = L.Input((4, 6))
    hidden = L.MultiHeadAttention(2, 3, name="mha")(inputs, inputs)
    return tf_keras.Model(inputs, L.Dense(2, name="out")(L.Flatten()(hidden)))


def padded_sequences() -> tf_keras.Model:
    """Passes the mask of the padding through a layer that ignores it, one that drops it, and one that uses it.

    The LSTM is unrolled, since that takes a tenth of the time to build; test_hook.py trains one that is not.
    """
    inputs = L.Input((3,))
    embedded = L.Embedding(12, 4, mask_zero=True, name="embed")(inputs)
    recurrent = L.LSTM(3, unroll=True, name="lstm")(L.Dense(4, name="mix")(embedded))
    convolved = L.GlobalAveragePooling1D()(L.Conv1D(4, 2, name="conv")(embedded))
    return tf_keras.Model(inputs, L.Dense(2, name="out")(L.Concatenate()([recurrent, convolved])))


def encoder_decoder() -> tf_keras.Model:
    inputs = L.Input((4, 6))
    _, *state = L.SimpleRNN(3, return_state=True, name="encoder")(inputs)
    return tf_keras.Model(inputs, L.Dense(2, name="out")(L.SimpleRNN(3, name="decoder")(inputs, initial_state=state)))


def operations() -> tf_keras.Model:
    """Builds a network of two inputs and two named outputs, with plain TensorFlow operations between the layers."""
    one = L.Input((6,), name="one")
    other = L.Input((6,), name="other")
    hidden = tf.reshape(L.Dense(4, name="a")(one) + 2.0 * L.Dense(4, name="b")(other), (-1, 2, 2))
    flat = tf.concat([L.Flatten()(hidden), tf.nn.relu(L.Flatten()(hidden))], -1)
    return tf_keras.Model(
        [one, other], {"u": L.Dense(2, name="u")(flat), "v": L.Dense(1, name="v")(tf.math.square(flat))}
    )


def nested() -> tf_keras.Model:
    """Builds models inside models, two levels deep, one of them used twice, with a layer shared across the levels."""
    shared = L.Dense(6, name="shared")
    inner = tf_keras.Sequential([L.Input((6,)), L.Dense(6, name="deep")], name="inner")
    inputs = L.Input((6,))
    middle = tf_keras.Model(inputs, inner(shared(inputs)), name="middle")
    inputs = L.Input((6,))
    return tf_keras.Model(inputs, L.Dense(2, name="out")(middle(shared(middle(inputs)))))


class Block(tf_keras.Model):
    """A subclassed model to be nested, with layers in a list, in a dictionary and in a private attribute."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self.chain = [L.Dense(6, name=f"{name}_0"), L.ReLU(), L.Dense(6, name=f"{name}_1")]
        self.by_name = {"left": L.Dense(6, name=f"{name}_left"), "more": [L.Dense(6, name=f"{name}_more")]}
        self._gate = L.Dense(6, "sigmoid", name=f"{name}_gate")

    def call(self, x):
        for layer in self.chain:
            x = layer(x)
        return self._gate(x) * self.by_name["more"][0](self.by_name["left"](x))


class Subclassed(tf_keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.stem = L.Dense(6, name="stem")
        self.norm = L.BatchNormalization(name="norm")
        self.block = Block("block")
        self.pair = (L.Dense(6, name="pair_0"), L.Dense(6, name="pair_1"))
        self.again = self.stem  # one layer under two names
        self.head = L.Dense(2, name="head")

    def call(self, x, training=False):
        x = self.block(self.norm(self.stem(x), training=training))
        return self.head(self.again(self.pair[1](self.pair[0](x))))


BLOCK = ("block_0", "block_1", "block_left", "block_more", "block_gate")


def kernels(*layers: str) -> tuple[str, ...]:
    return tuple(f"{layer}/kernel" for layer in layers)


KINDS = {
    "sequential": Kind(
        lambda: functional((8,), L.Dense(6, "relu", name="a"), L.Dense(2, name="b")), normal(6, 8), kernels("a", "b")
    ),
    "sequential built by a call": Kind(
        lambda: tf_keras.Sequential([L.Dense(6, "relu", name="a"), L.Dense(2, name="b")]),
        normal(6, 8),
        kernels("a", "b"),
    ),
    "conv1d": Kind(
        lambda: functional((8, 3), L.Conv1D(4, 3, name="c"), L.Flatten(), L.Dense(2, name="out")),
        normal(6, 8, 3),
        kernels("c", "out"),
    ),
    "conv2d, batch norm, dropout": Kind(
        lambda: functional(
            (6, 6, 2),
            L.Conv2D(4, 3, name="c"),
            L.BatchNormalization(name="bn"),
            L.ReLU(),
            L.Dropout(0.3),
            L.Flatten(),
            L.Dense(2, name="out"),
        ),
        normal(6, 6, 6, 2),
        kernels("c", "out"),
    ),
    "conv2d transposed, separable": Kind(
        lambda: functional(
            (3, 3, 2), L.Conv2DTranspose(4, 3, name="t"), L.SeparableConv2D(3, 3, name="s"), L.GlobalMaxPooling2D()
        ),
        normal(6, 3, 3, 2),
        ("t/kernel", "s/pointwise_kernel"),
    ),
    "embedding, lstm": Kind(
        padded_sequences,
        tokens,
        ("embed/embeddings", "mix/kernel", "conv/kernel", "lstm/kernel", "lstm/recurrent_kernel", "out/kernel"),
    ),
    "states": Kind(
        encoder_decoder,
        normal(6, 4, 6),
        ("encoder/kernel", "encoder/recurrent_kernel", "decoder/kernel", "decoder/recurrent_kernel", "out/kernel"),
    ),
    "attention": Kind(
        attention, normal(6, 4, 6), kernels("mha/query", "mha/key", "mha/value", "mha/attention_output", "out")
    ),
    "operations, many inputs and outputs": Kind(
        operations, lambda: [normal(6, 6)(), normal(6, 6)()[::-1].copy()], kernels("b", "a", "u", "v")
    ),
    "nested, shared": Kind(nested, normal(6, 6), kernels("shared", "deep", "out")),
    "subclassed": Kind(Subclassed, normal(6, 6), kernels("stem", *BLOCK, "pair_0", "pair_1", "head")),
    "subclassed inside functional": Kind(
        lambda: functional((6,), L.Dense(6, name="in"), Block("block"), L.Dense(2, name="out")),
        normal(6, 6),
        kernels("in", *BLOCK, "out"),
    ),
}


def difference(one: Any, other: Any) -> float:
    """Returns the largest absolute difference between two structures of outputs."""
    pairs = zip(tf.nest.flatten(one), tf.nest.flatten(other), strict=True)
    return max(float(np.abs(np.asarray(a, "f8") - np.asarray(b, "f8")).max()) for a, b in pairs)


def fit_kind(
    kind: Kind, model: tf_keras.Model, callbacks: list, optimizer: Any = None, steps: int = 3, **options: Any
) -> tf_keras.callbacks.History:
    """Trains a network of some kind toward fixed random outputs, on the same batch at every step."""
    inputs = kind.inputs()
    rng = np.random.default_rng(5)
    targets = tf.nest.map_structure(lambda output: rng.normal(size=output.shape).astype("float32"), model(inputs))
    model.compile(optimizer or dlth.optimizers.SGD(0.01, momentum=0.9), "mse", **options)
    inputs = tuple(inputs) if isinstance(inputs, list) else inputs
    data = tf.data.Dataset.from_tensors((inputs, targets)).repeat(steps)
    return model.fit(data, epochs=1, verbose=0, callbacks=callbacks)
