"""Images in host memory that TensorFlow shares with NumPy."""

from __future__ import annotations

import numpy as np

from dlth_tf.data.host_memory import aligned, shared_tensor


def test_an_aligned_array_is_shared_and_another_one_is_copied() -> None:
    images = aligned((30, 4, 4, 3))
    images[:] = 7
    assert np.from_dlpack(shared_tensor(images)).ctypes.data == images.ctypes.data
    unaligned = images[1:]
    copied = np.from_dlpack(shared_tensor(unaligned))
    assert copied.ctypes.data != unaligned.ctypes.data
    np.testing.assert_array_equal(copied, unaligned)
