"""Dual lottery tickets for TensorFlow and Keras: the public names, loaded when they are first used.

Importing this package selects legacy Keras (tf_keras) for the process, because tf-mot's wrappers work with nothing else.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers, which do not see what __getattr__ loads; `export` is a module and a function at once
    from dlth_tf import callbacks as callbacks
    from dlth_tf.core.ticket import Ticket as Ticket
    from dlth_tf.data.load import load as _load
    from dlth_tf.errors import BadInput as BadInput
    from dlth_tf.masking import apply_ticket as apply_ticket
    from dlth_tf.masking import layer_table as layer_table
    from dlth_tf.masking import magnitude_ticket as magnitude_ticket
    from dlth_tf.masking import optimizers as optimizers
    from dlth_tf.masking import random_ticket as random_ticket
    from dlth_tf.masking import strip as strip
    from dlth_tf.masking import wrap as wrap
    from dlth_tf.runs.config import RunConfig as RunConfig
    from dlth_tf.runs.runner import run as run

    load_dataset = _load

__version__ = "0.1.0"


def _select_legacy_keras() -> None:
    """Makes `tf.keras` mean tf_keras, or says in one sentence why that is too late."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is not None and hasattr(tensorflow, "keras") and not tensorflow.keras.Model.__module__.startswith("tf_keras"):
        raise ImportError(
            "TensorFlow is in this process with Keras 3, and dlth_tf needs Keras 2 (tf_keras): import dlth_tf before tensorflow, "
            "or set the environment variable TF_USE_LEGACY_KERAS=1 before Python starts."
        )
    if tensorflow is not None:  # whose import name tensorflow.keras (keras-cv uses it) would still find Keras 3
        sys.modules["tensorflow.keras"] = importlib.import_module("tf_keras.api._v2.keras")


_select_legacy_keras()

_PUBLIC = {
    "BadInput": "dlth_tf.errors:BadInput",
    "RunConfig": "dlth_tf.runs.config:RunConfig",
    "Ticket": "dlth_tf.core.ticket:Ticket",
    "apply_ticket": "dlth_tf.masking:apply_ticket",
    "callbacks": "dlth_tf.callbacks",
    "export": "dlth_tf.export",
    "load_dataset": "dlth_tf.data:load",
    "layer_table": "dlth_tf.masking:layer_table",
    "magnitude_ticket": "dlth_tf.masking:magnitude_ticket",
    "optimizers": "dlth_tf.masking.optimizers",
    "random_ticket": "dlth_tf.masking:random_ticket",
    "run": "dlth_tf.runs:run",
    "strip": "dlth_tf.masking:strip",
    "wrap": "dlth_tf.masking:wrap",
}
__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module_name, _, attribute = _PUBLIC[name].partition(":")
    module = importlib.import_module(module_name)
    return getattr(module, attribute) if attribute else module


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
