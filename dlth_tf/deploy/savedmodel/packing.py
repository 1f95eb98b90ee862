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
        one shrinks.
      size: Number of elements in the whole array.
      kept: Number of stored elements.
      dtype: "float16", "float32" or "float64".
      checksum: int64 checksum of the positions and numbers, from `checksum`.
    """

    gaps: bytes
    planes: tuple[bytes, ...]
    size: int
    kept: int
    dtype: str
    checksum: int

    @property
    def bytes(self) -> int:
        """Total number of stored bytes."""
        return len(self.gaps) + sum(map(len, self.planes))


def pack(array: np.ndarray) -> Packed:
    """Packs a one-dimensional array of float16, float32 or float64."""
    bits = array.view(f"uint{8 * array.itemsize}")
    positions = np.flatnonzero(bits)
    planes = bits[positions].astype(f"<u{array.itemsize}").view(np.uint8).reshape(-1, array.itemsize).T
    return Packed(
        smallest(_gaps(positions)),
        tuple(smallest(plane) for plane in planes),
        array.size,
        positions.size,
        str(array.dtype),
        checksum(positions, bits[positions]),
    )


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
