"""Tickets of unnamed layers, whose automatic numbers are others when the same network is built again."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping

import numpy as np

from dlth_tf.errors import BadInput
from dlth_tf.masking.prunable import PrunableWeight

Masks = Mapping[str, np.ndarray]


def of_rebuilt(masks: Masks, entries: Mapping[str, PrunableWeight]) -> Masks:
    """Returns the masks under the names that a model's weights have, if it is the same network built again.

    Keras numbers unnamed layers through the whole process ("dense_7"), so that all numbers of a type are larger by the
    same amount in a network that is built again. Where the names of a ticket are not those of the model, and exactly
    one such amount makes them so, with the same shapes, the ticket is that of the network.

    Args:
      masks: Tensor name -> boolean mask.
      entries: The prunable weights of the model.

    Raises:
      BadInput: If several amounts fit.
    """
    if masks.keys() <= entries.keys():
        return masks
    renamed = {name: name for name in masks}
    shapes = {name: entry.shape for name, entry in entries.items()}
    for base, numbers in _numbered(masks).items():
        own = _numbered(entries).get(base, {})
        fitting = [
            dict(zip(_flat(numbers), _flat(moved), strict=True))
            for moved in _moved(numbers, own)
            if all(masks[a].shape == shapes[b] for a, b in zip(_flat(numbers), _flat(moved), strict=True))
        ]
        if len(fitting) > 1:
            reason = f"could mean {len(fitting)} sets of the model's unnamed layers of this type: give layers names"
            raise BadInput("ticket", next(iter(fitting[0])), reason)
        renamed |= fitting[0] if fitting else {}
    return {renamed[name]: mask for name, mask in masks.items()}


def _numbered(names: Mapping[str, object]) -> dict[str, dict[int, dict[str, str]]]:
    """Layer name without its number -> number -> weight -> full name."""
    found: dict[str, dict[int, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
    for name in names:
        layer, _, weight = name.partition("/")
        match = re.fullmatch(r"(.+?)(?:_(\d+))?", layer)
        if match:
            found[match[1]][int(match[2] or 0)][weight] = name
    return found


def _moved(
    numbers: Mapping[int, Mapping[str, str]], own: Mapping[int, Mapping[str, str]]
) -> Iterator[dict[int, dict[str, str]]]:
    """The model's layers whose numbers are those of the ticket, all larger or smaller by one amount."""
    first = min(numbers)
    for start in own:
        amount = start - first
        moved = {number: own.get(number + amount, {}) for number in numbers}
        if all(numbers[number].keys() <= moved[number].keys() for number in numbers):
            yield {number: {weight: moved[number][weight] for weight in numbers[number]} for number in numbers}


def _flat(numbered: Mapping[int, Mapping[str, str]]) -> list[str]:
    return [name for number in sorted(numbered) for _, name in sorted(numbered[number].items())]
