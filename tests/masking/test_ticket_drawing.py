"""Tickets that are drawn for a model, at random and by magnitude, and what cannot be drawn."""

from __future__ import annotations

import numpy as np
import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf import BadInput, files, masking
from dlth_tf.core import PruningSpec
from tests.masking.kinds import KINDS, functional, kernels
from tests.masking.networks import mlp, same, weights

L = tf_keras.layers


@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.5, 0.98])
def test_a_random_ticket_removes_the_exact_count_of_every_tensor(sparsity):
    ticket = dlth.random_ticket(dlth.wrap(mlp()), sparsity)
    expected = {
        name: min(int(np.ceil(round(sparsity * size, 9))), size - 1)
        for name, size in (("fc1/kernel", 96), ("fc2/kernel", 120))
    }
    assert {name: count["removed"] for name, count in ticket.counts().items()} == expected


def test_a_random_ticket_is_a_function_of_seed_and_names_alone():
    def build(order: str) -> tf_keras.Model:
        units = {"a": 7, "b": 6, "c": 2}
        layers = {name: L.Dense(units[name], name=name) for name in order}
        return dlth.wrap(functional((5,), layers["a"], layers["b"], layers["c"]))

    one, other = build("abc"), build("cba")
    assert not same(weights(one), weights(other)), "the values of the weights play no part"
    ticket = dlth.random_ticket(one, 0.5, seed=4)
    assert dlth.random_ticket(other, 0.5, seed=4) == ticket
    assert dlth.random_ticket(one, 0.5, seed=5) != ticket
    renamed = dlth.wrap(functional((5,), L.Dense(7, name="a2"), L.Dense(6, name="b"), L.Dense(2, name="c")))
    other = dlth.random_ticket(renamed, 0.5, seed=4)
    assert not np.array_equal(other["a2/kernel"], ticket["a/kernel"])
    assert np.array_equal(other["b/kernel"], ticket["b/kernel"])


def test_a_random_ticket_is_the_same_in_every_process():
    """Its digest was recorded once; Python's hash() differs from process to process."""
    ticket = dlth.random_ticket(dlth.wrap(mlp()), 0.5, seed=4)
    assert files.arrays_sha256(ticket.masks) == "c9c808cd014fe314b179fd8e6286504d4f7b6316080f5f37fcb9d71a8b1d2911"


@pytest.mark.parametrize(("remove", "worse"), [("smallest", np.less), ("largest", np.greater)])
def test_a_magnitude_ticket_removes_the_smallest_or_the_largest(remove, worse):
    model = dlth.wrap(mlp())
    ticket = dlth.magnitude_ticket(model, 0.5, remove=remove)
    for name, mask in ticket.items():
        size = np.abs(weights(model)[name])
        extreme_kept = size[mask].min() if remove == "smallest" else size[mask].max()
        assert worse(size[~mask], extreme_kept).all() and (~mask).sum() == mask.size // 2
    assert ticket != dlth.random_ticket(model, 0.5)


@pytest.mark.parametrize(
    ("kind", "dense_layers", "pruned"),
    [
        ("sequential", "auto", kernels("a")),
        ("conv2d, batch norm, dropout", "none", kernels("c", "out")),
        ("embedding, lstm", "auto", ("mix/kernel", "conv/kernel", "lstm/kernel", "lstm/recurrent_kernel")),
        ("attention", "mha", kernels("out")),
        ("subclassed", "first,block_*", kernels("pair_0", "pair_1", "head")),
        (
            "subclassed",
            ["last", "pair_0"],
            kernels("stem", "block_0", "block_1", "block_left", "block_more", "block_gate", "pair_1"),
        ),
    ],
)
def test_dense_layers_are_left_out_of_a_ticket(kind, dense_layers, pruned):
    ticket = dlth.random_ticket(dlth.wrap(KINDS[kind].model()), 0.5, dense_layers=dense_layers)
    assert tuple(ticket) == pruned


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"sparsity": 1.0}, "sparsity=1.0: must be a number|sparsity=1.0: must be at least 0 and below 1"),
        ({"sparsity": -0.1}, "must be at least 0 and below 1"),
        ({"sparsity": "much"}, "sparsity=much: must be a number"),
        ({"sparsity": 0.5, "allocation": "fair"}, "allocation=fair"),
        ({"sparsity": 0.5, "granularity": "atom"}, "granularity=atom"),
        (
            {"sparsity": 0.5, "dense_layers": "fc*,out"},
            "leaves nothing to prune; the prunable layers are fc1, fc2, out",
        ),
        (
            {"sparsity": 0.5, "dense_layers": "conv1"},
            "dense_layers=conv1: matches no prunable layer; use none, first, last",
        ),
        ({"sparsity": 0.5, "dense_layers": "none,fc1"}, "none cannot be combined with other names"),
    ],
)
def test_a_ticket_that_cannot_be_drawn_is_refused(arguments, sentence):
    model = dlth.wrap(mlp())
    for draw in (dlth.random_ticket, dlth.magnitude_ticket):
        with pytest.raises(BadInput, match=sentence):
            draw(model, **arguments)


def test_a_magnitude_ticket_refuses_another_direction():
    with pytest.raises(BadInput, match="remove=middle: must be one of smallest, largest"):
        dlth.magnitude_ticket(dlth.wrap(mlp()), 0.5, remove="middle")


@pytest.mark.parametrize("pick", masking.PICKS)
def test_draw_writes_nothing(pick):
    model = dlth.wrap(mlp())
    ticket = masking.pick_ticket(model, PruningSpec.parse(0.5), pick)
    assert ticket.sparsity == 0.5 and not masking.chosen_ticket(model)
