"""PruningSpec: every combination is allowed, except that n:m has its own sparsity and allocation."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from dlth_tf.core import ALLOCATIONS, GRANULARITIES, PatternMap, PruningSpec, Round, uniform
from dlth_tf.core.n_m import NByM
from dlth_tf.core.pruning_spec import exchangeable
from dlth_tf.errors import BadInput


@pytest.mark.parametrize("allocation", [*ALLOCATIONS, '{"*": 0.5}'])
@pytest.mark.parametrize("granularity", [*GRANULARITIES, "block:4x1"])
def test_allocation_and_granularity_are_free_of_each_other(allocation, granularity):
    spec = PruningSpec.parse(0.9, allocation, granularity)
    assert spec.sparsity == Fraction(9, 10) and spec.granularity.text == granularity


@pytest.mark.parametrize(
    ("sparsity", "granularity"),
    [(0.5, "2:4"), ("0.5", "4:8"), (0.75, "1:4"), (0.6667, "1:3"), (2 / 3, "1:3"), (0.9375, "1:16")],
)
def test_n_of_m_takes_its_own_sparsity(sparsity, granularity):
    n, m = map(int, granularity.split(":"))
    spec = PruningSpec.parse(sparsity, "uniform", granularity)
    assert (spec.sparsity, spec.allocation, spec.granularity) == (1 - Fraction(n, m), uniform, NByM(n, m))


@pytest.mark.parametrize(
    ("sparsity", "granularity", "own"),
    [(0.9, "2:4", "0.5"), (0, "2:4", "0.5"), (0.75, "1:3", "0.6667"), (0.938, "1:16", "0.9375")],
)
def test_n_of_m_refuses_another_sparsity_and_says_its_own(sparsity, granularity, own):
    with pytest.raises(BadInput) as refused:
        PruningSpec.parse(sparsity, "uniform", granularity)
    assert str(refused.value) == (
        f"sparsity={float(sparsity)}: cannot be combined with granularity {granularity}, "
        f"which always removes {own} of every tensor: use {own}"
    )


@pytest.mark.parametrize("allocation", ["erk", "global"])
def test_n_of_m_refuses_an_allocation(allocation):
    with pytest.raises(
        BadInput,
        match=f"allocation={allocation}: cannot be combined with granularity 2:4, "
        "which removes the same everywhere: use uniform",
    ):
        PruningSpec.parse(0.5, allocation, "2:4")


def test_a_map_may_say_which_tensors_are_n_of_m():
    spec = PruningSpec.parse(0.5, {"fc*": 0.6667, "*": 0}, "1:3")
    assert spec.allocation == PatternMap((("fc*", Fraction(2, 3)), ("*", Fraction(0))))
    with pytest.raises(BadInput, match=r"allocation=fc\*: 0.9: cannot be combined with granularity 2:4: use 0 or 0.5"):
        PruningSpec.parse(0.5, {"fc*": 0.9}, "2:4")


@pytest.mark.parametrize(
    ("choice", "thing"),
    [
        ((1.0, "uniform", "weight"), "sparsity"),
        ((0.5, "fair", "weight"), "allocation"),
        ((0.5, "erk", "atom"), "granularity"),
    ],
)
def test_each_is_checked_by_itself(choice, thing):
    with pytest.raises(BadInput, match=f"^{thing}="):
        PruningSpec.parse(*choice)


@pytest.mark.parametrize(
    ("choice", "thing"),
    [((0.5, "global", "weight"), "allocation=global"), ((0.5, "uniform", "2:4"), "granularity=2:4")],
)
def test_masks_that_change_during_training_need_fixed_counts_and_independent_groups(choice, thing):
    with pytest.raises(BadInput, match=rf"^{thing}: cannot be combined with gmp, "):
        PruningSpec.parse(*choice).check_fixed_counts("gmp")
    fits = PruningSpec.parse(0.5, "erk", "block:4x1")
    assert fits.check_fixed_counts("gmp") is fits


def test_a_choice_keeps_the_text_it_was_parsed_from_and_can_be_made_again_from_it():
    spec = PruningSpec.parse("0.90", {"fc*": 0.5}, "filter", ["last"])
    assert spec.texts == {"sparsity": 0.9, "allocation": '{"fc*": 0.5}', "granularity": "filter"}
    assert PruningSpec.parse(**spec.arguments) == spec


@pytest.mark.parametrize("sparsity", [1.5, -0.1, "many", float("nan"), None])
def test_a_sparsity_out_of_range_is_refused_when_the_choice_is_made(sparsity):
    with pytest.raises(BadInput, match=r"^sparsity="):
        PruningSpec.parse(sparsity)


def test_a_round_is_a_number_of_several_and_an_earlier_mask():
    masks = {"fc/kernel": np.ones(3, bool)}
    second = Round.parse(cycle=(2, 5), within=masks)
    assert (second.number, second.of, second.within) == (2, 5, masks) and (Round().number, Round().of) == (1, 1)
    with pytest.raises(TypeError):
        Round.parse(circle=(1, 2))  # type: ignore[call-arg]


def test_n_of_m_is_refused_where_groups_are_exchanged():
    with pytest.raises(
        BadInput, match="granularity=2:4: cannot be combined with RigL, whose masks change during training"
    ):
        exchangeable("2:4", "RigL")
    assert exchangeable("block:4x1", "RigL").text == "block:4x1"


@pytest.mark.parametrize("dense_layers", [3, None, True, ["first", 3], [None]], ids=str)
def test_dense_layers_that_are_no_names_are_refused_when_the_choice_is_made(dense_layers):
    with pytest.raises(BadInput, match=r"^dense_layers=.*must be layer names or patterns"):
        PruningSpec.parse(0.5, dense_layers=dense_layers)


def test_dense_layers_may_be_any_collection_of_names():
    names = [PruningSpec.parse(0.5, dense_layers=words).dense_layers for words in ("a,b", ["a", "b"], {"a": 1}, ())]
    assert names == ["a,b", ("a", "b"), ("a",), ()]
