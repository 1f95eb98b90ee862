"""What goes together: everything, but for n:m, which has one sparsity and no allocation."""

from __future__ import annotations

from fractions import Fraction

import pytest

from dlth_tf.core import ALLOCATIONS, GRANULARITIES, PatternMap, check_choice, uniform
from dlth_tf.core.n_m import NByM
from dlth_tf.errors import BadInput


@pytest.mark.parametrize("allocation", [*ALLOCATIONS, '{"*": 0.5}'])
@pytest.mark.parametrize("granularity", [*GRANULARITIES, "block:4x1"])
def test_allocation_and_granularity_are_free_of_each_other(allocation, granularity):
    sparsity, _, grain = check_choice(0.9, allocation, granularity)
    assert sparsity == Fraction(9, 10) and grain.text == granularity


@pytest.mark.parametrize(
    ("sparsity", "granularity"),
    [(0.5, "2:4"), ("0.5", "4:8"), (0.75, "1:4"), (0.6667, "1:3"), (2 / 3, "1:3"), (0.9375, "1:16")],
)
def test_n_of_m_takes_its_own_sparsity(sparsity, granularity):
    n, m = map(int, granularity.split(":"))
    assert check_choice(sparsity, "uniform", granularity) == (1 - Fraction(n, m), uniform, NByM(n, m))


@pytest.mark.parametrize(
    ("sparsity", "granularity", "own"),
    [(0.9, "2:4", "0.5"), (0, "2:4", "0.5"), (0.75, "1:3", "0.6667"), (0.938, "1:16", "0.9375")],
)
def test_n_of_m_refuses_another_sparsity_and_says_its_own(sparsity, granularity, own):
    with pytest.raises(BadInput) as refused:
        check_choice(sparsity, "uniform", granularity)
    assert str(refused.value) == (
        f"sparsity={sparsity}: does not go with granularity {granularity}, which removes {own} of every tensor by itself: say {own}"
    )


@pytest.mark.parametrize("allocation", ["erk", "global"])
def test_n_of_m_refuses_an_allocation(allocation):
    with pytest.raises(
        BadInput,
        match=f"allocation={allocation}: does not go with granularity 2:4, which is the same everywhere: say uniform",
    ):
        check_choice(0.5, allocation, "2:4")


def test_a_map_may_say_which_tensors_are_n_of_m():
    _, found, _ = check_choice(0.5, {"fc*": 0.6667, "*": 0}, "1:3")
    assert found == PatternMap((("fc*", Fraction(2, 3)), ("*", Fraction(0))))
    with pytest.raises(BadInput, match=r"allocation=fc\*: 0.9: does not go with granularity 2:4: say 0 or 0.5"):
        check_choice(0.5, {"fc*": 0.9}, "2:4")


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
        check_choice(*choice)
