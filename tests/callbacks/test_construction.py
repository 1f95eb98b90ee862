"""Callbacks: values that are out of range are refused when a callback is made, and its length fits the data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from dlth_tf import callbacks
from dlth_tf.core import Ticket
from dlth_tf.errors import BadInput


@pytest.mark.parametrize(
    ("thing", "make"),
    [
        ("sparsity", lambda: callbacks.RandomMask(90)),
        ("seed", lambda: callbacks.RandomMask(0.9, seed=0.5)),
        ("pick", lambda: callbacks.RandomMask(0.9, pick="largest")),
        ("granularity", lambda: callbacks.RandomMask(0.9, granularity="blocks")),
        ("allocation", lambda: callbacks.RandomMask(0.9, allocation="equal")),
        ("step", lambda: callbacks.RSTPenalty(step=0)),
        ("every", lambda: callbacks.RSTPenalty(every=0)),
        ("limit", lambda: callbacks.RSTPenalty(limit=-1)),
        ("hold_steps", lambda: callbacks.RSTPenalty(hold_steps=-1)),
        ("schedule", lambda: callbacks.RSTPenalty("x^4")),
        ("sparsity", lambda: callbacks.IMP(1.0)),
        ("rounds", lambda: callbacks.IMP(0.9, rounds=0)),
        ("rewind_step", lambda: callbacks.IMP(0.9, rewind_step=-1)),
        ("window", lambda: callbacks.EarlyBird(0.9, window=1)),
        ("threshold", lambda: callbacks.EarlyBird(0.9, threshold=2)),
        ("fraction", lambda: callbacks.DynamicSparsity(fraction=0)),
        ("grow", lambda: callbacks.DynamicSparsity("slowly")),
        ("every", lambda: callbacks.GradualMagnitude(0.9, every=0)),
        ("end", lambda: callbacks.GradualMagnitude(0.9, begin=100, end=50)),
        ("sparsity", lambda: callbacks.StraightThrough(-0.1)),
    ],
)
def test_values_out_of_range_are_refused_at_construction(thing: str, make: Callable[[], Any]) -> None:
    with pytest.raises(BadInput) as refused:
        make()
    assert refused.value.thing == thing


def penalty() -> callbacks.RSTPenalty:
    return callbacks.RSTPenalty(step=0.5, every=1, hold_steps=6)


def test_epochs_are_counted_in_steps_in_batches_and_in_examples() -> None:
    steps = penalty().steps
    data = tf.data.Dataset.range(10)
    wanted = -(-steps // 4)
    assert penalty().epochs(4) == penalty().epochs(data.batch(3)) == wanted
    assert penalty().epochs(np.zeros((10, 2)), batch_size=3) == penalty().epochs(10, batch_size=3) == wanted
    assert penalty().epochs(np.int64(4)) == penalty().epochs(np.array(4)) == wanted


@pytest.mark.parametrize(
    ("data", "batch_size", "thing"),
    [
        (tf.data.Dataset.range(3).repeat(), None, "steps_per_epoch"),
        (tf.data.Dataset.range(3).filter(lambda value: value > 1), None, "steps_per_epoch"),
        ([], None, "steps_per_epoch"),
        ([], 4, "steps_per_epoch"),
        ([1, 2], 0, "batch_size"),
        (2.5, None, "steps_per_epoch"),
        (np.zeros((10, 2)), None, "steps_per_epoch"),
        ("abc", 2, "steps_per_epoch"),
    ],
)
def test_a_length_that_is_not_known_is_refused(data: Any, batch_size: int | None, thing: str) -> None:
    with pytest.raises(BadInput) as refused:
        penalty().epochs(data, batch_size=batch_size)
    assert refused.value.thing == thing


def test_notebooks_show_a_penalty_and_a_ticket_as_tables() -> None:
    assert "<td>hold_steps</td><td>6</td>" in penalty()._repr_html_()
    ticket = Ticket.from_masks({"a<b/kernel": np.array([[True, False, True]])})
    assert "<td>a&lt;b/kernel</td><td>1x3</td><td>2</td><td>3</td>" in ticket._repr_html_()
