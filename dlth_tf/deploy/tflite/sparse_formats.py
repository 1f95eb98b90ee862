"""Sparse formats for the weight matrix of a fully connected layer, and the choice between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BLOCK = 4  # consecutive inputs of one output that the runtime's block kernel processes together
# Time of TensorFlow Lite's kernels at batch 1 on an x86 CPU, in units of the random format's time per stored number
# (0.7 ns). A block takes no longer than one number, but counts for more: stored in blocks, random zeros would take 3
# times the bytes for 5 % less time. The dense kernel takes 0.057 to 0.095 per number for matrices from 784x300 to
# 2048x2048 (minimum of 60 bursts each, one thread, AVX-512), and up to 0.19 on another machine. So random sparsity
# breaks even between 81 and 94 %, and blocks of zeros at 77 % or earlier; what is stored sparse here is as fast or
# faster on both machines.
DENSE_TIME = 0.07
BLOCK_TIME = 1.25


@dataclass(frozen=True)
class Sparse:
    """A matrix [rows, columns] in compressed rows.

    Attributes:
      block: Consecutive columns that are stored as one piece, 1 or `BLOCK`.
      segments: int32[rows + 1]: Index of the first piece of each row, and the number of pieces.
      indices: int32[pieces]: Position of each piece in its row, counted in pieces.
      values: [pieces * block]: Stored numbers in the matrix' dtype.
    """

    block: int
    segments: np.ndarray
    indices: np.ndarray
    values: np.ndarray


def best_format(matrix: np.ndarray) -> int:
    """Chooses the fastest format for a matrix.

    Sparse formats are faster from 93 % random zeros on, or from 78 % zero blocks on.

    Args:
      matrix: [outputs, inputs].

    Returns:
      0 to keep the matrix dense, else the block (1 or `BLOCK`) of the sparse format.
    """
    times: dict[int, float] = {0: DENSE_TIME * matrix.size, 1: int(np.count_nonzero(matrix))}
    if matrix.shape[1] % BLOCK == 0:
        times[BLOCK] = BLOCK_TIME * np.count_nonzero(_pieces(matrix, BLOCK).any(2))
    return min(times, key=lambda block: times[block])


def encode(matrix: np.ndarray, block: int) -> Sparse:
    """Encodes the nonzero pieces of a matrix.

    Args:
      matrix: [rows, columns], with a number of columns that is a multiple of `block`.
      block: Consecutive columns that are stored as one piece.
    """
    pieces = _pieces(matrix, block)
    stored = pieces.any(2)
    segments = np.concatenate([[0], np.cumsum(stored.sum(1))])
    return Sparse(block, segments.astype(np.int32), np.nonzero(stored)[1].astype(np.int32), pieces[stored].ravel())


def _pieces(matrix: np.ndarray, block: int) -> np.ndarray:
    return matrix.reshape(matrix.shape[0], -1, block)
