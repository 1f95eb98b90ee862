"""The network as layer calls on numbered tensors."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
import tf_keras

from dlth_tf.deploy.compaction.kinds import UNKNOWN, Shape, kind_of, why_unknown
from dlth_tf.deploy.stripped import check_stripped
from dlth_tf.errors import BadInput
from dlth_tf.masking.keras2.graph import is_graph_network, nodes, origin


@dataclass(frozen=True)
class LayerCall:
    """One call of a layer.

    Attributes:
      layer: The called layer.
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


def read_graph(model: tf_keras.Model) -> Graph:
    """Reads the graph of a Functional or Sequential model.

    Raises:
      BadInput: If the model is wrapped, or if Keras does not know its graph (subclassed or not built).
    """
    check_stripped(model)
    if not is_graph_network(model):
        reason = "has no known graph to compact: it must be a built Functional or Sequential model"
        raise BadInput("model", model.name, reason)
    uses = Counter(id(node.layer) for node in nodes(model))
    numbers: dict[tuple[int, int, int], int] = {}
    shapes: list[Shape] = []
    calls = []
    for node in nodes(model):
        for tensor in tf.nest.flatten(node.outputs):
            numbers[_identity(tensor)] = len(shapes)
            shapes.append(tuple(tensor.shape))
        inputs = tuple(numbers[_identity(tensor)] for tensor in ([] if node.is_input else node.keras_inputs))
        outputs = tuple(numbers[_identity(tensor)] for tensor in tf.nest.flatten(node.outputs))
        kind, why = _kind(node, uses[id(node.layer)], [shapes[tensor] for tensor in inputs])
        calls.append(LayerCall(node.layer, kind, inputs, outputs, why))
    return Graph(tuple(calls), tuple(shapes), tuple(numbers[_identity(tensor)] for tensor in model.outputs))


def _identity(tensor: Any) -> tuple[int, int, int]:
    layer, call, output = origin(tensor)
    return id(layer), call, output


def _kind(node: Any, uses: int, inputs: list[Shape]) -> tuple[str, str]:
    """Returns the kind of a call, and if it is unknown, why.

    It is also unknown for calls with options, and for layers whose weights or paddings are shared by several calls.
    """
    kind = kind_of(node.layer, inputs)
    if kind == UNKNOWN:
        return UNKNOWN, why_unknown(node.layer, inputs)
    options = [name for name, value in node.call_kwargs.items() if value is not None]
    if node.is_input:
        return kind, ""
    if uses > 1 and (node.layer.weights or getattr(node.layer, "padding", None) is not None):
        return UNKNOWN, f"called {uses} times"
    if options or len(node.call_args) != 1:
        return UNKNOWN, f"called with {' and '.join(options) or 'several arguments'}"
    if len(tf.nest.flatten(node.outputs)) != 1:
        return UNKNOWN, "a layer with several outputs"
    return kind, ""
