"""Sparse formats: every matrix is preserved, and the fastest format is chosen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlth_tf.deploy.tflite.sparse_formats import best_format, encode
from dlth_tf.randomness import generator
from tests.deploy.oracles import decode


@given(st.integers(1, 9), st.integers(1, 6), st.integers(0, 99), st.sampled_from([0.0, 0.5, 0.9, 1.0]))
def test_every_matrix_comes_back_from_either_format(rows, columns, seed, sparsity):
    random = generator(seed, "matrix")
    matrix = random.normal(size=(rows, 4 * columns)).astype(np.float32) * (
        random.random((rows, 4 * columns)) >= sparsity
    )
    for block in (1, 4):
        sparse = encode(matrix, block)
        assert np.array_equal(decode(sparse, matrix.shape), matrix)
        assert len(sparse.values) == block * len(sparse.indices) and sparse.segments[-1] == len(sparse.indices)
    assert len(encode(matrix, 1).values) == np.count_nonzero(matrix)


@pytest.mark.parametrize(
    ("zeros", "granularity", "expected"),
    [
        (0.9, "weight", 0),
        (0.94, "weight", 1),
        (0.98, "weight", 1),
        (0.65, "block", 0),
        (0.8, "block", 4),
        (0.98, "block", 4),
    ],
)
def test_the_format_is_the_one_that_the_kernels_are_fastest_with(zeros, granularity, expected):
    random, shape = generator(0, "zeros"), (200, 400)
    if granularity == "weight":
        kept = random.random(shape) >= zeros
    else:
        kept = np.repeat(random.random((200, 100)) >= zeros, 4, 1)
    assert best_format(kept.astype(np.float32)) == expected
    if granularity == "block":
        assert best_format(kept[:, :399].astype(np.float32)) in (0, 1), "399 inputs are not a multiple of 4"
