"""Inverses of the product's encoders in plain NumPy, as oracles for the tests."""

from __future__ import annotations

import zlib

import numpy as np

from dlth_tf.deploy.savedmodel.packing import ESCAPE, Packed, checksum
from dlth_tf.deploy.savedmodel.rounding import Scales
from dlth_tf.deploy.tflite.sparse_formats import Sparse


def unpack(packed: Packed) -> np.ndarray:
    """Returns the array that was given to `pack`, bit for bit.

    Raises:
      ValueError: If the bytes are not those written by `pack`.
    """
    dtype = np.dtype(packed.dtype)
    try:
        gaps, *planes = (np.frombuffer(zlib.decompress(stream), np.uint8) for stream in (packed.gaps, *packed.planes))
    except zlib.error as error:
        raise ValueError(f"a packed stream is damaged ({error})") from None
    if len({plane.size for plane in planes}) != 1:
        raise ValueError("the packed planes differ in length")
    bits = np.stack(planes, 1).view(f"<u{dtype.itemsize}").ravel().astype(f"uint{8 * dtype.itemsize}")
    positions = (np.cumsum(gaps.astype(np.int64) + (gaps != ESCAPE)) - 1)[gaps != ESCAPE]
    if positions.size != bits.size or (positions.size and positions[-1] >= packed.size):
        raise ValueError("the packed gaps do not match the packed numbers")
    if checksum(positions, bits) != packed.checksum:
        raise ValueError("checksum mismatch")
    whole = np.zeros(packed.size, bits.dtype)
    whole[positions] = bits
    return whole.view(dtype)


def dequantized(value: np.ndarray, scales: Scales) -> np.ndarray:
    """Returns the float32 numbers that a tensor of int8 stands for."""
    by_channel = value.reshape(-1, len(scales.values), scales.inner).astype(np.float32)
    return (by_channel * scales.values[:, None]).reshape(value.shape)


def decode(sparse: Sparse, shape: tuple[int, int]) -> np.ndarray:
    """Returns the matrix that was given to `encode`."""
    matrix = np.zeros((shape[0], shape[1] // sparse.block, sparse.block), sparse.values.dtype)
    rows = np.repeat(np.arange(shape[0]), np.diff(sparse.segments))
    matrix[rows, sparse.indices] = sparse.values.reshape(-1, sparse.block)
    return matrix.reshape(shape)
