"""Stock TensorFlow operations unpack the result of `pack`, and refuse damaged streams."""

from __future__ import annotations

import dataclasses
import zlib

import numpy as np
import pytest
import tensorflow as tf

from dlth_tf.deploy.savedmodel.packing import Packed, pack
from dlth_tf.deploy.savedmodel.unpacking import Unpacked, unpack
from tests.deploy.savedmodel.test_packing import DTYPES, SPECIAL, bits, damaged, random


def unpacked(packed: Packed, streams: Packed | None = None) -> np.ndarray:
    """Unpacks in a graph, as when a SavedModel is loaded. TensorFlow's threads would flush denormals to zero there."""
    source = streams or packed
    return tf.function(lambda text: unpack(text, packed))(tf.constant([source.gaps, *source.planes])).numpy()


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_bit_comes_back(dtype):
    draw = np.random.default_rng(0)
    numbers = draw.integers(0, 256, 4000 * np.dtype(dtype).itemsize, dtype=np.uint8).view(dtype)
    array = np.where(draw.random(4000) < 0.1, numbers, 0).astype(dtype)
    array[100:120] = np.array([*SPECIAL, *SPECIAL], np.float64).astype(dtype)
    assert bits(unpacked(pack(array))) == bits(array)


@pytest.mark.parametrize(
    "array", [np.zeros(0), np.zeros(5), np.ones(1), np.ones(700)], ids=["none", "zeros", "one", "dense"]
)
def test_the_ends_of_the_range_work(array):
    assert unpacked(pack(array.astype(np.float32))).tolist() == array.tolist()


@pytest.mark.parametrize("how", ["plane", "gap", "swapped", "short", "stream"])
def test_damaged_streams_are_refused(how):
    packed = pack(random(0.9, 5000))
    assert bits(unpacked(packed, damaged(packed, "not"))) == bits(random(0.9, 5000))
    with pytest.raises((tf.errors.InvalidArgumentError, tf.errors.DataLossError)):
        unpacked(packed, damaged(packed, how))


def test_the_checksum_alone_finds_a_changed_number():
    packed = pack(random(0.9, 5000))
    with pytest.raises(tf.errors.InvalidArgumentError, match="the weights of this model are damaged"):
        unpacked(packed, damaged(packed, "plane"))
    with pytest.raises(tf.errors.InvalidArgumentError, match="the weights of this model are damaged"):
        unpacked(dataclasses.replace(packed, checksum=packed.checksum + 1))


def test_the_vector_has_no_value_where_its_streams_are_damaged():
    packed = pack(random(0.9, 5000))
    streams = tf.Variable([packed.gaps, *packed.planes])
    vector = Unpacked(streams, packed, "test")
    assert bits(vector.read().numpy()) == bits(random(0.9, 5000))
    broken = damaged(packed, "plane")
    with pytest.raises(tf.errors.InvalidArgumentError):
        Unpacked(tf.Variable([broken.gaps, *broken.planes]), packed, "test")


@pytest.mark.parametrize("which", [0, 1], ids=["gaps", "plane"])
def test_a_stream_that_expands_a_thousand_times_is_refused_before_its_bytes_become_positions(which, monkeypatch):
    packed = pack(random(0.9, 5000))
    streams = [packed.gaps, *packed.planes]
    streams[which] = zlib.compress(bytes(2 * 5000 + 2), 9)
    bomb = dataclasses.replace(packed, gaps=streams[0], planes=tuple(streams[1:]))
    with monkeypatch.context() as patched:
        patched.setattr(tf.io, "decode_raw", pytest.fail)  # eager operations run one after the other
        with pytest.raises(tf.errors.InvalidArgumentError, match="the weights of this model are damaged"):
            unpack(tf.constant([bomb.gaps, *bomb.planes]), packed)
    with pytest.raises(tf.errors.InvalidArgumentError, match="the weights of this model are damaged"):
        unpacked(packed, bomb)
