"""Random tickets: uniform, and a pure function of the seed and the tensor's name."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from dlth_tf.core import Ticket, top_k_mask, uniform
from dlth_tf.files import arrays_sha256
from dlth_tf.scores import magnitude, random

SHAPES = {"conv1/kernel": (3, 3, 4, 8), "conv2/kernel": (3, 3, 8, 8), "fc/kernel": (64, 10)}
SEEDS = range(2000)


def ticket(shapes: dict[str, tuple[int, ...]], seed: int, sparsity: float = 0.5) -> Ticket:
    kept = uniform(shapes, sparsity)
    return Ticket({name: top_k_mask(score, kept[name]) for name, score in random(shapes, seed).items()})


def drawn(size: int, kept: int) -> np.ndarray:
    """Returns one row of `size` booleans for every seed."""
    return np.array([top_k_mask(random({"fc/kernel": (size,)}, seed)["fc/kernel"], kept) for seed in SEEDS])


def p_of_equal_positions(masks: np.ndarray) -> float:
    """Returns the chi-square p-value of "every position is kept equally often", for rows that keep equally many."""
    rows, size = masks.shape
    share = masks[0].sum() / size
    variance = rows * share * (1 - share) * size / (size - 1)  # the last factor: positions in a row exclude each other
    return float(stats.chi2.sf(((masks.sum(0) - rows * share) ** 2).sum() / variance, size - 1))


def p_of_equal_choices(masks: np.ndarray) -> float:
    """Returns the chi-square p-value of "every set of that many positions is drawn equally often"."""
    size = masks.shape[1]
    kept = masks[0].sum()
    choices = dict.fromkeys(itertools.combinations(range(size), kept), 0)
    for mask in masks:
        choices[tuple(np.flatnonzero(mask))] += 1
    return float(stats.chisquare(list(choices.values())).pvalue)


@settings(max_examples=50, deadline=None)
@given(
    shape=hnp.array_shapes(min_dims=0, max_dims=4, max_side=6),
    seed=st.integers(-(2**70), 2**70),
    name=st.text(max_size=8),
)
def test_every_weight_has_a_score_between_0_and_1(shape, seed, name):
    score = random({name: shape}, seed)[name]
    assert score.shape == shape and score.dtype == "float64" and ((score >= 0) & (score < 1)).all()


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32), others=st.permutations(list(SHAPES)), count=st.integers(0, 2))
def test_a_tensor_is_scored_alike_in_any_order_and_company(seed, others, count):
    alone = random({"conv2/kernel": SHAPES["conv2/kernel"]}, seed)["conv2/kernel"]
    names = {"conv2/kernel", *others[:count]}
    among = random({name: SHAPES[name] for name in others if name in names}, seed)["conv2/kernel"]
    assert np.array_equal(alone, among)


def test_one_generator_for_all_tensors_would_depend_on_their_order():
    def shared(names):
        stream = np.random.default_rng(0)
        return {name: stream.random(SHAPES[name]) for name in names}

    assert not np.array_equal(shared(SHAPES)["fc/kernel"], shared(reversed(SHAPES))["fc/kernel"])
    assert np.array_equal(random(SHAPES, 0)["fc/kernel"], random(dict(reversed(SHAPES.items())), 0)["fc/kernel"])


def test_the_ticket_of_a_seed_never_changes():
    assert np.flatnonzero(ticket({"fc1/kernel": (4, 5)}, 0, 0.7)["fc1/kernel"]).tolist() == [2, 3, 4, 7, 14, 15]
    assert arrays_sha256(ticket(SHAPES, 0)) == "eb93b739dbb07b1a454a2fd94f472d70d37d63f9acdf15ff98e1690a9131db5d"


def test_another_process_draws_the_same_ticket():
    code = f"""
import json
from dlth_tf.core import top_k_mask
from dlth_tf.files import arrays_sha256
from dlth_tf.scores import random
shapes = {dict(reversed(SHAPES.items()))}
masks = {{name: top_k_mask(score, score.size // 2) for name, score in random(shapes, 7).items()}}
print(json.dumps([arrays_sha256(masks), hash("fc/kernel")]))
"""
    digests = set()
    hashes = set()
    for hash_seed in ("0", "1"):
        env = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True, text=True)
        digest, hashed = json.loads(done.stdout)
        digests.add(digest)
        hashes.add(hashed)
    assert digests == {arrays_sha256(ticket(SHAPES, 7))}
    assert len(hashes) == 2, "Python's own hash differs, and so would a ticket that depends on it"


def test_the_global_generator_is_neither_read_nor_moved():
    scores = []
    for seed in (1, 2):
        np.random.seed(seed)  # noqa: NPY002
        before = np.random.get_state()  # noqa: NPY002
        scores.append(arrays_sha256(random(SHAPES, 0)))
        after = np.random.get_state()  # noqa: NPY002
        assert np.array_equal(before[1], after[1]) and before[2:] == after[2:]
    assert scores[0] == scores[1]


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Returns the correlation of two masks, in standard deviations of the correlation of independent masks."""
    return abs(float(np.corrcoef(one.ravel(), other.ravel())[0, 1])) * one.size**0.5


def test_other_seeds_and_other_names_give_unrelated_tickets():
    names = [f"conv{i}/kernel" for i in range(12)]
    by_name = list(ticket(dict.fromkeys(names, (100, 100)), 0).values())
    by_seed = [ticket({"conv0/kernel": (100, 100)}, seed)["conv0/kernel"] for seed in range(1, 13)]
    assert max(correlation(one, other) for one, other in itertools.combinations(by_name + by_seed, 2)) < 4.5


def test_related_tickets_would_be_seen():
    one = ticket({"conv0/kernel": (100, 100)}, 0)["conv0/kernel"]
    other = ticket({"conv0/kernel": (100, 100)}, 1)["conv0/kernel"].copy()
    other[:10] = one[:10]
    assert correlation(one, other) > 4.5


def test_every_position_is_kept_equally_often():
    assert p_of_equal_positions(drawn(12, 3)) > 0.01


@pytest.mark.parametrize(("size", "kept"), [(5, 2), (6, 3), (4, 1)])
def test_every_choice_of_positions_is_equally_likely(size, kept):
    assert p_of_equal_choices(drawn(size, kept)) > 0.01


def by_magnitude(seed: int) -> np.ndarray:
    """Keeps, as the official one-shot command does, the largest of weights whose standard deviations differ."""
    weights = np.random.default_rng(seed).normal(0, np.linspace(1, 1.3, 12))
    return top_k_mask(magnitude({"a": weights})["a"], 3)


def by_neighbors(seed: int) -> np.ndarray:
    """Keeps two neighbors of five: every position equally often, but not every pair."""
    return np.roll([True, True, False, False, False], np.random.default_rng(seed).integers(5))


def test_a_ticket_that_is_not_uniform_would_be_seen():
    assert p_of_equal_positions(np.array([by_magnitude(seed) for seed in SEEDS])) < 1e-6
    neighbors = np.array([by_neighbors(seed) for seed in SEEDS])
    assert p_of_equal_positions(neighbors) > 0.001 and p_of_equal_choices(neighbors) < 1e-6
