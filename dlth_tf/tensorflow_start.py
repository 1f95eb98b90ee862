"""Starts TensorFlow without the messages that its libraries print while they are loaded."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys
import tempfile
from collections.abc import Iterator

from dlth_tf.console import announced
from dlth_tf.onednn import turn_on_onednn


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Suppresses output to file descriptor 2, including that of native libraries; prints it if the block raises."""
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as captured:
        os.dup2(captured.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(terminal, 2)
            captured.seek(0)
            sys.stderr.write(captured.read().decode(errors="replace"))
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


@contextlib.contextmanager
def without_collections() -> Iterator[None]:
    """Suspends garbage collection, which takes a quarter of the time of loading TensorFlow and finds nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def start_tensorflow(announce: bool = False) -> None:
    """Turns oneDNN on, imports TensorFlow and tf-mot and initializes the devices quietly.

    DLTH_LOUD=1 keeps their messages, and leaves the import to whoever needs TensorFlow first.

    Args:
      announce: Whether a line on a terminal says meanwhile what is loaded.
    """
    if "tensorflow" in sys.modules:
        return
    turn_on_onednn()
    if os.environ.get("DLTH_LOUD") != "1":
        with announced("loading TensorFlow ...") if announce else contextlib.nullcontext():
            _load()


def _load() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with quiet_stderr(), without_collections():
        import tensorflow

        importlib.import_module("dlth_tf.masking.keras2.tfmot")  # for the messages of its native libraries

        tensorflow.config.list_physical_devices()
    # Every phase traces its own train function, so the warning about retracing does not apply.
    tensorflow.get_logger().addFilter(lambda record: "triggered tf.function retracing" not in record.getMessage())
    # Exempts the libraries' half a million objects from every garbage collection.
    gc.freeze()
