"""Filters, units and channels whose weights are all zero and that stay all the same: how many, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dlth_tf.core.layout import as_four_axes, layout_of
from dlth_tf.deploy.compaction import kinds
from dlth_tf.deploy.compaction.arrays import Arrays
from dlth_tf.deploy.compaction.constants import Constants, find_constants
from dlth_tf.deploy.compaction.graph import Graph, LayerCall
from dlth_tf.deploy.compaction.library import library_of
from dlth_tf.deploy.compaction.slots import Slots
from dlth_tf.masking import leaf_layers
from dlth_tf.masking.structure.layer_paths import variables_of, weight_names

WITH_FILTERS = ("kernel", "embeddings")  # ends of the names of weights that have inputs and outputs
FILTERS = "filters"  # or units
CHANNELS = "input channels"
# What a removed filter may leave where everything else of it is gone.
CONSTANT = "kept for the constants that biases and batch norms leave"
LAST = "kept because a layer has at least one"
BORDER = "followed by a zero-padded depthwise convolution, which makes a border of the constant that a filter leaves"


@dataclass(frozen=True)
class Leftover:
    """Filters (or units, or input channels) of one layer that are zero and stay for one reason.

    Attributes:
      layer: Name of the layer.
      what: FILTERS or CHANNELS.
      count: Number of them.
      why: Reason, as what other layers are or do.
    """

    layer: str
    what: str
    count: int
    why: str


@dataclass(frozen=True)
class Zeros:
    """Everything in a network that is zero as a whole.

    Attributes:
      count: Number of filters, units and input channels whose weights are all zero.
      leftovers: Those of them that stay.
    """

    count: int
    leftovers: tuple[Leftover, ...]

    @property
    def held(self) -> bool:
        """True if some stay because of other layers, and not only for the constants that were folded into them."""
        return any(leftover.why not in (CONSTANT, LAST) for leftover in self.leftovers)

    def __str__(self) -> str:
        """Lists what stays, by reason: "4 of g1, 4 of g2: a grouped convolution with groups=2"."""
        by_reason: dict[str, list[str]] = {}
        for left in self.leftovers:
            what = "" if left.what == FILTERS else f" {CHANNELS}" if left.count > 1 else f" {CHANNELS[:-1]}"
            by_reason.setdefault(left.why, []).append(f"{left.count}{what} of {left.layer}")
        return "; ".join(f"{', '.join(layers)}: {why}" for why, layers in by_reason.items())


@dataclass(frozen=True)
class Result:
    """The network after everything that can be taken out has been found.

    Attributes:
      graph: The network.
      slots: Its classes of slots.
      arrays: Its weights after folding.
      dead: bool[classes]: Classes that are taken out.
      pinned: Class -> why it must stay.
      constants: Constants of every tensor after folding.
    """

    graph: Graph
    slots: Slots
    arrays: Arrays
    dead: np.ndarray
    pinned: dict[int, str] = field(default_factory=dict)
    constants: list[Constants] = field(default_factory=list)

    def readers(self, label: int) -> Iterator[tuple[LayerCall, np.ndarray]]:
        """Yields the mixing calls that read a class, and bool[inputs]: which of its slots they read."""
        for call in self.graph.calls:
            if call.kind == kinds.MIXING:
                read = (self.slots.labels[call.input] == label) & self.arrays.reads(call)
                if read.any():
                    yield call, read


def find_zeros(model: Any, graph: Graph, slots: Slots, arrays: Arrays, dead: np.ndarray) -> Zeros:
    """Counts what is zero as a whole in a network, and explains what of it stays.

    Args:
      model: The network before compaction.
      graph: Its graph.
      slots: Its classes of slots.
      arrays: Its weights after folding.
      dead: bool[classes]: Classes that are taken out.
    """
    result = Result(graph, slots, arrays, dead, _pinned(graph, slots), find_constants(graph, arrays))
    zero = {id(layer): _zero_in_and_out(layer) for layer in leaf_layers(model)}
    calls = dict(_calls(graph))
    leftovers: list[Leftover] = []
    count = 0
    for layer in leaf_layers(model):
        for what, flags in zip((CHANNELS, FILTERS), zero[id(layer)], strict=True):
            count += int(flags.sum())
            whys = _whys(result, calls[id(layer)], layer, what, flags) if flags.any() else ()
            leftovers += [Leftover(layer.name, what, number, why) for why, number in Counter(whys).items()]
    return Zeros(count, tuple(leftovers))


def _zero_in_and_out(layer: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns whether each input channel and each output of a layer's kernels has only zero weights, as bool arrays."""
    inputs = [np.zeros(0, bool)]
    outputs = [np.zeros(0, bool)]
    names = weight_names(layer)
    for variable in variables_of(layer):
        name = f"{layer.name}/{names[id(variable)]}"
        if len(variable.shape) > 1 and name.endswith(WITH_FILTERS):
            layout = _layout(layer, name, tuple(variable.shape))
            used = as_four_axes(variable.numpy(), layout) != 0
            outputs.append(~used.any((0, 2)).ravel())
            inputs.append(~used.any((0, 3)).ravel() if layout == "kernel" else np.zeros(0, bool))
    return np.concatenate(inputs), np.concatenate(outputs)


