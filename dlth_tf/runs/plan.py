"""From a RunConfig and the size of the data to the phases of its method."""

from __future__ import annotations

import math

from dlth_tf.errors import BadInput
from dlth_tf.methods import METHODS, LearningRate, Phase, Recipe
from dlth_tf.runs.config import PICKS, RunConfig
from dlth_tf.runs.duration import Duration


def make_recipe(config: RunConfig, examples: int) -> Recipe:
    """Resolves everything to steps.

    Args:
      config: of the run.
      examples: number of training images.

    Raises:
      BadInput: a batch larger than the data.
    """
    for name in ("batch_size", "transform_batch_size"):
        if getattr(config, name) > examples:
            raise BadInput(
                name,
                getattr(config, name),
                f"must be at most {examples}, the number of training images of {config.dataset}",
            )
    steps_of = {
        name: Duration.parse(getattr(config, name) or config.epochs).steps(examples // config.batch_size)
        for name in ("epochs", "round_epochs")
    }
    rewind_step = Duration.parse(config.rewind_step, "it").steps(examples // config.batch_size)
    if rewind_step >= min(steps_of.values()):
        raise BadInput(
            "rewind_step", config.rewind_step, f"must be below {min(steps_of.values())}, the number of steps of a round"
        )
    per_epoch, transform_per_epoch = examples // config.batch_size, examples // config.transform_batch_size
    return Recipe(
        spec=config.spec,
        seed=config.seed,
        ticket_pick=PICKS[config.ticket_pick],
        train_steps=steps_of["epochs"],
        batch_size=config.batch_size,
        learning_rate=LearningRate(*config.rates(per_epoch)),
        penalty=config.penalty(transform_per_epoch),
        transform_batch_size=config.transform_batch_size,
        transform_lr=config.transform_lr,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        cycles=config.cycles,
        round_steps=steps_of["round_epochs"],
        rewind_step=rewind_step,
        delete_between_cycles=config.delete_between_cycles,
        finetune_between_cycles=config.finetune_between_cycles,
        steps_per_epoch=per_epoch,
        trained=config.init_weights is not None,
    )


def make_phases(config: RunConfig, recipe: Recipe) -> list[Phase]:
    """The phases of the configuration's method."""
    return METHODS.load(config.method).phases(recipe)


def epochs_of(phase: Phase, examples: int) -> int:
    """Epochs that a phase touches, the last one perhaps in part."""
    return math.ceil(phase.steps / (examples // phase.batch_size))


def describe(phases: list[Phase], examples: int, macs: int) -> list[dict[str, object]]:
    """One row per phase: name, steps, epochs, images, multiply-adds if nothing were sparse, batch size and learning rate.

    Args:
      phases: of a method.
      examples: number of training images.
      macs: multiply-adds of training on one image.
    """
    return [
        {
            "phase": phase.name,
            "steps": phase.steps,
            "epochs": round(phase.steps / (examples // phase.batch_size), 2),
            "images": phase.steps * phase.batch_size,
            "dense_macs": f"{macs * phase.steps * phase.batch_size:.3g}",
            "batch_size": phase.batch_size,
            "lr": " ".join(
                [
                    f"{phase.learning_rate.values[0]:g}",
                    *(
                        f"{v:g}@{b}"
                        for v, b in zip(phase.learning_rate.values[1:], phase.learning_rate.boundaries, strict=True)
                    ),
                ]
            ),
        }
        for phase in phases
    ]
