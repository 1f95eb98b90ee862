"""Loading TensorFlow suspends garbage collection, and gives it back as it was."""

from __future__ import annotations

import contextlib
import gc

import pytest

from dlth_tf.tensorflow_start import without_collections


@pytest.mark.parametrize("enabled", [True, False])
def test_collection_is_suspended_and_comes_back_as_it_was_after_an_error_too(enabled):
    before = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        with contextlib.suppress(ImportError), without_collections():
            assert not gc.isenabled()
            raise ImportError
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if before else gc.disable)()
