"""Ticket: checked, copied, read-only masks, their counts and their provenance."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from dlth_tf.core import Ticket
from dlth_tf.errors import BadInput

MASKS = {"conv1/kernel": np.array([[True, False], [True, True]]), "fc/kernel": np.array([True, False, False])}


def test_counts_and_sparsity_are_those_of_the_masks():
    ticket = Ticket(MASKS, {"seed": 3})
    assert (ticket.size, ticket.kept, ticket.removed, ticket.sparsity) == (7, 4, 3, 3 / 7)
    assert ticket.counts() == {
        "conv1/kernel": {"shape": [2, 2], "kept": 3, "removed": 1},
        "fc/kernel": {"shape": [3], "kept": 1, "removed": 2},
    }
    assert repr(ticket) == "Ticket(2 tensors, 3 of 7 weights removed, {'seed': 3})"


def test_it_is_a_mapping_from_names_to_masks():
    ticket = Ticket(MASKS)
    assert list(ticket) == ["conv1/kernel", "fc/kernel"] and len(ticket) == 2
    assert "fc/kernel" in ticket and "fc/bias" not in ticket and ticket.get("fc/bias") is None
    assert all(np.array_equal(ticket[name], mask) for name, mask in MASKS.items())
    with pytest.raises(KeyError, match=r"fc/bias: .* is kept whole; the ticket names conv1/kernel, fc/kernel"):
        ticket["fc/bias"]


@pytest.mark.parametrize("masks", [None, "ticket.npz", [np.array([True, False])]], ids=type)
def test_masks_without_names_are_refused(masks):
    with pytest.raises(BadInput, match=r"^ticket=.*: must map tensor names to masks \(Ticket.load reads a file\)$"):
        Ticket.from_masks(masks)


def test_a_ticket_that_names_nothing_removes_nothing():
    ticket = Ticket({})
    assert (ticket.size, ticket.kept, ticket.removed, ticket.sparsity, ticket.counts()) == (0, 0, 0, 0.0, {})


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int64", "float16", "float32", "float64"])
def test_zeros_and_ones_of_any_real_dtype_are_a_mask(dtype):
    ticket = Ticket({"a": np.array([1, 0, 1], dtype)})
    assert ticket["a"].dtype == bool and ticket["a"].tolist() == [True, False, True]


def test_lists_scalars_and_tensors_without_elements_are_masks():
    ticket = Ticket.from_masks({"a": [[0, 1]], "b": True, "c": 1.0, "d": np.zeros((0, 3))}, origin="by hand")
    assert [mask.shape for mask in ticket.values()] == [(1, 2), (), (), (0, 3)]
    assert ticket.provenance == {"origin": "by hand"}


def test_a_ragged_mask_is_refused():
    with pytest.raises(BadInput, match=r"^ticket=fc/kernel: the rows of its mask differ in length"):
        Ticket.from_masks({"fc/kernel": [[1], [1, 0]]})


@pytest.mark.parametrize(
    "mask", [[0.5, 1], [2, 1], [-1, 1], [np.nan, 1.0], ["a", "b"], [None, True], [1 + 0j, 0j], [[1], [1, 0]]], ids=str
)
def test_anything_else_is_not_a_mask(mask):
    with pytest.raises(BadInput, match=r"^ticket=fc/kernel: its mask must be boolean, or hold only 0 and 1, but is "):
        Ticket({"fc/kernel": mask if mask != [[1], [1, 0]] else np.array(mask, object)})


@pytest.mark.parametrize("mask", [False, [0], np.zeros((3, 4), bool)], ids=["scalar", "one weight", "matrix"])
def test_a_tensor_that_keeps_nothing_is_refused(mask):
    with pytest.raises(
        BadInput, match=r"^ticket=fc/kernel: its mask keeps nothing, and at least one weight of every tensor must stay$"
    ):
        Ticket({"conv/kernel": [True], "fc/kernel": mask})


@pytest.mark.parametrize(
    "name", ["", " ", " a", "a ", "a\n", "a\nb", "a\0b", "\ud800", "x" * 1001, 3, None, ("a",), b"a"], ids=ascii
)
def test_a_name_that_no_file_could_hold_is_refused(name):
    with pytest.raises(BadInput, match=r'every mask needs a name such as "conv1/kernel"$') as refused:
        Ticket({name: [True]})
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    "provenance",
    [{"a": [1]}, {"a": 1j}, {"a": np.nan}, {"a": -np.inf}, {"a": b"b"}, {1: "a"}, {None: 1}],
    ids=str,
)
def test_provenance_that_is_not_plain_is_refused(provenance):
    with pytest.raises(BadInput, match=r"^provenance=\{.*\}: must map names to text, numbers, booleans or None$"):
        Ticket(MASKS, provenance)


def test_provenance_may_be_text_numbers_booleans_and_none():
    provenance = {"method": "rst", "seed": -1, "sparsity": 0.98, "nested": False, "parent": None}
    assert Ticket(MASKS, provenance).provenance == provenance


def test_masks_cannot_be_written():
    ticket = Ticket(MASKS)
    with pytest.raises(ValueError, match="read-only"):
        ticket["fc/kernel"][0] = False
    with pytest.raises(TypeError):
        ticket.masks["fc/kernel"] = np.ones(3, bool)
    with pytest.raises(TypeError):
        ticket.provenance["seed"] = 1
    with pytest.raises(AttributeError):
        ticket.masks = {}


def test_masks_are_copies_in_both_directions():
    mask = np.array([True, False])
    provenance = {"seed": 1}
    masks = {"a": mask}
    ticket = Ticket(masks, provenance)
    mask[:] = False
    provenance["seed"] = 2
    masks["b"] = mask
    assert ticket["a"].tolist() == [True, False] and list(ticket) == ["a"] and ticket.provenance == {"seed": 1}
    assert mask.flags.writeable, "the caller's own array is left alone"


def test_equality_is_about_the_weights_and_not_where_they_came_from():
    ticket = Ticket(MASKS, {"seed": 1})
    assert ticket == Ticket(dict(reversed(MASKS.items())), {"seed": 2})
    assert hash(ticket) == hash(Ticket(dict(reversed(MASKS.items()))))
    assert ticket != MASKS and ticket != "ticket"


@pytest.mark.parametrize(
    "other",
    [
        {},
        {"conv1/kernel": MASKS["conv1/kernel"]},
        {**MASKS, "extra": [True]},
        {**MASKS, "fc/kernel": [False, True, False]},
        {**MASKS, "fc/kernel": [[True, False, False]]},
        {"conv1/kernel": MASKS["conv1/kernel"], "fc/other": MASKS["fc/kernel"]},
    ],
    ids=["empty", "one less", "one more", "another weight", "another shape", "another name"],
)
def test_one_difference_makes_another_ticket(other):
    assert Ticket(MASKS) != Ticket(other)
    assert hash(Ticket(MASKS)) != hash(Ticket(other))


@pytest.mark.parametrize(
    "twin", [lambda t: pickle.loads(pickle.dumps(t)), copy.copy, copy.deepcopy], ids=["pickle", "copy", "deepcopy"]
)
def test_a_copied_ticket_is_the_same_and_as_safe(twin):
    ticket = twin(Ticket(MASKS, {"seed": 3}))
    assert ticket == Ticket(MASKS) and ticket.provenance == {"seed": 3}
    assert not any(mask.flags.writeable for mask in ticket.values())
