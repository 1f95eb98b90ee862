"""Exports to forms that stock TensorFlow or LiteRT runs; names load at first use, so this imports no TensorFlow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlth_tf.lazy import lazy_names

if TYPE_CHECKING:  # for type checkers, which do not follow __getattr__
    from dlth_tf.deploy.atomic_folder import refuse_existing as refuse_existing
    from dlth_tf.deploy.examples import Examples as Examples
    from dlth_tf.deploy.export import export as export
    from dlth_tf.deploy.options import FORMATS as FORMATS

_NAMES = {
    "Examples": "examples",
    "FORMATS": "options",
    "export": "export",
    "refuse_existing": "atomic_folder",
}
__getattr__, __dir__, __all__ = lazy_names(
    __name__, {name: f"{__name__}.{module}:{name}" for name, module in _NAMES.items()}
)
