"""Layouts: the inputs and the outputs of a weight tensor."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dlth_tf.core.layout import LAYOUTS, as_four_axes, four_axes, from_four_axes, layout_of

SHAPES = {"kernel": (3, 2, 4, 5), "transposed": (3, 2, 5, 4), "depthwise": (3, 2, 4, 5), "projection": (6, 2, 4)}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_way_there_and_back_is_the_identity(layout):
    array = np.arange(math.prod(SHAPES[layout])).reshape(SHAPES[layout])
    viewed = as_four_axes(array, layout)
    assert viewed.shape == four_axes(array.shape, layout)
    assert np.array_equal(from_four_axes(viewed, array.shape, layout), array)


def test_an_output_of_a_convolution_is_its_last_axis():
    array = np.random.default_rng(0).random((3, 2, 4, 5))
    assert np.array_equal(as_four_axes(array)[:, 0, 1, 2], array[:, :, 1, 2].ravel())


def test_a_transposed_convolution_has_its_outputs_before_its_inputs():
    array = np.random.default_rng(0).random((3, 2, 5, 4))
    assert np.array_equal(as_four_axes(array, "transposed")[:, 0, 1, 2], array[:, :, 2, 1].ravel())


def test_a_depthwise_kernel_has_one_input_for_each_output():
    array = np.random.default_rng(0).random((3, 2, 4, 5))
    assert np.array_equal(as_four_axes(array, "depthwise")[:, 1, 0, 2], array[:, :, 1, 2].ravel())


def test_heads_of_attention_are_outputs_of_projections():
    array = np.random.default_rng(0).random((6, 2, 4))
    assert np.array_equal(as_four_axes(array, "projection")[0, 0], array.reshape(6, 8))


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((), (1, 1, 1, 1)), ((7,), (1, 1, 1, 7)), ((4, 7), (1, 1, 4, 7)), ((2, 3, 4, 5, 6), (24, 1, 5, 6))],
)
def test_every_rank_has_four_axes(shape, axes):
    assert four_axes(shape) == axes


@pytest.mark.parametrize(
    ("name", "shape", "layout"),
    [
        ("conv/kernel", (3, 3, 4, 8), "kernel"),
        ("dw/depthwise_kernel", (3, 3, 4, 1), "depthwise"),
        ("mha/query/kernel", (6, 2, 3), "projection"),
        ("mha/attention_output/kernel", (2, 3, 6), "kernel"),
        ("query/kernel", (3, 4, 8), "kernel"),
        ("block/query/kernel", (3, 3, 4, 8), "kernel"),
    ],
)
def test_the_name_tells_the_layout(name, shape, layout):
    assert layout_of(name, shape) == layout
