"""A sparse array as few bytes: where the numbers are as gaps, and the numbers byte plane by byte plane, all with zlib.

Pure NumPy, lossless: every bit comes back, of NaN, infinities, denormals and -0.0 too. What is left out are the numbers
whose bits are all zero. `dlth_tf.deploy.savedmodel.unpacking` unpacks the same bytes with TensorFlow's stock operations.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

ESCAPE = 255  # in a gap: 255 positions are skipped, and the gap goes on in the next byte
STRATEGIES = (
    zlib.Z_HUFFMAN_ONLY,
    zlib.Z_DEFAULT_STRATEGY,
)  # gaps of random masks; those of blocks and whole filters repeat


@dataclass(frozen=True)
class Packed:
    """What `pack` made of an array.

    Args:
      gaps: zlib stream of uint8: how many positions lie between one stored number and the next; 255 skips 255 and goes on.
      planes: zlib streams, one per byte of a number, lowest first; signs and exponents repeat, so the highest is the one that shrinks.
      size: numbers in the whole array.
      kept: numbers that are stored.
      dtype: of the numbers: float16, float32 or float64.
      checksum: `checksum` of positions and numbers, int64.
    """

    gaps: bytes
    planes: tuple[bytes, ...]
    size: int
    kept: int
    dtype: str
    checksum: int

    @property
    def bytes(self) -> int:
        """All that is stored."""
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


def unpack(packed: Packed) -> np.ndarray:
    """The array that `pack` was given, bit for bit.

    Raises:
      ValueError: the bytes are not those that `pack` made.
    """
    dtype = np.dtype(packed.dtype)
    try:
        gaps, *planes = (np.frombuffer(zlib.decompress(stream), np.uint8) for stream in (packed.gaps, *packed.planes))
    except zlib.error as error:
        raise ValueError(f"a packed stream is damaged ({error})") from None
    if len({plane.size for plane in planes}) != 1:
        raise ValueError("the packed planes are not equally long")
    bits = np.stack(planes, 1).view(f"<u{dtype.itemsize}").ravel().astype(f"uint{8 * dtype.itemsize}")
    positions = (np.cumsum(gaps.astype(np.int64) + (gaps != ESCAPE)) - 1)[gaps != ESCAPE]
    if positions.size != bits.size or (positions.size and positions[-1] >= packed.size):
        raise ValueError("the packed gaps do not fit the packed numbers")
    if checksum(positions, bits) != packed.checksum:
        raise ValueError("the checksum is not that of the packed numbers")
    whole = np.zeros(packed.size, bits.dtype)
    whole[positions] = bits
    return whole.view(dtype)


def checksum(positions: np.ndarray, bits: np.ndarray) -> int:
    """The sum of bits * (2 position + 1) modulo 2^64, as int64; bits are read as signed.

    The factors are odd, so one changed number always changes the sum.
    """
    signed = bits.view(f"int{8 * bits.itemsize}").astype(np.int64)
    return int(np.sum(signed * (2 * positions.astype(np.int64) + 1), dtype=np.int64))


def smallest(data: np.ndarray) -> bytes:
    """The smallest zlib stream of uint8 `data` that one of zlib's strategies gives."""
    return min((_compressed(data.tobytes(), strategy) for strategy in STRATEGIES), key=len)


def _compressed(data: bytes, strategy: int) -> bytes:
    stream = zlib.compressobj(9, zlib.DEFLATED, 15, 9, strategy)
    return stream.compress(data) + stream.flush()


def _gaps(positions: np.ndarray) -> np.ndarray:
    """uint8: what lies between the positions, a gap of 255 or more as so many ESCAPEs and the rest."""
    between = np.diff(positions, prepend=-1) - 1
    escapes = between // ESCAPE
    gaps = np.full(positions.size + int(escapes.sum()), ESCAPE, np.uint8)
    gaps[np.cumsum(escapes + 1) - 1] = between % ESCAPE
    return gaps
