"""Packs a sparse array into few bytes: positions as gaps and numbers as byte planes, all compressed with zlib.

Pure NumPy and lossless: every bit is preserved, including those of NaN, infinities, denormals and -0.0. Only numbers
whose bits are all zero are left out. `dlth_tf.deploy.savedmodel.unpacking` unpacks the same bytes with stock TensorFlow
operations.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

ESCAPE = 255  # in a gap: skip 255 positions and add the next byte
# The first suits the gaps of random masks, the second those of blocks and whole filters, which repeat.
STRATEGIES = (zlib.Z_HUFFMAN_ONLY, zlib.Z_DEFAULT_STRATEGY)


@dataclass(frozen=True)
class Packed:
    """A packed array.

    Args:
      gaps: zlib stream of uint8: number of positions between one stored number and the next; 255 skips 255 positions
        and adds the next byte.
      planes: zlib streams, one per byte of a number, lowest first. Signs and exponents repeat, so mostly the highest
        one shrinks. With a table, the first one holds the int8 numbers, and the others the numbers after them and the
        scales.
      size: Number of elements in the whole array.
      kept: Number of stored elements.
      dtype: "float16", "float32" or "float64".
      checksum: int64 checksum of the positions and numbers, from `checksum`; the scales count as numbers behind the
        array.
      int8: Number of stored elements, the first ones, that are int8.
      table: int64[tensors of int8, 4] as nested tuples: start of a tensor, distance of its channels, their number, and
        index of its first scale. Number i of a tensor belongs to channel i // distance % number.
    """

    gaps: bytes
    planes: tuple[bytes, ...]
    size: int
    kept: int
    dtype: str
    checksum: int
    int8: int = 0
    table: tuple[tuple[int, ...], ...] = ()

    @property
    def bytes(self) -> int:
        """Total number of stored bytes."""
        return len(self.gaps) + sum(map(len, self.planes))


def pack(array: np.ndarray) -> Packed:
    """Packs a one-dimensional array of float16, float32 or float64."""
    bits = array.view(f"uint{8 * array.itemsize}")
    positions = np.flatnonzero(bits)
    return Packed(
        smallest(_gaps(positions)),
        _planes(bits[positions]),
        array.size,
        positions.size,
        str(array.dtype),
        checksum(positions, bits[positions]),
    )


def pack_int8(whole: np.ndarray, rest: np.ndarray, table: np.ndarray, scales: np.ndarray) -> Packed:
    """Packs an array of float32 that begins with whole numbers times scales.

    Args:
      whole: int8[n]: The whole numbers.
      rest: float32[m]: The numbers after them.
      table: int64[tensors, 4]: Places of the scales, as `Packed` describes them.
      scales: float32[channels of all tensors].
    """
    few, bits = whole.view(np.uint8), rest.view(np.uint32)
    first, second = np.flatnonzero(few), whole.size + np.flatnonzero(bits)
    size = whole.size + rest.size
    numbers = np.concatenate([bits[bits != 0], scales.view(np.uint32)])
    places = np.concatenate([second, size + np.arange(scales.size)])
    total = (checksum(first, few[first]) + checksum(places, numbers)) % 2**64
    return Packed(
        smallest(_gaps(np.concatenate([first, second]))),
        (*_planes(few[first]), *_planes(numbers)),
        size,
        first.size + second.size,
        "float32",
        total - 2**64 * (total >= 2**63),
        first.size,
        tuple(tuple(row) for row in table.tolist()),
    )


def _planes(bits: np.ndarray) -> tuple[bytes, ...]:
    """Returns one zlib stream for each byte of unsigned integers, the lowest byte first."""
    planes = bits.astype(f"<u{bits.itemsize}").view(np.uint8).reshape(-1, bits.itemsize).T
    return tuple(smallest(plane) for plane in planes)


def checksum(positions: np.ndarray, bits: np.ndarray) -> int:
    """Computes the sum of bits * (2 position + 1) modulo 2^64, as int64; bits are read as signed.

    The factors are odd, so a single changed number always changes the sum.

    Args:
      positions: Positions of the stored numbers.
      bits: Their bits as unsigned integers.
    """
    signed = bits.view(f"int{8 * bits.itemsize}").astype(np.int64)
    return int(np.sum(signed * (2 * positions.astype(np.int64) + 1), dtype=np.int64))


def smallest(data: np.ndarray) -> bytes:
    """Returns the smallest zlib stream of uint8 `data` over all STRATEGIES."""
    return min((_compressed(data.tobytes(), strategy) for strategy in STRATEGIES), key=len)


def _compressed(data: bytes, strategy: int) -> bytes:
    stream = zlib.compressobj(9, zlib.DEFLATED, 15, 9, strategy)
    return stream.compress(data) + stream.flush()


def _gaps(positions: np.ndarray) -> np.ndarray:
    """Returns the gaps between the positions as uint8; a gap of 255 or more is a run of ESCAPEs and the remainder."""
    between = np.diff(positions, prepend=-1) - 1
    escapes = between // ESCAPE
    gaps = np.full(positions.size + int(escapes.sum()), ESCAPE, np.uint8)
    gaps[np.cumsum(escapes + 1) - 1] = between % ESCAPE
    return gaps
