"""The functions of core.masks with a pruning choice given as loose arguments, for tables of test cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dlth_tf import core
from dlth_tf.core import PruningSpec, Round, Tensor


def choose_masks(
    scores: Mapping[str, np.ndarray],
    sparsity: Any,
    allocation: Any = "uniform",
    granularity: str = "weight",
    *,
    layouts: Mapping[str, str] | None = None,
    **round: Any,
) -> dict[str, np.ndarray]:
    spec = PruningSpec.parse(sparsity, allocation, granularity)
    return core.choose_masks(scores, spec, Round.parse(**round), _tensors(scores, layouts))


def choose_random(
    shapes: Mapping[str, Any], draw: Callable[..., Any], sparsity: Any, allocation: Any = "uniform", **rest: Any
) -> dict[str, np.ndarray]:
    spec = PruningSpec.parse(sparsity, allocation, rest.pop("granularity", "weight"))
    return core.choose_random(shapes, draw, spec, Round.parse(**rest))


def kept_groups(
    shapes: Mapping[str, Any],
    sparsity: Any,
    allocation: Any = "uniform",
    granularity: str = "weight",
    *,
    share: Any = 1,
    layouts: Mapping[str, str] | None = None,
) -> dict[str, int]:
    spec = PruningSpec.parse(sparsity, allocation, granularity)
    arrays = {name: np.empty(shape) for name, shape in shapes.items()}
    return core.kept_groups(_tensors(arrays, layouts) or shapes, spec, share)


def _tensors(arrays: Mapping[str, np.ndarray], layouts: Mapping[str, str] | None) -> dict[str, Any] | None:
    if layouts is None:
        return None
    return {
        name: Tensor(np.shape(array), layouts[name]) if name in layouts else np.shape(array)
        for name, array in arrays.items()
    }
