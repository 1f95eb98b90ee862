"""The network of a run; for small_dense, a width with as many parameters as the sparse network has non-zero ones."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import tf_keras

from dlth_tf import masking, models
from dlth_tf.data import Outline
from dlth_tf.errors import BadInput
from dlth_tf.methods import METHODS, Recipe
from dlth_tf.plain_numbers import ABOVE_0, real_number
from dlth_tf.runs.compact_phase import check_compactable
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.config_checks import COMPACT
from dlth_tf.runs.plan import make_recipe
from dlth_tf.runs.recipe import lay_out
from dlth_tf.runs.weights import load_initial_weights

TRIES = 12  # networks built; parameters grow nearly as the square of the width, so a few come close


def prepare_network(config: RunConfig, outline: Outline) -> tuple[Recipe, tf_keras.Model]:
    """Returns the recipe and the wrapped model for data with this outline.

    Raises:
      BadInput: If a batch is larger than the data, or the model or the ticket cannot be built as configured.
    """
    recipe = make_recipe(config, outline.examples)
    model = build_model(config, outline)
    masking.named_weights(model)
    masking.prunable_of_ticket(model, recipe.spec)
    method = METHODS.load(config.method)
    if config.sparsity and not method.narrows:
        masking.check_fits(model, recipe.spec)
    if config.finetune == COMPACT and method.needs_sparsity and not method.narrows:
        check_compactable(lay_out(config.method, recipe), model)
    return recipe, model


def build_model(config: RunConfig, outline: Outline) -> tf_keras.Model:
    """Builds the wrapped network that the method starts with."""
    model = build_network(config, outline.image_shape, outline.num_classes)
    if config.init_weights:
        load_initial_weights(model, config.init_weights)
    return masking.wrap(model)


def build_network(config: RunConfig, image_shape: tuple[int, ...], classes: int) -> tf_keras.Model:
    """Builds the network of a run with its initial weights, not wrapped; narrow if the method requires it."""

    def build(arguments: Mapping[str, Any]) -> tf_keras.Model:
        return models.build(config.model, image_shape, classes, config.seed, arguments)

    arguments = json.loads(config.model_args)
    return build(narrowed_arguments(config, arguments, build) if METHODS.load(config.method).narrows else arguments)


def narrowed_arguments(
    config: RunConfig, arguments: Mapping[str, Any], build: Callable[[Mapping[str, Any]], tf_keras.Model]
) -> dict[str, Any]:
    """Returns the model arguments with the `width` whose parameter count is closest to that of the sparse network.

    Args:
      config: Configuration with the sparsity, allocation, granularity and dense layers of the sparse network.
      arguments: Arguments of the full network; its width, 1 by default, is reduced.
      build: Builds a network from arguments.

    Raises:
      BadInput: If the width is not a number above 0, or the model builder does not accept one.
    """
    try:
        full_width = real_number("width", arguments.get("width", 1.0), ABOVE_0)
    except BadInput as refused:
        allowed = f"{config.method} reduces the width of the network, which {refused.allowed}"
        raise BadInput("model_args", dict(arguments), allowed) from None
    full = masking.wrap(build(arguments))
    ticket = masking.pick_ticket(full, config.spec, "random")
    removed = sum(int(mask.size - mask.sum()) for mask in ticket.values())
    parameters = _trainable(full)

    def count(factor: float) -> int:
        return _trainable(build({**arguments, "width": full_width * factor}))

    return {**arguments, "width": full_width * nearest_factor(count, parameters, parameters - removed)}


def nearest_factor(count: Callable[[float], int], full: int, target: int) -> float:
    """Returns the factor in (0, 1] whose count is closest to `target`, among those tried.

    Args:
      count: Returns the number of parameters at a factor of the full width; increasing.
      full: Number of parameters at factor 1.
      target: Number of parameters to approximate, at most `full`.

    >>> round(nearest_factor(lambda factor: int(10_000 * factor**2), 10_000, 400), 3)
    0.2
    """
    low = (0.0, 0)
    high = best = (1.0, full)
    for _ in range(TRIES):
        if best[1] == target:
            break
        share = (
            (math.sqrt(target) - math.sqrt(low[1])) / (math.sqrt(high[1]) - math.sqrt(low[1]))
            if high[1] > low[1]
            else 0.5
        )
        factor = low[0] + (high[0] - low[0]) * min(max(share, 0.1), 0.9)
        tried = (factor, count(factor))
        best = min(best, tried, key=lambda pair: abs(pair[1] - target))
        low, high = (tried, high) if tried[1] < target else (low, tried)
    return best[0]


def _trainable(model: tf_keras.Model) -> int:
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)
