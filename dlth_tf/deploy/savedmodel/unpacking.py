"""What `packing.pack` made, unpacked by TensorFlow's stock operations when a SavedModel is loaded."""

from __future__ import annotations

import tensorflow as tf

from dlth_tf.deploy.savedmodel.packing import ESCAPE, Packed


class Unpacked(tf.saved_model.experimental.TrackableResource):
    """A float vector in the SavedModel that is filled once, by its initialiser, from compressed bytes in the checkpoint.

    `tf.saved_model.load` and the C++ loader run the initialiser after they restored the checkpoint. It fails if the
    numbers are not those that were packed. Until then the vector has no value, so nothing can compute with wrong ones.

    As with TensorFlow's lookup tables, memory is not given back before the process ends: the resource must outlive the loaded
    object, of which users often keep just the signature.

    Args:
      streams: string [1 + bytes of a number], the compressed bytes; whoever owns this must own them too.
      packed: their sizes and their checksum.
      name: of the variable in a process; `tf.saved_model.load` adds a number of its own for each time that it loads.
    """

    def __init__(self, streams: tf.Variable, packed: Packed, name: str) -> None:
        super().__init__()
        self._streams, self._packed, self._dtype, self._name = streams, packed, tf.as_dtype(packed.dtype), name
        self._initialize()

    def _create_resource(self) -> tf.Tensor:
        return tf.raw_ops.VarHandleOp(dtype=self._dtype, shape=[self._packed.size], shared_name=self._name)

    def _initialize(self) -> None:
        value = decode(self._streams.read_value(), self._packed)
        tf.raw_ops.AssignVariableOp(resource=self.resource_handle, value=value)

    def read(self) -> tf.Tensor:
        """The whole vector."""
        return tf.raw_ops.ReadVariableOp(resource=self.resource_handle, dtype=self._dtype)


def decode(streams: tf.Tensor, packed: Packed) -> tf.Tensor:
    """The array that was packed, from its streams alone; `packed` gives size, dtype and checksum.

    Every step moves whole numbers: floating-point operations would lose denormals and signs of zero.

    Args:
      streams: string [1 + bytes of a number]: gaps and planes.
      packed: the sizes and the checksum.

    Raises:
      tf.errors.InvalidArgumentError: the streams are damaged.
    """
    gaps, *planes = (
        tf.io.decode_raw(stream, tf.uint8) for stream in tf.unstack(tf.io.decode_compressed(streams, "ZLIB"))
    )
    last = tf.not_equal(gaps, ESCAPE)  # of the bytes of a gap
    ends = tf.cumsum(tf.cast(gaps, tf.int64) + tf.cast(last, tf.int64)) - 1
    positions = tf.gather_nd(ends, tf.where(last))
    bits = tf.bitcast(tf.stack(planes, 1), f"int{8 * len(planes)}")
    total = tf.reduce_sum(tf.cast(bits, tf.int64) * (2 * positions + 1))
    intact = tf.debugging.Assert(
        tf.equal(total, tf.constant(packed.checksum, tf.int64)), ["the weights of this model are damaged"]
    )
    with tf.control_dependencies([intact] if intact is not None else []):  # eagerly there is nothing to wait for
        bits = tf.identity(bits)
    return tf.bitcast(tf.scatter_nd(tf.expand_dims(positions, 1), bits, [packed.size]), packed.dtype)
