"""What a Keras user adds to `fit`: loaded when first used, so that naming a callback does not import TensorFlow."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers, which do not see what __getattr__ loads
    from dlth_tf.callbacks.dynamic_sparsity import DynamicSparsity as DynamicSparsity
    from dlth_tf.callbacks.early_bird import EarlyBird as EarlyBird
    from dlth_tf.callbacks.gradual_magnitude import GradualMagnitude as GradualMagnitude
    from dlth_tf.callbacks.imp import IMP as IMP
    from dlth_tf.callbacks.keep_mask import KeepMask as KeepMask
    from dlth_tf.callbacks.random_mask import RandomMask as RandomMask
    from dlth_tf.callbacks.rst_penalty import RSTPenalty as RSTPenalty
    from dlth_tf.callbacks.sparsity_monitor import SparsityMonitor as SparsityMonitor
    from dlth_tf.callbacks.straight_through import StraightThrough as StraightThrough

_PUBLIC = {
    "DynamicSparsity": "dynamic_sparsity",
    "EarlyBird": "early_bird",
    "GradualMagnitude": "gradual_magnitude",
    "IMP": "imp",
    "KeepMask": "keep_mask",
    "RSTPenalty": "rst_penalty",
    "RandomMask": "random_mask",
    "SparsityMonitor": "sparsity_monitor",
    "StraightThrough": "straight_through",
}
__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
