"""The report of a compaction: what is smaller, and what could not be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dlth_tf.deploy.compaction.leftovers import Zeros


@dataclass(frozen=True)
class Report:
    """The comparison of a network with its compact one.

    Attributes:
      parameters: Number of parameters before and after.
      kernels: Layer name -> [shape before, shape after] for every layer with a kernel.
      zeros: Filters, units and channels that are zero as a whole, and why some of them stay.
    """

    parameters: tuple[int, int]
    kernels: Mapping[str, list[list[int]]]
    zeros: Zeros

    def sentences(self) -> Iterator[str]:
        """Yields one sentence about the network, and one about every layer that could have been smaller."""
        before, after = self.parameters
        smaller = sum(old != new for old, new in self.kernels.values())
        layers = f"{smaller} of {len(self.kernels)} layers with a kernel are smaller"
        yield f"compact: {after:,} of {before:,} parameters remain; {layers}."
        for left in self.zeros.leftovers:
            what, verb = (left.what[:-1], "stays") if left.count == 1 else (left.what, "stay")
            yield f"compact: {left.layer}: {left.count} {what} whose weights are all zero {verb}: {left.why}."


def kernel_shapes(before: Any, after: Any) -> dict[str, list[list[int]]]:
    """Returns layer name -> [shape in `before`, shape in `after`] for every layer with a kernel.

    Args:
      before: Model that was compacted.
      after: `compact(before)`.
    """
    old, new = ({layer.name: _kernel_shape(layer) for layer in model.layers} for model in (before, after))
    return {name: [shape, new[name]] for name, shape in old.items() if shape}


def _kernel_shape(layer: Any) -> list[int]:
    kernel = getattr(layer, "depthwise_kernel", getattr(layer, "kernel", None))
    return [] if kernel is None else list(kernel.shape)
