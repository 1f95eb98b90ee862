"""Granularities: their groups, checked against slices of the tensor itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlth_tf.core import GRANULARITIES, parse_granularity
from dlth_tf.errors import BadInput

DENSE = (8, 6)
CONV = (3, 3, 8, 6)


def counts(text: str, shape: tuple[int, ...], layout: str = "kernel") -> tuple[int, int]:
    groups = parse_granularity(text).divide(shape, "a/kernel", layout)
    return groups.count, groups.weights


@pytest.mark.parametrize(
    ("text", "dense", "conv"),
    [
        ("weight", (48, 1), (432, 1)),
        ("filter", (6, 8), (6, 72)),
        ("channel", (8, 6), (8, 54)),
        ("block:4x1", (12, 4), (108, 4)),
        ("block:1x3", (16, 3), (144, 3)),
        ("block:2x2", (12, 4), (108, 4)),
        ("2:4", (4, 12), (4, 108)),
        ("3:8", (8, 6), (8, 54)),
    ],
)
def test_how_many_groups_there_are_and_how_many_weights_each_has(text, dense, conv):
    assert counts(text, DENSE) == dense and counts(text, CONV) == conv


@pytest.mark.parametrize(
    ("text", "group"),
    [
        ("filter", (slice(None), slice(None), slice(None), 4)),
        ("channel", (slice(None), slice(None), 4, slice(None))),
        ("block:4x1", (1, 2, slice(4, 8), 4)),
        ("block:2x3", (1, 2, slice(4, 6), slice(3, 6))),
    ],
)
def test_a_group_is_that_slice_of_the_kernel(text, group):
    """Scores are 1 in that slice and 0 elsewhere: one group has the mean 1, and it expands to the slice again."""
    scores = np.zeros(CONV)
    scores[group] = 1
    granularity = parse_granularity(text)
    pooled = granularity.pool(scores)
    assert (
        pooled.shape == granularity.divide(CONV).scored and sorted(set(pooled.ravel())) == [0, 1] and pooled.sum() == 1
    )
    assert np.array_equal(granularity.expand(pooled == 1, CONV), scores == 1)
    shifted = np.roll(scores, 1, axis=(2, 3))
    assert text in ("filter", "channel") or set(granularity.pool(shifted).ravel()) != {0, 1}, (
        "another slice is no group"
    )


def test_filters_of_a_depthwise_kernel_belong_to_channels():
    assert counts("filter", (3, 3, 8, 2), "depthwise") == (16, 9)
    assert counts("channel", (3, 3, 8, 2), "depthwise") == (8, 18)
    assert counts("filter", (3, 3, 8, 1)) == (1, 72), (
        "as an ordinary kernel it would be a single filter, which cannot go"
    )


def test_filters_of_a_transposed_kernel_are_its_outputs():
    scores = np.zeros((3, 3, 6, 8))
    scores[:, :, 4] = 1
    granularity = parse_granularity("filter")
    assert granularity.pool(scores, "transposed").ravel().tolist() == [0, 0, 0, 0, 1, 0]
    assert np.array_equal(
        granularity.expand(granularity.pool(scores, "transposed") == 1, scores.shape, "transposed"), scores == 1
    )


@settings(max_examples=60, deadline=None)
@given(
    text=st.sampled_from(["weight", "filter", "channel", "block:4x1", "block:2x2", "1:4", "2:4"]),
    shape=st.sampled_from([(8, 6), (3, 8, 6), (2, 3, 4, 2), (1, 1, 12, 4)]),
    layout=st.sampled_from(["kernel", "transposed"]),
    seed=st.integers(0, 99),
)
def test_a_mask_of_groups_survives_the_way_to_the_weights_and_back(text, shape, layout, seed):
    granularity = parse_granularity(text)
    shape = (*shape[:-2], shape[-1], shape[-2]) if layout == "transposed" else shape
    mask = np.random.default_rng(seed).random(granularity.divide(shape, "", layout).scored) < 0.5
    expanded = granularity.expand(mask, shape, layout)
    assert expanded.shape == shape and expanded.dtype == bool and expanded.mean() == pytest.approx(mask.mean())
    back, _ = granularity.free(expanded, "", layout)
    assert np.array_equal(back, mask)


def test_pooling_sums_in_double_precision():
    scores = np.full((2**12, 1), 0.1, "float32")
    scores[0] = 2.0**24
    exact = (2.0**24 + 4095 * float(np.float32(0.1))) / 4096
    assert parse_granularity("filter").pool(scores).item() == pytest.approx(exact, rel=1e-15)
    assert float(np.cumsum(scores, dtype="float32")[-1]) / 4096 != pytest.approx(exact, rel=1e-6), (
        "single precision loses all the small ones"
    )


def test_n_of_m_keeps_the_highest_of_every_run():
    scores = np.array([[4.0, 0], [1, 0], [3, 0], [2, 0], [1, 5], [1, 6], [1, 7], [1, 8]])
    granularity = parse_granularity("2:4")
    mask = granularity.expand(granularity.keep(granularity.pool(scores), 2), (8, 2))
    assert mask[:, 0].tolist() == [True, False, True, False, False, False, True, True], (
        "of equal ones the earlier goes first"
    )
    assert mask[:, 1].tolist() == [False, False, True, True, False, False, True, True]


def test_n_of_m_does_not_take_back_what_is_gone():
    granularity = parse_granularity("1:4")
    scores = np.array([[-np.inf], [9.0], [-np.inf], [9.0]])
    free, count = granularity.free(np.array([[True], [False], [True], [False]]))
    assert count == 2
    assert granularity.expand(granularity.keep(granularity.pool(scores), 1, free), (4, 1)).ravel().tolist() == [
        False,
        False,
        True,
        False,
    ]


def test_an_earlier_mask_that_cuts_through_a_group_is_refused():
    within = np.ones(CONV, bool)
    within[0, 0, 0, 0] = False
    for text in ("filter", "channel", "block:2x1"):
        with pytest.raises(
            BadInput, match=f"granularity={text}: does not fit a/kernel, whose mask keeps parts of such groups"
        ):
            parse_granularity(text).free(within, "a/kernel")


@pytest.mark.parametrize(
    ("text", "shape", "layout", "reason"),
    [
        ("block:4x1", (3, 3, 3, 8), "kernel", "number of inputs, 3, is not a multiple of 4"),
        ("block:1x4", (64, 10), "kernel", "number of outputs, 10, is not a multiple of 4"),
        ("2:4", (3, 3, 6, 8), "kernel", "number of inputs, 6, is not a multiple of 4"),
        ("2:4", (3, 3, 8, 4), "depthwise", "number of inputs, 1, is not a multiple of 4"),
        ("2:4", (3, 3, 8, 6), "transposed", "number of inputs, 6, is not a multiple of 4"),
        ("block:2x1", (10,), "kernel", "number of inputs, 1, is not a multiple of 2"),
    ],
)
def test_a_tensor_that_does_not_divide_is_refused_by_name(text, shape, layout, reason):
    with pytest.raises(BadInput) as refused:
        parse_granularity(text).divide(shape, "conv1/kernel", layout)
    assert (
        str(refused.value)
        == f"granularity={text}: does not fit conv1/kernel, whose {reason}; keep its layer whole with dense_layers"
    )


@pytest.mark.parametrize("text", [*GRANULARITIES, "block:4x1", "block:16x16", "2:4", "1:128"])
def test_a_granularity_is_a_value_that_prints_as_the_flag(text):
    assert (
        parse_granularity(text) == parse_granularity(parse_granularity(text)) and parse_granularity(text).text == text
    )
    assert len({parse_granularity(text), parse_granularity(text)}) == 1


@pytest.mark.parametrize(
    "text",
    [
        "atom",
        "",
        None,
        "block",
        "block:4",
        "block:0x1",
        "block:4x1x1",
        "block:-4x1",
        "4:4",
        "5:4",
        "0:4",
        "2:4:8",
        "2:4 ",
    ],
)
def test_another_word_is_refused(text):
    with pytest.raises(BadInput) as refused:
        parse_granularity(text)
    assert str(refused.value) == (
        f"granularity={text}: must be one of weight, filter, channel, a block such as block:4x1, or n:m such as 2:4"
    )
