"""Dual lottery tickets for TensorFlow and Keras: the public names, each loaded at its first use.

Importing this package selects no Keras and changes nothing in the process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlth_tf.registry import lazy_names
from dlth_tf.version import __version__ as __version__

if TYPE_CHECKING:  # for type checkers, which do not follow __getattr__; `export` is called, though it is a module too
    from dlth_tf import callbacks as callbacks
    from dlth_tf import keras3 as keras3
    from dlth_tf.core.ticket import Ticket as Ticket
    from dlth_tf.data.load import load as _load
    from dlth_tf.deploy.compaction.compact import compact as compact
    from dlth_tf.deploy.export import export as export
    from dlth_tf.errors import BadInput as BadInput
    from dlth_tf.masking import apply_ticket as apply_ticket
    from dlth_tf.masking import layer_table as layer_table
    from dlth_tf.masking import magnitude_ticket as magnitude_ticket
    from dlth_tf.masking import random_ticket as random_ticket
    from dlth_tf.masking import strip as strip
    from dlth_tf.masking import summary as summary
    from dlth_tf.masking import wrap as wrap
    from dlth_tf.masking.keras2 import optimizers as optimizers
    from dlth_tf.runs.config import RunConfig as RunConfig
    from dlth_tf.runs.train_and_export import run as run

    load_dataset = _load

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "BadInput": "dlth_tf.errors:BadInput",
        "RunConfig": "dlth_tf.runs.config:RunConfig",
        "Ticket": "dlth_tf.core.ticket:Ticket",
        "apply_ticket": "dlth_tf.masking:apply_ticket",
        "callbacks": "dlth_tf.callbacks",
        "compact": "dlth_tf.deploy.compaction:compact",
        "export": "dlth_tf.export",
        "keras3": "dlth_tf.keras3",
        "load_dataset": "dlth_tf.data:load",
        "layer_table": "dlth_tf.masking:layer_table",
        "magnitude_ticket": "dlth_tf.masking:magnitude_ticket",
        "optimizers": "dlth_tf.masking.keras2.optimizers",
        "random_ticket": "dlth_tf.masking:random_ticket",
        "run": "dlth_tf.runs.train_and_export:run",
        "strip": "dlth_tf.masking:strip",
        "summary": "dlth_tf.masking:summary",
        "wrap": "dlth_tf.masking:wrap",
    },
)