def _layout(layer: Any, name: str, shape: tuple[int, ...]) -> str:
    if library_of(layer).kind_of_type(layer) == kinds.DEPTHWISE:  # Keras 3 calls its kernel `kernel` too
        return "depthwise"
    return "transposed" if "Transpose" in type(layer).__name__ else layout_of(name, shape)


def _calls(graph: Graph) -> Iterator[tuple[int, LayerCall]]:
    """Yields (id of a layer, the call that it is part of), for layers inside nested models too."""
    for call in graph.calls:
        yield id(call.layer), call
        if isinstance(call.layer, library_of(call.layer).Model):
            yield from ((id(inner), call) for inner in leaf_layers(call.layer))


def _pinned(graph: Graph, slots: Slots) -> dict[int, str]:
    """Returns why each pinned class must stay; of several reasons the first in this order."""
    reasons = [(tensor, "an output of the network") for tensor in graph.results]
    for call in graph.calls:
        if call.kind == kinds.UNKNOWN:
            reasons += [(tensor, f"read by {call.layer.name}, {call.why}") for tensor in call.inputs]
    for call in graph.calls:
        if call.kind == kinds.UNKNOWN:
            reasons += [(tensor, f"tied to {call.layer.name}, {call.why}") for tensor in call.outputs]
        elif call.kind == kinds.INPUT:
            reasons += [(tensor, "an input of the network") for tensor in call.outputs]
        elif call.kind in (kinds.MIXING, kinds.DEPTHWISE) and not kinds.elementwise(call.layer):
            activation = kinds.activation_name(call.layer)
            reasons.append((call.output, f"under the activation {activation}, which may mix channels"))
    pinned: dict[int, str] = {}
    for tensor, why in reasons:
        for label in np.unique(slots.labels[tensor]).tolist():
            pinned.setdefault(label, why)
    return pinned


def _whys(result: Result, call: LayerCall, layer: Any, what: str, zero: np.ndarray) -> Sequence[str]:
    """Returns a reason for each zero filter or channel of a layer that stays."""
    if call.kind not in (kinds.MIXING, kinds.DEPTHWISE):
        inside = "" if call.layer is layer else f"inside {call.layer.name}, "
        return [inside + call.why] * int(zero.sum())
    labels = result.slots.labels[call.output if what == FILTERS else call.input][zero]
    why = _why_filter if what == FILTERS else _why_channel
    return [
        result.pinned[label] if result.slots.pinned[label] else why(result, call, label)
        for label in labels[~result.dead[labels]].tolist()
    ]


def _why_channel(result: Result, call: LayerCall, label: int) -> str:
    """Returns why a class stays that `call` does not read."""
    readers = [reader for reader, _ in result.readers(label)]
    others = [reader.layer.name for reader in readers if reader is not call]
    if others:
        return f"also read by {' and '.join(others)}"
    return "part of a flattened channel that is read elsewhere" if readers else LAST


def _why_filter(result: Result, call: LayerCall, label: int) -> str:
    """Returns why a class with a zero filter of `call` stays."""
    readers = list(result.readers(label))
    for reader, read in readers:
        if not result.constants[reader.input].known[read].all():
            return _way(result, label) or f"read by {reader.layer.name}"
    return CONSTANT if readers else LAST


def _way(result: Result, label: int) -> str | None:
    """Returns what makes a class depend on the input, or on the position, although one of its filters is zero."""
    for call in result.graph.calls:
        if call.kind == kinds.JOIN and label in result.slots.labels[call.output]:
            return f"tied by {call.layer.name} ({type(call.layer).__name__}) to filters that are not zero"
        if call.kind == kinds.DEPTHWISE:
            before, after = (
                result.constants[tensor].known[result.slots.labels[tensor] == label]
                for tensor in (call.input, call.output)
            )
            if before.any() and not after.all():
                return BORDER
    return None
