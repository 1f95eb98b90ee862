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

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}


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


ENCODER = ("query/kernel", "key/kernel", "value/kernel", "attention_output/kernel", "up/kernel", "down/kernel")


@dataclass(frozen=True)
class Case:
    """A network and the names of its prunable tensors but for that of the head."""

    build: Callable[[], tf_keras.Model]
    names: tuple[str, ...]


CASES = {
    "transformer": Case(
        lambda: sequence(Encoder(name="a"), Encoder(name="b")),
        tuple(f"{block}/{name}" for block in "ab" for name in ENCODER),
    ),
    "unnamed and in a dictionary": Case(lambda: sequence(Gate(name="g")), ("g/dense/kernel", "g/gate/kernel")),
    "blocks of blocks": Case(
        lambda: sequence(Stack(name="s")),
        (
            "s/low/dense/kernel",
            "s/low/gate/kernel",
            "s/high/dense_1/kernel",
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
        (*(f"first/{name}" for name in ENCODER), "second/dense/kernel", "second/gate/kernel"),
    ),
}
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


BATCH = normal(6, 4, 8)()
TARGETS = np.arange(6) % 3


def trained(model: tf_keras.Model, sparsity: float = 0.5) -> tf_keras.Model:
    """Trains a random ticket for two steps."""
    mask = dlth.callbacks.RandomMask(sparsity, remove=True)
    compiled(model, run_eagerly=True).fit(BATCH, TARGETS, epochs=2, verbose=0, callbacks=[mask])
    return model


@pytest.mark.fast_cases("unnamed and in a dictionary", "bidirectional", "stacked cells", "subclassed")
@every_case
def test_weights_of_layers_inside_are_pruned_under_their_paths(case):
    model = dlth.wrap(case.build())
    assert tuple(masking.prunable_weights(model)) == (*case.names, "out/kernel")
    assert set(dlth.random_ticket(model, 0.5)) == set(case.names)


@pytest.mark.fast_cases("transformer")
@every_case
def test_wrapping_training_and_stripping_keep_what_the_network_computes(case):
    plain = case.build()
    before = plain(BATCH).numpy()
    model = dlth.wrap(plain)
    np.testing.assert_array_equal(model(BATCH), before)
    trained(model)
    kept = [entry.kept().mean() for entry in masking.prunable_weights(model).values()]
    assert largest_removed(model) == 0.0 and kept == pytest.approx([0.5] * len(case.names) + [1.0], abs=0.06)
    outputs = model(BATCH).numpy()
    assert np.abs(outputs - before).max() > 1e-3
    stripped = dlth.strip(model)
    np.testing.assert_allclose(stripped(BATCH), outputs, atol=1e-6)
    assert not any(isinstance(layer, masking.MaskedLayer) for layer in stripped._flatten_layers())
    assert tuple(masking.prunable_weights(dlth.wrap(stripped))) == (*case.names, "out/kernel")


@pytest.mark.fast_cases("unnamed and in a dictionary", "subclassed")
@every_case
def test_names_and_tickets_do_not_depend_on_how_often_a_network_was_built(case):
    first, second = (dlth.wrap(case.build()) for _ in range(2))
    ticket = dlth.random_ticket(first, 0.5, 3)
    assert tuple(masking.prunable_weights(second)) == tuple(masking.prunable_weights(first))
    assert dlth.random_ticket(second, 0.5, 3) == ticket != dlth.random_ticket(second, 0.5, 4)
    dlth.apply_ticket(second, ticket, remove=True)
    assert masking.chosen_ticket(second) == ticket


def some_slow(names: list[str], *quick: str) -> list[Any]:
    """Returns the names as parameters, all but the quick ones marked as slow."""
    return [pytest.param(name, marks=() if name in quick else pytest.mark.slow) for name in names]


SAVED = [name for name in CASES if name != "subclassed"]


@pytest.mark.parametrize("name", some_slow(SAVED, "low rank"))
def test_a_saved_network_has_its_masks_and_trains_on(name, tmp_path):
    model = trained(dlth.wrap(CASES[name].build()))
    model.save(tmp_path / "m.keras")
    loaded = tf_keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(loaded(BATCH), model(BATCH), atol=1e-6)
    assert masking.chosen_ticket(loaded) == masking.chosen_ticket(model) and largest_removed(loaded) == 0.0
    assert tuple(masking.prunable_weights(loaded)) == tuple(masking.prunable_weights(model))
    compiled(loaded, run_eagerly=True).fit(BATCH, TARGETS, verbose=0, callbacks=[dlth.callbacks.KeepMask()])
    dlth.strip(loaded)


@pytest.mark.slow_cases("subclassed", "bidirectional", "blocks of blocks")
@pytest.mark.slow
@every_case
def test_a_savedmodel_computes_the_same(case, tmp_path):
    model = trained(dlth.wrap(case.build()))
    model.save(tmp_path / "saved")
    np.testing.assert_allclose(tf_keras.models.load_model(tmp_path / "saved")(BATCH), model(BATCH), atol=1e-6)


@pytest.mark.parametrize("name", some_slow(["transformer", "blocks of blocks", "stacked cells"], "blocks of blocks"))
def test_files_of_the_plain_network_load(name, tmp_path):
    plain = CASES[name].build()
    model = trained(dlth.wrap(CASES[name].build()))
    for file in ("w.weights.h5", "w.h5", "checkpoint"):
        plain.save_weights(tmp_path / file)
        model.load_weights(tmp_path / file)
        masked = {key: value * masking.chosen_ticket(model).get(key, True) for key, value in weights(plain).items()}
        assert largest_removed(model) == 0.0
        assert all(np.array_equal(value, masked[key]) for key, value in weights(model).items()), file


def prunable(model: tf_keras.Model, **choice: Any) -> list[str]:
    return list(masking.prunable_weights(dlth.wrap(model, **choice)))


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ({"skip": "attend"}, ["a/up/kernel", "a/down/kernel", "b/up/kernel", "b/down/kernel", "out/kernel"]),
        ({"only": "b/feed/up, out"}, ["b/up/kernel", "out/kernel"]),
        ({"only": "*/feed"}, ["a/up/kernel", "a/down/kernel", "b/up/kernel", "b/down/kernel"]),
        ({"skip": ["a", "attend", "out"]}, ["b/up/kernel", "b/down/kernel"]),
        ({"only": "b", "skip": "*/attend"}, ["b/up/kernel", "b/down/kernel"]),
    ],
    ids=str,
)
def test_skip_and_only_mean_layers_inside_too(choice, names):
    assert prunable(CASES["transformer"].build(), **choice) == names


