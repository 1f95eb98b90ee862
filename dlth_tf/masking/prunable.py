"""PrunableWeight: one weight tensor of a wrapped model with its mask and its ticket."""

from __future__ import annotations

import fnmatch
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlth_tf.core.layout import Tensor, layout_of


@dataclass(frozen=True)
class PrunableWeight:
    """One weight tensor with its mask and its ticket, all of the same shape and dtype.

    Attributes:
      name: "layer_name/weight", the key of tickets.
      layer: The layer that holds the weight: the user's own, or one inside it (a Dense in a transformer block).
      weight: Variable of the layer.
      mask: Variable, 1 = not removed (yet), 0 = removed.
      ticket: Variable, 1 = kept by the chosen ticket.
      layer_name: Name of `layer` in the model; "block/feed/up" for a layer inside another.
      outer: The layer of the model that `layer` is, or is inside of.
      stable_name: `name` with automatic layer numbers that count within the model, equal in every process.
      frozen: Whether no training changes the weight, because a layer around it has trainable=False.
      in_use: Function that returns the value the layer computes with, where that is not the weight alone (LoRA).
    """

    name: str
    layer: Any
    weight: Any
    mask: Any
    ticket: Any
    layer_name: str = ""
    outer: Any = None
    frozen: bool = False
    stable_name: str = ""
    in_use: Callable[[], np.ndarray] | None = None

    def is_named(self, pattern: str) -> bool:
        """Returns whether a pattern means the layer: by its name, its path ("block/feed/up"), or a layer around it."""
        parts = self.layer_name.split("/")
        names = {*parts, *itertools.accumulate(parts, "{}/{}".format)}
        return any(fnmatch.fnmatchcase(name, pattern) for name in names)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the weight, and so of mask and ticket."""
        return tuple(self.weight.shape)

    @property
    def dtype(self) -> str:
        """Name of the weight's dtype, such as "float32"."""
        return str(getattr(self.weight.dtype, "name", self.weight.dtype))

    @property
    def layout(self) -> str:
        """Order of the tensor's axes (`core.layout`); transposed convolutions have outputs before inputs."""
        return "transposed" if self.is_kind_of("Transpose") else layout_of(self.name, self.shape)

    def is_kind_of(self, word: str) -> bool:
        """Returns whether the name of the layer's class, or of one that it is made from, contains a word ("Conv")."""
        return any(word in kind.__name__ for kind in type(self.layer).__mro__)

    @property
    def tensor(self) -> Tensor:
        """Shape and layout."""
        return Tensor(self.shape, self.layout)

    def chosen(self) -> np.ndarray:
        """Returns the ticket as booleans, True = kept."""
        return self.ticket.numpy() != 0

    def kept(self) -> np.ndarray:
        """Returns the mask as booleans, True = not removed (yet)."""
        return self.mask.numpy() != 0


def tensors_of(entries: Mapping[str, PrunableWeight]) -> dict[str, Tensor]:
    """Shape and layout of every entry."""
    return {name: entry.tensor for name, entry in entries.items()}
