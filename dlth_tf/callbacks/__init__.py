"""Callbacks for `fit`, each loaded at its first use, so that naming one does not import TensorFlow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlth_tf.registry import lazy_names

if TYPE_CHECKING:  # for type checkers, which do not follow __getattr__
    from dlth_tf.callbacks.dynamic_sparsity import DynamicSparsity as DynamicSparsity
    from dlth_tf.callbacks.early_bird import EarlyBird as EarlyBird
    from dlth_tf.callbacks.gradual_magnitude import GradualMagnitude as GradualMagnitude
    from dlth_tf.callbacks.imp import IMP as IMP
    from dlth_tf.callbacks.keep_mask import KeepMask as KeepMask
    from dlth_tf.callbacks.random_mask import RandomMask as RandomMask
    from dlth_tf.callbacks.rst_penalty import RSTPenalty as RSTPenalty
    from dlth_tf.callbacks.sparsity_monitor import SparsityMonitor as SparsityMonitor
    from dlth_tf.callbacks.straight_through import StraightThrough as StraightThrough

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "DynamicSparsity": f"{__name__}.dynamic_sparsity:DynamicSparsity",
        "EarlyBird": f"{__name__}.early_bird:EarlyBird",
        "GradualMagnitude": f"{__name__}.gradual_magnitude:GradualMagnitude",
        "IMP": f"{__name__}.imp:IMP",
        "KeepMask": f"{__name__}.keep_mask:KeepMask",
        "RSTPenalty": f"{__name__}.rst_penalty:RSTPenalty",
        "RandomMask": f"{__name__}.random_mask:RandomMask",
        "SparsityMonitor": f"{__name__}.sparsity_monitor:SparsityMonitor",
        "StraightThrough": f"{__name__}.straight_through:StraightThrough",
    },
)
