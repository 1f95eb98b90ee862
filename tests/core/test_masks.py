"""Masks: every allocation with every granularity, over cycles, from scores and from random draws."""

from __future__ import annotations

from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dlth_tf import scores
from dlth_tf.core import Ticket, cumulative_sparsity, parse_granularity, removed_count
from dlth_tf.errors import BadInput
from tests.core.choices import choose_masks, choose_random
from tests.core.cycles import in_cycles, nested
from tests.core.networks import NETWORKS, drawn

ALLOCATIONS = ["uniform", "erk", "global", '{"layer0": 0.5, "*": 0.75}']
GRANULARITIES = ["weight", "filter", "channel", "block:4x1", "block:2x2"]
SPARSITIES = st.integers(0, 75).map(lambda hundredths: Fraction(hundredths, 100))


def whole(mask: np.ndarray, granularity: str) -> bool:
    """Returns whether the mask consists of whole groups, checked in the kernel's own axes."""
    rows = mask.reshape(-1, *mask.shape[-2:])  # [spatial, in, out]
    axes = {"weight": (), "filter": (0, 1), "channel": (0, 2)}.get(granularity)
    if axes is None:
        r, c = map(int, granularity.removeprefix("block:").split("x"))
        rows = rows.reshape(len(rows), rows.shape[1] // r, r, rows.shape[2] // c, c)
        axes = (2, 4)
    return np.array_equal(rows.all(axes), rows.any(axes))


@settings(max_examples=300, deadline=None)
@given(
    shapes=NETWORKS,
    allocation=st.sampled_from(ALLOCATIONS),
    granularity=st.sampled_from(GRANULARITIES),
    sparsity=SPARSITIES,
    cycles=st.integers(1, 4),
    random=st.booleans(),
    levels=st.integers(0, 3),
    seed=st.integers(0, 99),
)
def test_every_combination_nests_in_whole_groups_with_exact_counts(
    shapes, allocation, granularity, sparsity, cycles, random, levels, seed
):
    def choose(cycle, within):
        if random:
            return choose_random(
                shapes,
                partial(scores.random, seed=seed),
                sparsity,
                allocation,
                granularity=granularity,
                cycle=cycle,
                within=within,
            )
        weights = drawn(shapes, seed * 10 + cycle[0], levels)  # other scores in every cycle, as after training
        return choose_masks(weights, sparsity, allocation, granularity, cycle=cycle, within=within)

    by_cycle = in_cycles(choose, cycles)
    assert nested(by_cycle)
    parsed = parse_granularity(granularity)
    groups = {name: parsed.divide(shape) for name, shape in shapes.items()}
    for cycle, masks in enumerate(by_cycle, 1):
        assert list(masks) == list(shapes) and all(
            mask.dtype == bool and mask.shape == shapes[name] for name, mask in masks.items()
        )
        assert all(whole(mask, granularity) and mask.any() for mask in masks.values())
        kept = {name: int(mask.sum()) for name, mask in masks.items()}
        if allocation in ("erk", "global"):
            total = sum(mask.size for mask in masks.values())
            short = total - removed_count(total, cumulative_sparsity(sparsity, cycle, cycles)) - sum(kept.values())
            assert 0 <= short < max(entry.weights for entry in groups.values()), "exact for single weights"
            assert short == 0 or granularity != "weight"
        else:
            sparsities = (
                dict.fromkeys(shapes, sparsity)
                if allocation == "uniform"
                else dict.fromkeys(shapes, "0.75") | {"layer0/kernel": "0.5"}
            )
            for name, entry in groups.items():
                removed = removed_count(entry.count, cumulative_sparsity(sparsities[name], cycle, cycles))
                assert kept[name] == (entry.count - removed) * entry.weights


def test_without_the_earlier_masks_cycles_would_not_nest():
    shapes = {"fc/kernel": (8, 8)}

    def forgetful(cycle, within):
        return choose_masks(drawn(shapes, cycle[0]), 0.9, cycle=cycle)

    assert not nested(in_cycles(forgetful, 3))


def test_a_mask_in_part_of_a_group_would_be_seen():
    mask = choose_masks(drawn({"a": (3, 3, 8, 8)}, 0), 0.5)["a"]
    assert whole(mask, "weight") and not any(whole(mask, granularity) for granularity in GRANULARITIES[1:])


@settings(max_examples=60, deadline=None)
@given(
    shapes=NETWORKS,
    run=st.sampled_from([(2, 4), (1, 4), (4, 8), (3, 8), (1, 2)]),
    cycles=st.integers(1, 5),
    seed=st.integers(0, 99),
)
def test_n_of_m_is_exact_in_every_run_and_nests(shapes, run, cycles, seed):
    n, m = run
    shapes = {name: (*shape[:-2], shape[-2] * 2, shape[-1]) for name, shape in shapes.items() if shape[-2] * 2 % m == 0}
    assume(shapes)
    by_cycle = in_cycles(
        lambda cycle, within: choose_masks(
            drawn(shapes, seed + cycle[0], 3), 1 - Fraction(n, m), granularity=f"{n}:{m}", cycle=cycle, within=within
        ),
        cycles,
    )
    assert nested(by_cycle)
    for cycle, masks in enumerate(by_cycle, 1):
        stays = n if cycle == cycles else m - removed_count(m, cumulative_sparsity(1 - Fraction(n, m), cycle, cycles))
        for mask in masks.values():
            runs = mask.reshape(-1, mask.shape[-2] // m, m, mask.shape[-1])
            assert (runs.sum(2) == stays).all()


def test_a_uniform_half_is_not_two_of_four():
    mask = choose_masks(drawn({"a": (16, 4)}, 0), 0.5)["a"]
    assert not (mask.reshape(4, 4, 4).sum(1) == 2).all()


def test_a_layer_may_tell_the_layout_that_the_name_does_not():
    scored = {"up/kernel": np.arange(12.0).reshape(1, 1, 3, 4)}
    by_layer = choose_masks(scored, "2/3", granularity="filter", layouts={"up/kernel": "transposed"})["up/kernel"]
    assert by_layer[0, 0].any(1).tolist() == [False, False, True]
    by_name = choose_masks(scored, "1/2", granularity="filter")["up/kernel"]
    assert by_name[0, 0].any(0).tolist() == [False, False, True, True]
    with pytest.raises(BadInput, match="layout=sideways: must be one of kernel, transposed, depthwise, projection"):
        choose_masks(scored, 0.5, layouts={"up/kernel": "sideways"})


def test_an_earlier_ticket_need_not_name_every_tensor():
    within = Ticket({"a": np.array([True, False, True, False])})
    masks = choose_masks({"a": np.arange(4.0), "b": np.arange(4.0)}, 0.5, within=within)
    assert masks["a"].tolist() == [True, False, True, False] and masks["b"].tolist() == [False, False, True, True]


def test_the_count_of_open_lth_can_be_asked_for():
    masks = choose_masks(drawn({"a": (7,), "b": (9,)}, 0), Fraction(4, 16), "global")
    assert sum(int(mask.sum()) for mask in masks.values()) == 12
