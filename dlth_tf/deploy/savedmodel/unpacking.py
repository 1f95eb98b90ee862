"""Unpacks the result of `packing.pack` with stock TensorFlow operations when a SavedModel is loaded."""

from __future__ import annotations

import tensorflow as tf

from dlth_tf.deploy.savedmodel.packing import ESCAPE, Packed


class Unpacked(tf.saved_model.experimental.TrackableResource):
    """A float vector in a SavedModel, filled once by its initializer from compressed bytes in the checkpoint.

    `tf.saved_model.load` and the C++ loader run the initializer after restoring the checkpoint. It fails if the numbers
    are not the packed ones. Until then the vector has no value, so nothing can be computed from wrong numbers.

    As with TensorFlow's lookup tables, memory is not released before the process ends: the resource must outlive the
    loaded object, of which users often keep only the signature.

    Args:
      streams: string[1 + planes]: The compressed bytes. The owner of this object must track them too.
      packed: Sizes and checksum of the vector.
      name: Name of the variable in a process; `tf.saved_model.load` appends a different number each time it loads.
    """

    def __init__(self, streams: tf.Variable, packed: Packed, name: str) -> None:
        super().__init__()
        self._streams = streams
        self._packed = packed
        self._dtype = tf.as_dtype(packed.dtype)
        self._name = name
        self._initialize()

    def _create_resource(self) -> tf.Tensor:
        return tf.raw_ops.VarHandleOp(dtype=self._dtype, shape=[self._packed.size], shared_name=self._name)

    def _initialize(self) -> None:
        value = unpack(self._streams.read_value(), self._packed)
        tf.raw_ops.AssignVariableOp(resource=self.resource_handle, value=value)

    def read(self) -> tf.Tensor:
        """Reads the whole vector."""
        return tf.raw_ops.ReadVariableOp(resource=self.resource_handle, dtype=self._dtype)


def unpack(streams: tf.Tensor, packed: Packed) -> tf.Tensor:
    """Computes the packed array from its streams.

    All operations move integers, because floating-point operations would lose denormals and signs of zero; only int8
    numbers are multiplied by their scales.

    Args:
      streams: string[1 + planes]: Compressed gaps and planes.
      packed: Size, dtype, table and checksum of the array. Its own streams are not used.

    Returns:
      The array, [size].

    Raises:
      tf.errors.InvalidArgumentError: If the streams are damaged.
    """
    gaps, *planes = (tf.io.decode_raw(stream, tf.uint8) for stream in tf.unstack(_bounded(streams, packed)))
    last = tf.not_equal(gaps, ESCAPE)  # the last byte of each gap
    ends = tf.cumsum(tf.cast(gaps, tf.int64) + tf.cast(last, tf.int64)) - 1
    positions = tf.gather_nd(ends, tf.where(last))
    bits, total = _with_scales(planes, positions, packed) if packed.table else _numbers(planes, positions)
    intact = tf.debugging.Assert(
        tf.equal(total, tf.constant(packed.checksum, tf.int64)), ["the weights of this model are damaged"]
    )
    with tf.control_dependencies([intact] if intact is not None else []):  # None in eager mode
        bits = tf.identity(bits)
    return tf.bitcast(tf.scatter_nd(tf.expand_dims(positions, 1), bits, [packed.size]), packed.dtype)


def _bounded(streams: tf.Tensor, packed: Packed) -> tf.Tensor:
    """Decompresses the streams, none of which has more than two bytes per element of the array.

    Gaps have one for each number and one for 255 positions, planes one for each number and scale. A stream of zeros
    expands a thousand times, and each of its bytes would take 22 bytes as a position.
    """
    texts = tf.io.decode_compressed(streams, "ZLIB")
    longest = tf.reduce_max(tf.strings.length(texts))
    fit = tf.debugging.Assert(
        tf.less_equal(longest, min(2 * packed.size + 1, 2**31 - 1)), ["the weights of this model are damaged"]
    )
    with tf.control_dependencies([fit] if fit is not None else []):  # None in eager mode
        return tf.identity(texts)


def _numbers(planes: list[tf.Tensor], positions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Joins the bytes of numbers to integers, [n], and computes their checksum."""
    bits = tf.bitcast(tf.stack(planes, 1), f"int{8 * len(planes)}")
    return bits, tf.reduce_sum(tf.cast(bits, tf.int64) * (2 * positions + 1))


def _with_scales(planes: list[tf.Tensor], positions: tf.Tensor, packed: Packed) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the bits of the numbers, int32[kept], of which the first are int8 times scales, and the checksum."""
    whole = tf.cast(tf.bitcast(planes[0], tf.int8), tf.int64)
    first, second = positions[: packed.int8], positions[packed.int8 :]
    count = packed.kept - packed.int8
    behind = tf.range(packed.size, packed.size + tf.size(planes[1], tf.int64) - count, dtype=tf.int64)
    bits, total = _numbers(planes[1:], tf.concat([second, behind], 0))
    start, inner, channels, index = tf.unstack(
        tf.gather(
            tf.constant(packed.table, tf.int64),
            tf.searchsorted(tf.constant([row[0] for row in packed.table], tf.int64), first, side="right") - 1,
        ),
        axis=1,
    )
    scales = tf.gather(tf.bitcast(bits[count:], tf.float32), index + (first - start) // inner % channels)
    numbers = tf.bitcast(tf.cast(whole, tf.float32) * scales, tf.int32)
    return tf.concat([numbers, bits[:count]], 0), total + tf.reduce_sum(whole * (2 * first + 1))
