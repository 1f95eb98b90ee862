"""Division into splits: by class, in proportion, and always the same."""

from __future__ import annotations

import numpy as np
import pytest

from dlth_tf.data import Split
from dlth_tf.data.splits import sampled, stratified
from dlth_tf.randomness import generator

LABELS = np.repeat([0, 1, 2], [50, 31, 19])


@pytest.mark.parametrize("count", [0, 1, 7, 33, 99, 100])
def test_every_class_keeps_its_share_and_the_shares_add_up(count: int) -> None:
    picked, others = stratified(LABELS, count, generator(0, "test"))
    assert len(picked) == count
    assert sorted([*picked, *others]) == list(range(100))
    taken = np.bincount(LABELS[picked], minlength=3)
    assert (np.abs(taken - np.array([50, 31, 19]) * count / 100) < 1).all()


def test_the_draw_depends_on_the_generator_and_on_nothing_else() -> None:
    first, again, other = (stratified(LABELS, 20, generator(seed, "test"))[0].tolist() for seed in (0, 0, 1))
    assert first == again != other


def test_the_draw_stays_what_it_was() -> None:
    assert stratified(LABELS, 6, generator(0, "test"))[0].tolist() == [1, 16, 43, 58, 68, 81]


def test_a_sample_keeps_the_share_of_every_class_and_a_small_split_is_whole() -> None:
    split = Split(np.arange(40.0).reshape(20, 2), np.repeat([0, 1], [15, 5]).astype(np.int64))
    one, same = (sampled(split, 8, np.random.Generator(np.random.Philox(1))) for _ in range(2))
    assert np.bincount(one.labels).tolist() == [6, 2] and np.array_equal(one.images, same.images)
    assert sampled(split, 20, np.random.Generator(np.random.Philox(1))) is split
    targets = Split(split.images, split.images[:, 0])
    assert len(sampled(targets, 8, np.random.Generator(np.random.Philox(1)))) == 8


@pytest.mark.parametrize("counts", [[90, *[1] * 10], [27, 1, 1, 1], [11, 11, 1], [500, 3, 2, 2, 1], [8, 6, 1]], ids=str)
@pytest.mark.parametrize("share", [0.1, 0.3])
def test_the_last_example_of_a_rare_class_is_not_picked(counts: list[int], share: float) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    picked, others = stratified(labels, round(share * len(labels)), generator(0, "divide"))
    assert len(picked) == round(share * len(labels)) and set(labels[others]) == set(labels)


def test_the_last_examples_are_picked_where_all_are_asked_for() -> None:
    picked, others = stratified(np.array([0, 0, 1, 2]), 4, generator(0, "divide"))
    assert picked.tolist() == [0, 1, 2, 3] and not len(others)
    assert len(stratified(np.array([0, 1, 2]), 2, generator(0, "divide"))[0]) == 2