def test_a_block_of_which_a_part_is_left_out_keeps_the_choice_in_a_file(tmp_path):
    model = dlth.wrap(CASES["transformer"].build(), only="*/feed/up, out")
    model.save(tmp_path / "m.keras")
    loaded = tf_keras.models.load_model(tmp_path / "m.keras")
    assert list(masking.prunable_weights(loaded)) == ["a/up/kernel", "b/up/kernel", "out/kernel"]


@pytest.mark.fast_cases("feed, */attend-*", "a, b/attend, b/feed/up-*")
@pytest.mark.parametrize(
    ("dense_layers", "pruned"),
    [
        ("attend,last", ["a/up", "a/down", "b/up", "b/down"]),
        ("feed, */attend", ["out"]),
        ("a, b/attend, b/feed/up", ["b/down", "out"]),
        ("down,last,attend", ["a/up", "b/up"]),
        ("b,first,a/feed", ["out"]),
    ],
)
def test_dense_layers_mean_layers_inside_too(dense_layers, pruned):
    model = dlth.wrap(CASES["transformer"].build())
    ticket = dlth.random_ticket(model, 0.5, dense_layers=dense_layers)
    assert list(ticket) == [f"{name}/kernel" for name in pruned]


def test_a_sparsity_for_each_pattern_means_layers_inside_too():
    model = dlth.wrap(CASES["transformer"].build())
    ticket = dlth.random_ticket(model, 0.5, allocation={"*/query": 0.25, "b/*": 0.75, "*": 0.5}, dense_layers="none")
    for name, mask in ticket.items():
        share = 0.25 if "query" in name else 0.75 if name.startswith("b/") else 0.5
        assert 1 - mask.mean() == pytest.approx(share), name


def test_the_layer_table_has_a_row_for_every_layer_inside():
    model = trained(dlth.wrap(CASES["transformer"].build()))
    table = dlth.layer_table(model).set_index(["layer", "weight"])
    pruned = table[table.status == "pruned"]
    assert [layer for layer, _ in pruned.index][:6] == 4 * ["a/attend"] + ["a/feed/up", "a/feed/down"]
    assert [weight for _, weight in pruned.index][:4] == [*ENCODER[:4]]
    assert set(pruned.type) == {"MultiHeadAttention", "Dense"} and set(pruned.why) == {"50.00% by the ticket"}
    assert table.loc["out"].why.tolist() == ["kept whole by the ticket, or no ticket yet"]


def test_a_frozen_block_stays_dense():
    model = CASES["transformer"].build()
    model.get_layer("a").trainable = False
    assert all(name.startswith("b/") for name in dlth.random_ticket(dlth.wrap(model), 0.5))


def test_a_transformation_of_a_block_ends_with_zeros():
    model = compiled(dlth.wrap(sequence(Encoder(name="a"))))
    penalty = dlth.callbacks.RSTPenalty(step=0.25, every=1, limit=0.5, hold_steps=3)
    model.fit(BATCH, TARGETS, epochs=penalty.epochs(1), verbose=0, callbacks=[dlth.callbacks.RandomMask(0.5), penalty])
    assert largest_removed(model) == 0.0 and int(model.optimizer.iterations) == penalty.steps
    assert same(weights(dlth.strip(model)), weights(model))


class Shared(tf_keras.Model):
    """Uses one dense layer directly and inside a block."""

    def __init__(self) -> None:
        super().__init__()
        self.block = Gate(name="block")
        self.out = L.Dense(3, name="out")

    def call(self, x: Any) -> Any:
        return self.out(tf.reduce_mean(self.block(x) + self.block.main(x), 1))


def test_a_layer_of_a_block_can_be_reached_through_its_wrapper():
    model = Shared()
    before = model(BATCH).numpy()
    model = trained(dlth.wrap(model))
    assert np.abs(model(BATCH).numpy() - before).max() > 1e-3 and largest_removed(model) == 0.0
    assert "block/dense/kernel" in masking.prunable_weights(model)
