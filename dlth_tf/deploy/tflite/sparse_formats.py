"""How a sparse weight matrix of a fully connected layer is best stored, and the two sparse formats themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BLOCK = 4  # consecutive inputs of one output that the runtime's block kernel takes at once
# Time of TensorFlow Lite's kernels at batch 1 on an x86 CPU, in units of what the random format takes for one number (0.7 ns).
# A block takes no longer, but counts for more: random zeros in blocks would be 3 times the bytes for 5 % less time. The dense
# kernel takes 0.057 to 0.095 per number of matrices from 784x300 to 2048x2048 (the least of 60 bursts each, one thread,
# AVX-512), on another machine up to 0.19. So random sparsity breaks even between 81 and 94 %, blocks of zeros at 77 % or
# earlier; what is stored sparse here is faster on both, or as fast.
DENSE_TIME, BLOCK_TIME = 0.07, 1.25


@dataclass(frozen=True)
class Sparse:
    """A matrix [rows, columns] in compressed rows.

    Attributes:
      block: consecutive columns that are stored as one piece, 1 or `BLOCK`.
      segments: int32[rows + 1]: where each row begins among the pieces.
      indices: int32[pieces]: their places in their rows, counted in pieces.
      values: [pieces * block], in the matrix' dtype.
    """

    block: int
    segments: np.ndarray
    indices: np.ndarray
    values: np.ndarray


def best_format(matrix: np.ndarray) -> int:
    """0 to leave a matrix dense, else the block (1 or `BLOCK`) of the sparse format that is faster.

    That is from 93 % random zeros on, or from 78 % of the blocks.

    Args:
      matrix: [outputs, inputs].
    """
    times: dict[int, float] = {0: DENSE_TIME * matrix.size, 1: int(np.count_nonzero(matrix))}
    if matrix.shape[1] % BLOCK == 0:
        times[BLOCK] = BLOCK_TIME * np.count_nonzero(_pieces(matrix, BLOCK).any(2))
    return min(times, key=lambda block: times[block])


def encode(matrix: np.ndarray, block: int) -> Sparse:
    """The pieces of a matrix that are not zero."""
    pieces = _pieces(matrix, block)
    stored = pieces.any(2)
    segments = np.concatenate([[0], np.cumsum(stored.sum(1))])
    return Sparse(block, segments.astype(np.int32), np.nonzero(stored)[1].astype(np.int32), pieces[stored].ravel())


def decode(sparse: Sparse, shape: tuple[int, int]) -> np.ndarray:
    """The way back: `decode(encode(m, block), m.shape)` is `m`."""
    matrix = np.zeros((shape[0], shape[1] // sparse.block, sparse.block), sparse.values.dtype)
    rows = np.repeat(np.arange(shape[0]), np.diff(sparse.segments))
    matrix[rows, sparse.indices] = sparse.values.reshape(-1, sparse.block)
    return matrix.reshape(shape)


def _pieces(matrix: np.ndarray, block: int) -> np.ndarray:
    return matrix.reshape(matrix.shape[0], -1, block)
