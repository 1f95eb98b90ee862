"""Dry run of one configuration: its phases and its layers, without training."""

from __future__ import annotations

import logging
from typing import Any

from dlth_tf import data as data_room
from dlth_tf import masking
from dlth_tf.core.global_threshold import global_threshold
from dlth_tf.masking.macs import kernel_positions, training_macs
from dlth_tf.methods import METHODS, LearningRate, Phase, Recipe
from dlth_tf.methods.actions import draw_ticket
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.devices.context import machine
from dlth_tf.runs.devices.replicas import rate_factor
from dlth_tf.runs.inputs import check_outline
from dlth_tf.runs.network import prepare_network
from dlth_tf.runs.plan import make_phases, out_of_proportion

LATER = "its share is known once the ticket is drawn"


def dry_run(config: RunConfig) -> tuple[list[dict[str, object]], Any, str]:
    """Plans a run without training or writing anything.

    Returns:
      The phases as rows; the layer table with the ticket drawn, a pandas.DataFrame; and the source of the data set's
      sizes.
    """
    with machine(config) as strategy, strategy.scope():
        outline = data_room.outline(config.dataset, config.data_dir, config.targets)
        check_outline(config, outline)
        recipe, model = prepare_network(config, outline)
        macs, _ = training_macs(model, kernel_positions(model, outline.image_shape), {})
        phases = make_phases(config.method, recipe, rate_factor(config.scale_lr))
        layers = _layers(config, recipe, model, is_drawn=draw_ticket in phases[0].start)
        if warning := out_of_proportion(phases, recipe):
            logging.getLogger("dlth_tf").warning(warning)
        return describe(phases, outline.examples, macs), layers, outline.known_from


def _layers(config: RunConfig, recipe: Recipe, model: Any, is_drawn: bool) -> Any:
    """Returns the layer table with the shares that are known before training.

    Those of a global allocation are the outcome of comparing the weights of all layers when the ticket is drawn.

    Args:
      config: Configuration of the run.
      recipe: Its recipe.
      model: Its wrapped network.
      is_drawn: Whether the ticket is drawn from the initial network, so that it is that of the run.
    """
    if config.sparsity and not METHODS.load(config.method).narrows:
        pick = recipe.ticket_pick if is_drawn else "random"
        masking.apply_ticket(model, masking.pick_ticket(model, recipe.spec, pick, config.seed))
    layers = masking.layer_table(model, masking.why_whole(model, recipe.spec))
    if not is_drawn and recipe.spec.allocation is global_threshold:
        pruned = layers["status"] == "pruned"
        layers["kept"] = layers["kept"].astype(object)
        layers.loc[pruned, ["kept", "why"]] = "", LATER
    return layers


def describe(phases: list[Phase], examples: int, macs: int) -> list[dict[str, object]]:
    """Returns one row per phase: steps, epochs, examples, multiply-adds if dense, batch size, learning rate.

    Args:
      phases: The phases of a run.
      examples: Number of training images.
      macs: Multiply-adds of training the dense network on one image.
    """
    return [
        {
            "phase": phase.name,
            "steps": phase.steps,
            "epochs": round(phase.steps / (examples // phase.batch_size), 2),
            "examples": phase.steps * phase.batch_size,
            "dense_macs": f"{macs * phase.steps * phase.batch_size:.3g}",
            "batch_size": phase.batch_size,
            "lr": _schedule(phase.learning_rate),
        }
        for phase in phases
    ]


def _schedule(rate: LearningRate) -> str:
    """The first learning rate, then each VALUE@STEP."""
    changes = zip(rate.values[1:], rate.boundaries, strict=True)
    return " ".join([f"{rate.values[0]:g}", *(f"{value:g}@{step}" for value, step in changes)])
