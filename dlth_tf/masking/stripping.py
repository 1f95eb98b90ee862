"""Checks before the ordinary model is taken out of a wrapped one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dlth_tf.core.removed_weights import not_zero
from dlth_tf.errors import BadInput
from dlth_tf.masking.prunable import PrunableWeight


def _without_lora(entry: PrunableWeight) -> str:
    value = entry.weight.name.rpartition("/")[2]
    return (
        f"copy what every layer computes with (layer.{value}) into the same network without LoRA, and call "
        "apply_ticket(model, ticket, remove=True) there"
    )


def check_no_addition(model: Any, entry: PrunableWeight) -> None:
    """Checks that nothing that is trained is added to removed weights, as LoRA adds the product of two small kernels.

    Args:
      model: A wrapped model.
      entry: One of its prunable weights.

    Raises:
      BadInput: If it is.
    """
    if entry.in_use is not None and not entry.kept().all():
        what = f"has LoRA in layer {entry.layer_name}, which adds to the removed weights of {entry.name}"
        reason = f"{what}: {_without_lora(entry)}"
        raise BadInput("model", model.name, reason)


def _check_in_use(model: Any, entry: PrunableWeight) -> None:
    """Checks that removed weights are zero also where a layer computes with more than the stored weight."""
    if entry.in_use is not None and (observed := not_zero(entry.in_use(), entry.kept())):
        reason = (
            f"has removed weights in {entry.name} that are not zero in use ({observed}), "
            f"since layer {entry.layer_name} adds LoRA to them: {_without_lora(entry)}"
        )
        raise BadInput("model", model.name, reason)


def check_strippable(model: Any, entries: Mapping[str, PrunableWeight]) -> None:
    """Checks that what the ticket does not keep is removed and zero, and makes every such zero positive.

    Args:
      model: A wrapped model.
      entries: Its prunable weights.

    Raises:
      BadInput: If the ticket was chosen but nothing is removed yet, or removed weights are not zero.
    """
    for name, entry in entries.items():
        kept = entry.kept()
        if np.any(kept & ~entry.chosen()):
            remedy = "let RSTPenalty finish, or apply_ticket(model, ticket, remove=True)"
            raise BadInput(
                "model", model.name, f"has a ticket for {name} but its weights are not removed yet: {remedy}"
            )
        _check_in_use(model, entry)
        weight = entry.weight.numpy()
        if observed := not_zero(weight, kept):
            causes = (
                "a fit without callbacks.KeepMask() or RandomMask(remove=True) changes nearly all of them, a "
                "constraint, an assignment or a train step of your own may change some, and a loss that is not finite "
                "makes kept weights NaN too; masking.remove(model) sets them to zero again"
            )
            raise BadInput(
                "model", model.name, f"has removed weights in {name} that are not zero ({observed}): {causes}"
            )
        if np.signbit(weight[~kept]).any():  # of a product with a mask: -0.0, which compresses worse
            entry.weight.assign(np.where(kept, weight, 0))
