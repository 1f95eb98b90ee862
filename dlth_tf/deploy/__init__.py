"""Export of trained networks to forms that stock TensorFlow or LiteRT runs without this package, and compaction.

Names are loaded at their first use, so that compaction on JAX and PyTorch loads no TensorFlow. `export` is in the
module of that name, which would take its place here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlth_tf.registry import lazy_names

if TYPE_CHECKING:  # for type checkers, which do not follow __getattr__
    from dlth_tf.deploy.atomic_folder import refuse_existing as refuse_existing
    from dlth_tf.deploy.examples import Examples as Examples
    from dlth_tf.export_options import FORMATS as FORMATS

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "Examples": f"{__name__}.examples:Examples",
        "FORMATS": "dlth_tf.export_options:FORMATS",
        "refuse_existing": f"{__name__}.atomic_folder:refuse_existing",
    },
)
