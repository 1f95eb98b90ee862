"""Layers inside layers: transformer blocks and other blocks of the user's own, wrappers of Keras, stacked cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking
from tests.masking.kinds import normal
from tests.masking.networks import compiled, largest_removed, same, weights

L = tf_keras.layers


@tf_keras.utils.register_keras_serializable("tests_parts")
class Encoder(L.Layer):
    """A transformer block: attention, then a feed-forward network that is a model."""

    def __init__(self, size: int = 8, **options: Any) -> None:
        super().__init__(**options)
        self.size = size
        self.attend = L.MultiHeadAttention(2, size // 2, name="attend")
        self.feed = tf_keras.Sequential([L.Dense(2 * size, "relu", name="up"), L.Dense(size, name="down")], name="feed")
        self.norms = [L.LayerNormalization(), L.LayerNormalization()]
        self.drop = L.Dropout(0.1)

    def call(self, x: Any, training: Any = None) -> Any:
        x = self.norms[0](x + self.attend(query=x, value=x))
        return self.norms[1](x + self.drop(self.feed(x), training=training))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size}


@tf_keras.utils.register_keras_serializable("tests_parts")
class Gate(L.Layer):
    """A block with an unnamed layer, one in a dictionary, and a weight of its own that is not pruned."""

    def __init__(self, size: int = 8, **options: Any) -> None:
        super().__init__(**options)
        self.size = size
        self.main = L.Dense(size)
        self.by_name = {"gate": L.Dense(size, "sigmoid", name="gate")}

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight("scale", shape=(self.size,), initializer="ones")
        super().build(shape)

    def call(self, x: Any) -> Any:
        return self.scale * self.main(x) * self.by_name["gate"](x)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size}


@tf_keras.utils.register_keras_serializable("tests_parts")
class Stack(L.Layer):
    """A block of blocks."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.gates = [Gate(name="low"), Gate(name="high")]
        self.end = L.Dense(8, name="end")

    def call(self, x: Any) -> Any:
        for gate in self.gates:
            x = gate(x)
        return self.end(x)


@tf_keras.utils.register_keras_serializable("tests_parts")
class Adapter(L.Layer):
    """A low-rank layer that says which of its weights can be pruned, under names of its own."""

    def __init__(self, rank: int = 2, **options: Any) -> None:
        super().__init__(**options)
        self.rank = rank

    def build(self, shape: Any) -> None:
        self.down = self.add_weight("down", shape=(shape[-1], self.rank))
        self.up = self.add_weight("up", shape=(self.rank, shape[-1]))
        self.base = self.add_weight("base", shape=(shape[-1], shape[-1]), trainable=False)
        super().build(shape)

    def get_prunable_weights(self) -> list[Any]:
        return [self.down, self.up]

    def call(self, x: Any) -> Any:
        return x @ self.base + x @ self.down @ self.up

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rank": self.rank}


def sequence(*layers: tf_keras.layers.Layer) -> tf_keras.Model:
    """Builds layers on sequences of 4 steps of 8 numbers, with a head "out"."""
    tf_keras.utils.set_random_seed(2)
    head = [L.Flatten(), L.Dense(3, name="out")]
    return tf_keras.Sequential([L.Input((4, 8)), *layers, *head], name="net")


class Listed(tf_keras.Model):
    """A subclassed model with blocks in a list."""

    def __init__(self) -> None:
        super().__init__(name="listed")
        self.blocks = [Encoder(name="first"), Gate(name="second")]
        self.out = L.Dense(3, name="out")

    def call(self, x: Any, training: Any = None) -> Any:
        for block in self.blocks:
            x = block(x)
        return self.out(tf.reduce_mean(x, 1))


def listed() -> tf_keras.Model:
    tf_keras.utils.set_random_seed(2)
    model = Listed()
    model(normal(2, 4, 8)())
    return model


ATTENTION = ("attend/query/kernel", "attend/key/kernel", "attend/value/kernel", "attend/attention_output/kernel")


@dataclass(frozen=True)
class Case:
    """A network and the names of its prunable tensors but for that of the head."""

    build: Callable[[], tf_keras.Model]
    names: tuple[str, ...]


CASES = {
    "transformer": Case(
        lambda: sequence(Encoder(name="a"), Encoder(name="b")),
        tuple(
            f"{block}/{name}" for block in "ab" for name in (*ATTENTION, "up/kernel", "down/kernel")
        ),
    ),
    "unnamed and in a dictionary": Case(lambda: sequence(Gate(name="g")), ("g/dense/kernel", "g/gate/kernel")),
    "blocks of blocks": Case(
        lambda: sequence(Stack(name="s")),
        (
            "s/low/dense/kernel",
            "s/low/gate/kernel",
            "s/high/dense/kernel",
            "s/high/gate/kernel",
            "s/end/kernel",
        ),
    ),
    "time distributed": Case(
        lambda: sequence(L.TimeDistributed(L.Dense(6, "relu", name="each"), name="td")), ("td/kernel",)
    ),
    "bidirectional": Case(
        lambda: sequence(L.Bidirectional(L.SimpleRNN(3, unroll=True, return_sequences=True, name="rnn"), name="bi")),
        (
            "bi/forward_rnn/simple_rnn_cell/kernel",
            "bi/forward_rnn/simple_rnn_cell/recurrent_kernel",
            "bi/backward_rnn/simple_rnn_cell/kernel",
            "bi/backward_rnn/simple_rnn_cell/recurrent_kernel",
        ),
    ),
    "stacked cells": Case(
        lambda: sequence(L.RNN([L.GRUCell(4), L.GRUCell(5)], unroll=True, name="rnn")),
        (
            "rnn/gru_cell/kernel",
            "rnn/gru_cell/recurrent_kernel",
            "rnn/gru_cell_1/kernel",
            "rnn/gru_cell_1/recurrent_kernel",
        ),
    ),
    "low rank": Case(lambda: sequence(Adapter(name="lora")), ("lora/down", "lora/up")),
    "subclassed": Case(
        listed,
        (*(f"first/{name}" for name in (*ATTENTION, "up/kernel", "down/kernel")), "second/dense/kernel", "second/gate/kernel"),
    ),
}
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def test_print():
    for n, c in CASES.items():
        print(n, list(masking.prunable_weights(dlth.wrap(c.build()))))
    m = dlth.wrap(CASES["blocks of blocks"].build())
    print(dlth.layer_table(m).to_string())
