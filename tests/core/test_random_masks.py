"""Random masks: one draw per group, uniform, nested over cycles, and the same ones for ever."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scipy import stats

from dlth_tf import scores
from dlth_tf.core import Ticket, top_k_mask, uniform
from dlth_tf.files import arrays_sha256
from tests.core.choices import choose_masks, choose_random
from tests.core.cycles import in_cycles, nested
from tests.core.networks import drawn


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
    calls = []

    def draw(shapes):
        calls.append(shapes)
        return scores.random(shapes, 0)

    choose_random({"conv/kernel": (3, 8, 8)}, draw, 0.5, granularity=granularity)
    assert [int(np.prod(shape)) for shapes in calls for shape in shapes.values()] == [draws]


def p_of_equal_choices(masks: list[np.ndarray], choices: int) -> float:
    """Returns the chi-square p-value of "every mask is drawn equally often"."""
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
