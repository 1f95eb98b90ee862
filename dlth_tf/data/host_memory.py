"""Images in host memory that TensorFlow reads without a copy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

ALIGNMENT = 64  # bytes: TensorFlow uses the memory of an array that is aligned so, instead of a copy


def aligned(shape: tuple[int, ...]) -> np.ndarray:
    """Returns an uninitialized uint8 array of this shape that TensorFlow can use without a copy."""
    size = int(np.prod(shape, dtype=np.int64))
    room = np.empty(size + ALIGNMENT, np.uint8)
    first = -room.ctypes.data % ALIGNMENT
    return room[first : first + size].reshape(shape)


def shared_tensor(array: np.ndarray) -> tf.Tensor:
    """Returns an array as a tensor in host memory: the same memory if it is `aligned`, else a copy.

    A pipeline captures tensors in host memory by reference: no graph contains a copy, and no accelerator holds the
    data.
    """
    import tensorflow as tf

    with tf.device("CPU"):
        if array.flags.c_contiguous and array.flags.writeable and array.ctypes.data % ALIGNMENT == 0:
            return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
        return tf.constant(array)
