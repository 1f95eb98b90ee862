"""n:m sparsity: keeps n of every m consecutive inputs of an output (Mishra et al., 2021, arXiv:2104.08378, for 2:4)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from dlth_tf.core.groups import Groups, Shape
from dlth_tf.core.layout import as_four_axes, four_axes, from_four_axes
from dlth_tf.core.tiles import does_not_fit


@dataclass(frozen=True)
class NByM:
    """Runs of m consecutive inputs at one position of one output, the axis that sparse hardware multiplies along.

    For an allocation a tensor has m groups: the best weight of every run, the second best of every run, ... So the
    counting rule holds for every single run, in each round of an iterative method too, and the last round ends at
    exactly n.

    Attributes:
      n: Weights of a run that are kept in the end.
      m: Length of a run.
    """

    n: int
    m: int

    @property
    def text(self) -> str:
        """Name in the flag, such as "2:4"."""
        return f"{self.n}:{self.m}"

    @property
    def sparsity(self) -> Fraction:
        """Its own sparsity, 1 - n/m."""
        return 1 - Fraction(self.n, self.m)

    def divide(self, shape: Shape, name: str = "", layout: str = "kernel") -> Groups:
        """Returns the groups of a tensor of this shape; every single weight has a score.

        Raises:
          BadInput: If the number of inputs is not a multiple of m; the message names the tensor.
        """
        positions, parts, inputs, outputs = four_axes(shape, layout)
        if inputs % self.m:
            raise does_not_fit(self.text, name, f"number of inputs, {inputs}, is not a multiple of {self.m}")
        runs = positions * parts * (inputs // self.m) * outputs
        return Groups(tuple(shape), self.m, runs, self.m, (positions, parts, inputs // self.m, self.m, outputs))

    def pool(self, scores: np.ndarray, layout: str = "kernel") -> np.ndarray:
        """Returns the same scores as [positions, parts, runs, m, outputs]."""
        positions, parts, inputs, outputs = four_axes(scores.shape, layout)
        return as_four_axes(scores, layout).reshape(positions, parts, inputs // self.m, self.m, outputs)

    def free(self, within: np.ndarray, name: str = "", layout: str = "kernel") -> tuple[np.ndarray, int]:
        """Returns the weights that an earlier mask has left, and their number in the poorest run."""
        free = self.pool(within, layout)
        return free, int(free.sum(3).min(initial=self.m))

    def keep(self, scores: np.ndarray, kept: int, free: np.ndarray | None = None) -> np.ndarray:
        """Keeps the `kept` highest scores of every run; of equal ones the earlier input is removed first."""
        order = np.argsort(scores, axis=3, kind="stable") if free is None else np.lexsort((scores, free), axis=3)
        mask = np.zeros(scores.shape, bool)
        np.put_along_axis(mask, order[:, :, :, self.m - kept :], True, axis=3)
        return mask

    def expand(self, mask: np.ndarray, shape: Shape, layout: str = "kernel") -> np.ndarray:
        """Returns the mask of weights in the tensor's own shape."""
        return from_four_axes(mask.reshape(four_axes(shape, layout)), shape, layout)
