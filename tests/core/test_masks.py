"""The one entry point: every allocation with every granularity, over cycles, for scores and for random draws."""

from __future__ import annotations

import itertools
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from dlth_tf import scores
from dlth_tf.core import Ticket, cumulative_sparsity, parse_granularity, removed_count, top_k_mask, uniform
from dlth_tf.errors import BadInput
from dlth_tf.files import arrays_sha256
from tests.core.choices import choose_masks, choose_random
from tests.core.networks import NETWORKS, drawn

ALLOCATIONS = ["uniform", "erk", "global", '{"layer0": 0.5, "*": 0.75}']
GRANULARITIES = ["weight", "filter", "channel", "block:4x1", "block:2x2"]
SPARSITIES = st.integers(0, 75).map(lambda hundredths: Fraction(hundredths, 100))


def whole(mask: np.ndarray, granularity: str) -> bool:
    """Whether the mask is made of whole groups, looked at in the kernel's own axes."""
    rows = mask.reshape(-1, *mask.shape[-2:])  # [spatial, in, out]
    axes = {"weight": (), "filter": (0, 1), "channel": (0, 2)}.get(granularity)
    if axes is None:
        r, c = map(int, granularity.removeprefix("block:").split("x"))
        rows, axes = rows.reshape(len(rows), rows.shape[1] // r, r, rows.shape[2] // c, c), (2, 4)
    return np.array_equal(rows.all(axes), rows.any(axes))


def in_cycles(choose, cycles: int) -> list[dict[str, np.ndarray]]:
    """The masks of every cycle; `choose` gets (c, n) and the masks before."""
    found: list[dict[str, np.ndarray]] = []
    for cycle in range(1, cycles + 1):
        found.append(choose((cycle, cycles), found[-1] if found else None))
    return found


def nested(masks: list[dict[str, np.ndarray]]) -> bool:
    return all(
        not (later[name] & ~earlier[name]).any() for earlier, later in itertools.pairwise(masks) for name in earlier
    )


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

    found = in_cycles(choose, cycles)
    assert nested(found)
    grain = parse_granularity(granularity)
    groups = {name: grain.divide(shape) for name, shape in shapes.items()}
    for cycle, masks in enumerate(found, 1):
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
            wanted = (
                dict.fromkeys(shapes, sparsity)
                if allocation == "uniform"
                else dict.fromkeys(shapes, "0.75") | {"layer0/kernel": "0.5"}
            )
            for name, entry in groups.items():
                removed = removed_count(entry.count, cumulative_sparsity(wanted[name], cycle, cycles))
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
    found = in_cycles(
        lambda cycle, within: choose_masks(
            drawn(shapes, seed + cycle[0], 3), 1 - Fraction(n, m), granularity=f"{n}:{m}", cycle=cycle, within=within
        ),
        cycles,
    )
    assert nested(found)
    for cycle, masks in enumerate(found, 1):
        stays = n if cycle == cycles else m - removed_count(m, cumulative_sparsity(1 - Fraction(n, m), cycle, cycles))
        for mask in masks.values():
            runs = mask.reshape(-1, mask.shape[-2] // m, m, mask.shape[-1])
            assert (runs.sum(2) == stays).all()


def test_a_uniform_half_is_not_two_of_four():
    mask = choose_masks(drawn({"a": (16, 4)}, 0), 0.5)["a"]
    assert not (mask.reshape(4, 4, 4).sum(1) == 2).all()


# random draws ------------------------------------------------------------------------------------------------------


def test_a_random_ticket_of_single_weights_is_the_one_it_always_was():
    shapes = {"conv1/kernel": (3, 3, 4, 8), "conv2/kernel": (3, 3, 8, 8), "fc/kernel": (64, 10)}
    masks = choose_random(shapes, partial(scores.random, seed=0), 0.5)
    assert arrays_sha256(masks) == "eb93b739dbb07b1a454a2fd94f472d70d37d63f9acdf15ff98e1690a9131db5d"
    kept = uniform(shapes, 0.5)
    assert Ticket(masks) == Ticket(
        {name: top_k_mask(score, kept[name]) for name, score in scores.random(shapes, 0).items()}
    )
    assert Ticket(masks) == Ticket(choose_masks(scores.random(shapes, 0), 0.5))


@pytest.mark.parametrize(
    ("granularity", "draws"), [("weight", 192), ("filter", 8), ("channel", 8), ("block:4x1", 48), ("2:4", 192)]
)
def test_every_group_has_one_draw(granularity, draws):
    asked = []

    def draw(shapes):
        asked.append(shapes)
        return scores.random(shapes, 0)

    choose_random({"conv/kernel": (3, 8, 8)}, draw, 0.5, granularity=granularity)
    assert [int(np.prod(shape)) for shapes in asked for shape in shapes.values()] == [draws]


def p_of_equal_choices(masks: list[np.ndarray], choices: int) -> float:
    """Chi-square p-value of "every mask is drawn equally often"."""
    _, counts = np.unique([mask.ravel() for mask in masks], axis=0, return_counts=True)
    return float(stats.chisquare([*counts, *[0] * (choices - len(counts))]).pvalue)


@pytest.mark.parametrize(
    ("granularity", "shape", "sparsity", "choices"),
    [("filter", (3, 5), 0.6, 10), ("channel", (4, 3), 0.5, 6), ("block:2x1", (4, 2), 0.5, 6), ("2:4", (4, 1), 0.5, 6)],
)
def test_every_choice_of_groups_is_equally_likely(granularity, shape, sparsity, choices):
    masks = [
        choose_random({"fc/kernel": shape}, partial(scores.random, seed=seed), sparsity, granularity=granularity)[
            "fc/kernel"
        ]
        for seed in range(1000)
    ]
    assert p_of_equal_choices(masks, choices) > 0.01


def test_a_choice_that_is_not_uniform_would_be_seen():
    masks = [choose_masks(drawn({"a": (3, 5)}, seed), 0.6, granularity="filter")["a"] for seed in range(1000)]
    assert p_of_equal_choices(masks, 10) > 0.01
    skewed = [
        choose_masks({"a": drawn({"a": (3, 5)}, seed)["a"] + np.linspace(0, 0.5, 5)}, 0.6, granularity="filter")["a"]
        for seed in range(1000)
    ]
    assert p_of_equal_choices(skewed, 10) < 1e-6


def test_random_cycles_nest_without_being_told_the_earlier_ones():
    shapes = {"a/kernel": (8, 12), "b/kernel": (3, 3, 8, 8)}
    draw = partial(scores.random, seed=3)
    for granularity in ("weight", "filter", "block:4x1"):
        choose = partial(choose_random, shapes, draw, 0.8, granularity=granularity)
        assert nested(in_cycles(lambda cycle, _, choose=choose: choose(cycle=cycle), 5))


# layouts and refusals ----------------------------------------------------------------------------------------------


def test_a_layer_may_tell_the_layout_that_the_name_does_not():
    scored = {"up/kernel": np.arange(12.0).reshape(1, 1, 3, 4)}
    assert choose_masks(scored, "2/3", granularity="filter", layouts={"up/kernel": "transposed"})["up/kernel"][
        0, 0
    ].any(1).tolist() == [
        False,
        False,
        True,
    ]
    assert choose_masks(scored, "1/2", granularity="filter")["up/kernel"][0, 0].any(0).tolist() == [
        False,
        False,
        True,
        True,
    ]
    with pytest.raises(BadInput, match="layout=sideways: must be one of kernel, transposed, depthwise, projection"):
        choose_masks(scored, 0.5, layouts={"up/kernel": "sideways"})


def test_an_earlier_ticket_need_not_name_every_tensor():
    within = Ticket({"a": np.array([True, False, True, False])})
    masks = choose_masks({"a": np.arange(4.0), "b": np.arange(4.0)}, 0.5, within=within)
    assert masks["a"].tolist() == [True, False, True, False] and masks["b"].tolist() == [False, False, True, True]


@pytest.mark.parametrize("allocation", ALLOCATIONS[:3])
def test_what_was_removed_cannot_come_back(allocation):
    within = {"a": np.arange(8) < 2}
    with pytest.raises(BadInput, match=r"have not been removed yet|removed groups stay removed"):
        choose_masks({"a": np.arange(8.0)}, 0.5, allocation, within=within)


@pytest.mark.parametrize("allocation", ALLOCATIONS[:3])
def test_scores_that_are_no_numbers_are_refused(allocation):
    with pytest.raises(BadInput, match="scores=b: contains NaN"):
        choose_masks({"a": np.arange(4.0), "b": np.array([1.0, np.nan, 2.0, 3.0])}, 0.5, allocation)


def test_an_earlier_mask_of_another_shape_is_refused():
    with pytest.raises(BadInput, match=r"within=a: its mask has shape \[3\], the tensor \[4\]"):
        choose_masks({"a": np.arange(4.0)}, 0.5, within={"a": np.ones(3)})


def test_a_sparsity_that_would_empty_a_tensor_is_refused_with_what_is_possible():
    scored = drawn({"a/kernel": (10, 10), "b/kernel": (10, 10)}, 0)
    with pytest.raises(
        BadInput,
        match=r"leaves 10 of 200 weights, fewer than one group of each of a/kernel, b/kernel \(20\): at most 0.9",
    ):
        choose_masks(scored, 0.95, "erk", "filter")
    assert sum(int(mask.sum()) for mask in choose_masks(scored, 0.95, "uniform", "filter").values()) == 20, (
        "uniform keeps one of each"
    )


def test_the_count_of_open_lth_can_be_asked_for():
    masks = choose_masks(drawn({"a": (7,), "b": (9,)}, 0), Fraction(4, 16), "global")
    assert sum(int(mask.sum()) for mask in masks.values()) == 12
