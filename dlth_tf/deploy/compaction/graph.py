"""The network as layer calls on numbered tensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any

from dlth_tf.deploy.compaction.kinds import UNKNOWN, kind_of, why_unknown
from dlth_tf.deploy.compaction.library import Node, Shape, library_of
from dlth_tf.errors import BadInput
from dlth_tf.masking.structure.layer_paths import all_sublayers


@dataclass(frozen=True)
class LayerCall:
    """One call of a layer.

    Attributes:
      layer: The called layer, or the operation that Keras 3 makes of `x + y`.
      kind: Effect of the layer on channels, one of the kinds in `kinds.py`.
      inputs: Numbers of the input tensors.
      outputs: Numbers of the output tensors; exactly one unless the kind is unknown.
      why: Why the kind is unknown, as what the layer is or how it is called; empty if it is known.
    """

    layer: Any
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    why: str = ""

    @property
    def input(self) -> int:
        """Number of the first input tensor, the only one except for joins, concatenations and unknown kinds."""
        return self.inputs[0]

    @property
    def output(self) -> int:
        """Number of the only output tensor."""
        return self.outputs[0]


@dataclass(frozen=True)
class Graph:
    """A network as layer calls.

    Attributes:
      calls: All calls, each after the calls that compute its inputs.
      shapes: Shapes of all tensors, with the batch axis.
      results: Numbers of the tensors that the model returns.
    """

    calls: tuple[LayerCall, ...]
    shapes: tuple[Shape, ...]
    results: tuple[int, ...]

    def channels(self, tensor: int) -> int:
        """Returns the length of a tensor's last axis; 1 if it is unknown, and then only unknown calls use it."""
        shape = self.shapes[tensor]
        return (shape[-1] or 1) if shape else 1


def read_graph(model: Any) -> Graph:
    """Reads the graph of a Functional or Sequential model.

    Raises:
      BadInput: If Keras does not know its graph (subclassed or not built).
    """
    library = library_of(model)
    nodes = library.nodes(model)
    if nodes is None:
        reason = "has no known graph to compact: it must be a built Functional or Sequential model"
        raise BadInput("model", model.name, reason)
    uses = Counter(id(node.layer) for node in nodes)
    inside = dict(_inside(nodes))
    numbers: dict[Hashable, int] = {}
    shapes: list[Shape] = []
    calls = []
    for node in nodes:
        for key, shape in node.outputs.items():
            numbers[key] = len(shapes)
            shapes.append(shape)
        inputs = tuple(numbers[key] for key in node.inputs)
        kind, why = _kind(node, uses[id(node.layer)], [shapes[tensor] for tensor in inputs])
        if id(node.layer) in inside and kind != UNKNOWN and weights_of(node.layer):
            kind, why = UNKNOWN, f"which is also a part of {inside[id(node.layer)]}"
        calls.append(LayerCall(node.layer, kind, inputs, tuple(numbers[key] for key in node.outputs), why))
    return Graph(tuple(calls), tuple(shapes), tuple(numbers[key] for key in library.results(model)))


def _kind(node: Node, uses: int, inputs: list[Shape]) -> tuple[str, str]:
    """Returns the kind of a call, and if it is unknown, why.

    It is also unknown for calls with options, and for layers whose weights or paddings are shared by several calls.
    """
    kind = kind_of(node.layer, inputs)
    if kind == UNKNOWN:
        return UNKNOWN, why_unknown(node.layer, inputs)
    if node.is_input:
        return kind, ""
    if uses > 1 and (weights_of(node.layer) or getattr(node.layer, "padding", None) is not None):
        return UNKNOWN, f"called {uses} times"
    if node.options or not node.plain:
        return UNKNOWN, f"called with {' and '.join(node.options) or 'several arguments'}"
    if len(node.outputs) != 1:
        return UNKNOWN, "a layer with several outputs"
    return kind, ""


def _inside(nodes: list[Node]) -> Iterator[tuple[int, str]]:
    """Yields the id of every layer inside another one, and the name of that one."""
    for layer in {id(node.layer): node.layer for node in nodes if weights_of(node.layer)}.values():
        yield from ((id(part), layer.name) for part in all_sublayers(layer))


def weights_of(layer: Any) -> list[Any]:
    """Returns the weights of a layer; an operation has none."""
    return getattr(layer, "weights", [])
