"""Starts TensorFlow without what its libraries write to the terminal while they are loaded."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Holds back what is written to file descriptor 2, native libraries' lines too; shown only if the block fails."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(kept, 2)
            held.seek(0)
            sys.stderr.write(held.read().decode(errors="replace"))
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def start_tensorflow() -> None:
    """Imports TensorFlow and tf-mot and starts the devices, quietly; DLTH_LOUD=1 shows what they say."""
    if "tensorflow" in sys.modules or os.environ.get("DLTH_LOUD") == "1":
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with quiet_stderr():
        import tensorflow

        importlib.import_module("dlth_tf.masking.keras2.tfmot")  # here for its native libraries

        tensorflow.config.list_physical_devices()
    # Every phase traces a train function of its own, so that advice does not apply.
    tensorflow.get_logger().addFilter(lambda record: "triggered tf.function retracing" not in record.getMessage())
    # Garbage collections need not walk through the libraries' half a million objects each time.
    gc.freeze()
