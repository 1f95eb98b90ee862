"""Tiny networks, fixed data, and a spy that looks at the weights after every optimizer step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking
from dlth_tf.core import parse_granularity
from dlth_tf.masking.graph_groups import GraphGroups
from dlth_tf.masking.keras2 import ops

L = tf_keras.layers
LOSS = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def mlp(seed: int = 0, classes: int = 3) -> tf_keras.Model:
    """8 -> 12 -> 10 -> classes, the same initial weights for the same seed."""
    tf_keras.utils.set_random_seed(seed)
    layers = [
        L.Input((8,)),
        L.Dense(12, "relu", name="fc1"),
        L.Dense(10, "relu", name="fc2"),
        L.Dense(classes, name="out"),
    ]
    return tf_keras.Sequential(layers, name="mlp")


def wrapped(sparsity: float = 0.5, *, remove: bool = True, seed: int = 0) -> tf_keras.Model:
    """The wrapped mlp with a random ticket: chosen, and removed if `remove`."""
    model = dlth.wrap(mlp(seed))
    dlth.apply_ticket(model, dlth.random_ticket(model, sparsity, seed), remove=remove)
    return model


def batches(steps: int, size: int = 8, dtype: str = "float32") -> tf.data.Dataset:
    """`steps` batches for the mlp in a fixed order; the first ones are the same whatever `steps` is."""
    rng = np.random.default_rng(7)
    drawn = [(rng.normal(size=(size, 8)).astype(dtype), rng.integers(0, 3, size)) for _ in range(steps)]
    return tf.data.Dataset.from_tensor_slices(tuple(np.stack(part) for part in zip(*drawn, strict=True)))


def unknown_length(steps: int) -> tf.data.Dataset:
    """The same batches from a generator, so that their number is not known before the end."""
    return tf.data.Dataset.from_generator(lambda: iter(batches(steps)), output_signature=batches(1).element_spec)


def compiled(model: tf_keras.Model, optimizer: Any = None, **options: Any) -> tf_keras.Model:
    """The model compiled with the published SGD unless told otherwise."""
    model.compile(optimizer or dlth.optimizers.SGD(0.1, momentum=0.9), LOSS, **options)
    if hasattr(model.optimizer, "build"):
        model.optimizer.build(
            model.trainable_variables
        )  # or the train step would be traced twice, which takes half of these tests' time
    return model


def train(model: tf_keras.Model, callbacks: list, steps: int = 6, epochs: int = 1) -> tf_keras.callbacks.History:
    return model.fit(batches(steps), epochs=epochs, verbose=0, callbacks=callbacks)


def weights(model: tf_keras.Model) -> dict[str, np.ndarray]:
    """Every weight of the network, without masks and tickets, copied."""
    return {name: variable.numpy().copy() for name, variable in masking.named_weights(model).items()}


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    """Equal to the last bit, the sign of a zero included."""
    return one.keys() == other.keys() and all(one[name].tobytes() == other[name].tobytes() for name in one)


def kept_whole(model: tf_keras.Model) -> bool:
    return all(entry.kept().all() for entry in masking.prunable_weights(model).values())


def largest_removed(model: tf_keras.Model) -> float:
    """The largest |w| that the masks say is removed."""
    return max(
        float(np.abs(entry.weight.numpy()[~entry.kept()]).max(initial=0))
        for entry in masking.prunable_weights(model).values()
    )


@dataclass(frozen=True)
class Watched:
    """What `watch` saw: optimizer steps, and the largest removed weight that any of them left behind."""

    steps: tf.Variable
    largest: tf.Variable


def watch(model: tf_keras.Model) -> Watched:
    """Looks at the removed weights after every single train step, inside the graph and so inside long executions too."""
    seen = Watched(tf.Variable(0), tf.Variable(0.0, dtype=tf.float64))
    entries, train_step = list(masking.prunable_weights(model).values()), model.train_step

    def watched_step(data: Any) -> Any:
        logs = train_step(data)
        for entry in entries:
            removed = (1 - tf.cast(entry.mask, tf.float64)) * tf.abs(tf.cast(entry.weight, tf.float64))
            seen.largest.assign(tf.maximum(seen.largest, tf.reduce_max(removed)))
        seen.steps.assign_add(1)
        return logs

    model.train_step = watched_step
    return seen


# one network of every kind that can be wrapped ---------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """A kind of network: its builder, its input (without weights of its own), and its prunable tensors in order."""

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
    """Sequences of different lengths, padded with 0."""
    found = np.random.default_rng(1).integers(1, 9, (6, 3))
    found[:3, 2:] = 0
    return found


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
    """The mask of the padding goes through a layer that ignores it, one that drops it, and one that uses it.

    The LSTM is unrolled, which is built in a tenth of the time; test_hook.py trains one that is not.
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
    """Two inputs, two named outputs, and plain TensorFlow operations between the layers."""
    one, other = L.Input((6,), name="one"), L.Input((6,), name="other")
    hidden = tf.reshape(L.Dense(4, name="a")(one) + 2.0 * L.Dense(4, name="b")(other), (-1, 2, 2))
    flat = tf.concat([L.Flatten()(hidden), tf.nn.relu(L.Flatten()(hidden))], -1)
    return tf_keras.Model(
        [one, other], {"u": L.Dense(2, name="u")(flat), "v": L.Dense(1, name="v")(tf.math.square(flat))}
    )


def nested() -> tf_keras.Model:
    """Models inside models, two levels deep, one of them used twice, and a layer shared across the levels."""
    shared = L.Dense(6, name="shared")
    inner = tf_keras.Sequential([L.Input((6,)), L.Dense(6, name="deep")], name="inner")
    inputs = L.Input((6,))
    middle = tf_keras.Model(inputs, inner(shared(inputs)), name="middle")
    inputs = L.Input((6,))
    return tf_keras.Model(inputs, L.Dense(2, name="out")(middle(shared(middle(inputs)))))


class Block(tf_keras.Model):
    """A subclassed model to be nested: layers in a list, in a dictionary and in a private attribute."""

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
    """The largest absolute difference between two structures of outputs."""
    pairs = zip(tf.nest.flatten(one), tf.nest.flatten(other), strict=True)
    return max(float(np.abs(np.asarray(a, "f8") - np.asarray(b, "f8")).max()) for a, b in pairs)


def fit_kind(
    kind: Kind, model: tf_keras.Model, callbacks: list, optimizer: Any = None, steps: int = 3, **options: Any
) -> tf_keras.callbacks.History:
    """Trains a network of some kind towards fixed random outputs, the same batch at every step."""
    inputs = kind.inputs()
    rng = np.random.default_rng(5)
    targets = tf.nest.map_structure(lambda output: rng.normal(size=output.shape).astype("float32"), model(inputs))
    model.compile(optimizer or dlth.optimizers.SGD(0.01, momentum=0.9), "mse", **options)
    inputs = tuple(inputs) if isinstance(inputs, list) else inputs
    data = tf.data.Dataset.from_tensors((inputs, targets)).repeat(steps)
    return model.fit(data, epochs=1, verbose=0, callbacks=callbacks)


def graph_groups(entry: masking.PrunableWeight, granularity: str = "weight") -> GraphGroups:
    """The groups of a weight in TensorFlow."""
    return GraphGroups(entry, parse_granularity(granularity), ops)
