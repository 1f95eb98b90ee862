"""What a Keras user adds to `fit`: loaded when first used, so that naming a callback does not import TensorFlow."""

from __future__ import annotations

import importlib
from typing import Any

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
