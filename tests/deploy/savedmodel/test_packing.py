"""pack: every bit is preserved, damage is detectable, and the bytes are few."""

from __future__ import annotations

import dataclasses
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dlth_tf.deploy.report.size_bound import Size
from dlth_tf.deploy.savedmodel.packing import ESCAPE, Packed, pack
from tests.deploy.oracles import unpack

DTYPES = ("float16", "float32", "float64")
SPECIAL = (0.0, -0.0, np.nan, np.inf, -np.inf, 5e-8, 1e-40, 5e-324, -1e-310, 1.0)


@st.composite
def sparse(draw: st.DrawFn) -> np.ndarray:
    """Draws arbitrary bits: NaN with payloads, infinities, denormals, -0.0, and stored numbers that are 0.0."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    size = draw(st.integers(0, 1500))
    values = draw(arrays.arrays(f"uint{8 * dtype.itemsize}", size)).view(dtype)
    values[draw(arrays.arrays(bool, size))] = draw(st.sampled_from(SPECIAL))
    return np.where(draw(arrays.arrays(bool, size, fill=st.just(False))), values, np.zeros_like(values))


def bits(array: np.ndarray) -> list[int]:
    return array.view(f"uint{8 * array.itemsize}").tolist()


@given(sparse())
@settings(max_examples=60, deadline=None)
def test_every_bit_comes_back(array):
    packed = pack(array)
    unpacked = unpack(packed)
    assert unpacked.dtype == array.dtype and bits(unpacked) == bits(array)
    assert packed.kept == sum(bit != 0 for bit in bits(array)) and packed.size == array.size


@pytest.mark.parametrize("dtype", DTYPES)
def test_special_numbers_come_back(dtype):
    array = np.array([*SPECIAL, 0, 0, *SPECIAL], np.float64).astype(dtype)
    assert bits(unpack(pack(array))) == bits(array)
    assert bits(np.array([-0.0], dtype)) != bits(np.array([0.0], dtype))  # although they are equal


@pytest.mark.parametrize("gap", [0, 1, ESCAPE - 1, ESCAPE, ESCAPE + 1, 2 * ESCAPE, 100_000])
def test_gaps_of_any_length_come_back(gap):
    array = np.zeros(2 * gap + 2 + 7, np.float32)
    array[[gap, 2 * gap + 1]] = 1, 2
    assert bits(unpack(pack(array))) == bits(array)
    assert len(zlib.decompress(pack(array).gaps)) == 2 + 2 * (gap // ESCAPE)


def random(sparsity: float, size: int = 300_000) -> np.ndarray:
    draw = np.random.default_rng(0)
    return (draw.normal(0, 0.05, size) * (draw.random(size) >= sparsity)).astype(np.float32)


@pytest.mark.fast_cases("0.98")
@pytest.mark.parametrize("sparsity", [0.5, 0.9, 0.95, 0.98])
def test_random_masks_and_weights_take_no_more_than_the_bound(sparsity):
    array = random(sparsity)
    packed = pack(array)
    bound = Size(array.size, array.size - packed.kept, 0).bound
    assert packed.bytes <= bound
    entropy = bound - 4 * packed.kept  # of the mask, a lower bound
    assert 0.98 * entropy < len(packed.gaps) < (1.06 if sparsity >= 0.9 else 1.3) * entropy


def test_blocks_take_less_than_random_masks():
    mask = np.repeat(np.random.default_rng(0).random(75_000) < 0.1, 4)
    blocks = np.where(mask, np.random.default_rng(1).normal(size=mask.size), 0).astype(np.float32)
    assert len(pack(blocks).gaps) < 0.5 * len(pack(random(0.9)).gaps)


def damaged(packed: Packed, how: str) -> Packed:
    planes = list(packed.planes)
    if how == "plane":
        content = bytearray(zlib.decompress(planes[1]))
        content[3] ^= 4
        planes[1] = zlib.compress(bytes(content))
    if how == "gap":
        content = bytearray(zlib.decompress(packed.gaps))
        content[next(place for place, gap in enumerate(content) if 0 < gap < ESCAPE)] -= 1
        return dataclasses.replace(packed, gaps=zlib.compress(bytes(content)))
    if how == "swapped":
        planes[0], planes[1] = planes[1], planes[0]
    if how == "short":
        planes[0] = zlib.compress(zlib.decompress(planes[0])[:-1])
    if how == "stream":
        planes[0] = planes[0][:-1] + bytes([planes[0][-1] ^ 1])
    if how == "size":
        return dataclasses.replace(packed, size=10)
    return dataclasses.replace(packed, planes=tuple(planes))


DAMAGE = {
    "plane": "checksum",
    "gap": "checksum",
    "swapped": "checksum",
    "short": "differ in length",
    "stream": "damaged",
    "size": "do not match",
}


@pytest.mark.parametrize(("how", "message"), DAMAGE.items(), ids=DAMAGE)
def test_damage_is_found(how, message):
    packed = pack(random(0.9, 5000))
    assert bits(unpack(damaged(packed, "not"))) == bits(random(0.9, 5000))
    with pytest.raises(ValueError, match=message):
        unpack(damaged(packed, how))
