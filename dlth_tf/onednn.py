"""oneDNN: the library with which TensorFlow computes convolutions on CPUs two to three times faster than without it.

TensorFlow turns it on by itself only on processors with AVX-512 VNNI or AMX, and reads the variable when it is loaded.
"""

from __future__ import annotations

import functools
import logging
import os
from typing import Any

VARIABLE = "TF_ENABLE_ONEDNN_OPTS"
RANK_OF_CONVOLUTION = 4  # of the kernel of a convolution over images


def turn_on_onednn() -> None:
    """Turns oneDNN on for a process that has not loaded TensorFlow yet, unless the user has set the variable."""
    os.environ.setdefault(VARIABLE, "1")


def onednn_is_on() -> bool:
    """Returns whether TensorFlow computes with oneDNN in this process."""
    from tensorflow.python.util import _pywrap_util_port  # the only place that knows TensorFlow's own decision

    return bool(_pywrap_util_port.IsMklEnabled())


def hint_at_onednn(model: Any) -> None:
    """Logs one hint per process if a convolutional model is trained on an x86 CPU without oneDNN by nobody's choice.

    Args:
      model: A Keras model.
    """
    # Keras 2 lists the vocabulary of a lookup table with the weights; it has no shape.
    ranks = (len(getattr(weight, "shape", ())) for weight in model.weights)
    if VARIABLE not in os.environ and any(rank >= RANK_OF_CONVOLUTION for rank in ranks):
        _hint()


@functools.cache
def _hint() -> None:
    import tensorflow as tf
    from tensorflow.python.util import _pywrap_util_port

    if _pywrap_util_port.IsX86Available() and not onednn_is_on() and not tf.config.list_physical_devices("GPU"):
        logging.getLogger("dlth_tf").warning(
            "TensorFlow trains this convolutional model without oneDNN, 2 to 3 times slower than with it: set %s=1 "
            "before TensorFlow is imported (%s=0 keeps it off without this hint)",
            VARIABLE,
            VARIABLE,
        )
