"""Tickets do not depend on the automatic names that Keras gives to unnamed layers."""

from __future__ import annotations

import numpy as np
import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf import BadInput, Ticket, masking
from tests.masking.kinds import normal
from tests.masking.networks import largest_removed

L = tf_keras.layers


def unnamed(units: tuple[int, ...] = (6, 5)) -> tf_keras.Model:
    """Builds dense layers without names, between which there are two of other types."""
    layers = [L.Input((8,)), L.Dense(units[0]), L.LayerNormalization(), L.Dense(units[1]), L.ReLU(), L.Dense(3)]
    return dlth.wrap(tf_keras.Sequential(layers))


def arrays(ticket: Ticket) -> list[np.ndarray]:
    return list(ticket.values())


def equal(one: Ticket, other: Ticket) -> bool:
    return len(one) == len(other) and all(map(np.array_equal, arrays(one), arrays(other)))


def test_the_same_network_built_again_has_the_same_ticket_for_a_seed():
    first, second = (dlth.random_ticket(unnamed(), 0.5, 1) for _ in range(2))
    assert list(first) != list(second), "the names are others"
    assert equal(first, second) and not equal(first, dlth.random_ticket(unnamed(), 0.5, 2))


def test_a_ticket_finds_the_unnamed_layers_of_the_same_network_built_again(tmp_path):
    ticket = dlth.random_ticket(unnamed(), 0.5, 1)
    ticket.save(tmp_path / "t.npz")
    for _ in range(2):
        model = unnamed()
        dlth.apply_ticket(model, Ticket.load(tmp_path / "t.npz"), remove=True)
        assert equal(masking.chosen_ticket(model), ticket) and largest_removed(model) == 0.0


def test_a_ticket_of_some_of_the_layers_finds_them_too():
    ticket = dlth.random_ticket(unnamed((6, 6)), 0.5, 1, dense_layers="first,last")
    model = unnamed((6, 6))
    dlth.apply_ticket(model, ticket)
    chosen = masking.chosen_ticket(model)
    assert list(chosen) == [list(masking.prunable_weights(model))[1]] and equal(chosen, ticket)


def test_a_ticket_that_could_mean_several_layers_is_refused():
    def build() -> tf_keras.Model:
        return dlth.wrap(tf_keras.Sequential([L.Input((6,)), *(L.Dense(6) for _ in range(3))]))

    ticket = dlth.random_ticket(build(), 0.5, dense_layers="first,last")
    model = build()
    before = masking.chosen_ticket(model)
    with pytest.raises(
        BadInput, match="could mean 3 sets of the model's unnamed layers of this type: give layers names"
    ):
        dlth.apply_ticket(model, ticket)
    assert masking.chosen_ticket(model) == before


@pytest.mark.parametrize("units", [(7, 5), (6, 4)], ids=str)
def test_a_ticket_of_another_network_is_refused(units):
    ticket = dlth.random_ticket(unnamed(), 0.5)
    with pytest.raises(BadInput, match="the model has no such prunable weight"):
        dlth.apply_ticket(unnamed(units), ticket)


def test_named_layers_are_never_taken_for_others():
    def build(*names: str) -> tf_keras.Model:
        return dlth.wrap(tf_keras.Sequential([L.Input((6,)), *(L.Dense(6, name=name) for name in names)]))

    ticket = dlth.random_ticket(build("a", "b", "out"), 0.5)
    with pytest.raises(BadInput, match="ticket=a/kernel: the model has no such prunable weight; it has c/kernel"):
        dlth.apply_ticket(build("c", "b", "out"), ticket)


def test_names_of_the_users_own_that_end_with_numbers_decide_the_draw():
    def build(number: int) -> tf_keras.Model:
        names = f"block_{number}", f"block_{number + 1}", "out"
        return dlth.wrap(tf_keras.Sequential([L.Input((6,)), *(L.Dense(6, name=name) for name in names)]))

    assert not equal(dlth.random_ticket(build(1), 0.5), dlth.random_ticket(build(4), 0.5))


@pytest.mark.fast_cases("LSTMCell")
@pytest.mark.parametrize("cell", [L.LSTMCell, L.GRUCell, L.SimpleRNNCell])
def test_stacked_cells_built_again_have_the_same_ticket(cell):
    def build() -> tf_keras.Model:
        cells = L.StackedRNNCells([cell(4), cell(3)])
        return dlth.wrap(tf_keras.Sequential([L.Input((3, 4)), L.RNN(cells, unroll=True), L.Dense(2)]))

    first, second = (dlth.random_ticket(build(), 0.5, 1) for _ in range(2))
    assert equal(first, second) and len(first) == 4
    model = build()
    dlth.apply_ticket(model, first)
    assert equal(masking.chosen_ticket(model), first)


def test_nested_models_without_names_have_the_same_ticket_when_built_again():
    def build() -> tf_keras.Model:
        base = tf_keras.Sequential([L.Input((4, 4, 2)), L.Conv2D(3, 2), L.Conv2D(4, 2)])
        return dlth.wrap(tf_keras.Sequential([base, L.Flatten(), L.Dense(6), L.Dense(3)]))

    models = [build() for _ in range(2)]
    for model in models:
        model(normal(2, 4, 4, 2)())
    first, second = (dlth.random_ticket(model, 0.5) for model in models)
    assert equal(first, second) and len(first) == 2
    dlth.apply_ticket(models[1], first, remove=True)
    assert equal(masking.chosen_ticket(models[1]), second)


def test_a_network_that_is_built_again_in_a_loop_has_one_ticket():
    """Tuners build a network once for every trial, of different widths here and there."""
    tickets = {}
    for width in (4, 6, 4, 5, 6, 4):
        ticket = dlth.random_ticket(unnamed((6, width)), 0.5, 3)
        assert equal(tickets.setdefault(width, ticket), ticket)
