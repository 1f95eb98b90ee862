"""The network of a run, and for small_dense the width at which a dense network has as many parameters as a sparse one has non-zero ones."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import tf_keras

from dlth_tf import masking, models
from dlth_tf.errors import BadInput
from dlth_tf.methods import METHODS
from dlth_tf.runs.config import RunConfig

TRIES = 12  # networks built; parameters grow nearly as the square of the width, so a few come close


def build_network(config: RunConfig, image_shape: tuple[int, ...], classes: int) -> tf_keras.Model:
    """The network of a run, not wrapped, with its initial weights; narrow where the method wants it so."""

    def build(arguments: Mapping[str, Any]) -> tf_keras.Model:
        return models.build(config.model, image_shape, classes, config.seed, arguments)

    arguments = json.loads(config.model_args)
    return build(narrowed_arguments(config, arguments, build) if METHODS.load(config.method).narrows else arguments)


def narrowed_arguments(
    config: RunConfig, arguments: Mapping[str, Any], build: Callable[[Mapping[str, Any]], tf_keras.Model]
) -> dict[str, Any]:
    """The model's arguments with the `width` whose number of trainable parameters comes nearest.

    Args:
      config: says the sparse network's sparsity, allocation, granularity and dense layers.
      arguments: of the full network; a width among them is what is narrowed.
      build: from arguments to a network.

    Raises:
      BadInput: a width that is no number, or the model's builder does not take one.
    """
    full_width = arguments.get("width", 1.0)
    if isinstance(full_width, bool) or not isinstance(full_width, int | float) or not full_width > 0:
        raise BadInput(
            "model_args",
            dict(arguments),
            f"{config.method} narrows the network's width, which must be a number above 0",
        )
    full = masking.wrap(build(arguments))
    ticket = masking.pick_ticket(full, config.spec, "random")
    removed = sum(int(mask.size - mask.sum()) for mask in ticket.values())
    parameters = _trainable(full)

    def count(factor: float) -> int:
        return _trainable(build({**arguments, "width": full_width * factor}))

    return {**arguments, "width": full_width * nearest_factor(count, parameters, parameters - removed)}


def nearest_factor(count: Callable[[float], int], full: int, wanted: int) -> float:
    """The factor in (0, 1] whose count comes nearest to `wanted`, among those tried.

    Args:
      count: parameters at a factor of the full width; grows with it.
      full: at factor 1.
      wanted: at most `full`.

    >>> round(nearest_factor(lambda factor: int(10_000 * factor**2), 10_000, 400), 3)
    0.2
    """
    low, high = (0.0, 0), (1.0, full)
    best = high
    for _ in range(TRIES):
        if best[1] == wanted:
            break
        share = (
            (math.sqrt(wanted) - math.sqrt(low[1])) / (math.sqrt(high[1]) - math.sqrt(low[1]))
            if high[1] > low[1]
            else 0.5
        )
        factor = low[0] + (high[0] - low[0]) * min(max(share, 0.1), 0.9)
        found = (factor, count(factor))
        best = min(best, found, key=lambda pair: abs(pair[1] - wanted))
        low, high = (found, high) if found[1] < wanted else (low, found)
    return best[0]


def _trainable(model: tf_keras.Model) -> int:
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)
