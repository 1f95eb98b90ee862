"""The network as steps from tensors to tensors."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
import tf_keras

from dlth_tf.deploy.compaction.kinds import UNKNOWN, Shape, kind_of
from dlth_tf.errors import BadInput
from dlth_tf.masking import leaf_layers
from dlth_tf.masking.keras2.tfmot import PruneLowMagnitude


@dataclass(frozen=True)
class LayerCall:
    """One call of a layer.

    Attributes:
      layer: what is called.
      kind: what it does to channels (`kinds.py`).
      inputs: numbers of the tensors that it takes.
      outputs: numbers of those that it gives; one, unless the kind is unknown.
    """

    layer: Any
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @property
    def input(self) -> int:
        """The only input."""
        return self.inputs[0]

    @property
    def output(self) -> int:
        """The only output."""
        return self.outputs[0]


@dataclass(frozen=True)
class Graph:
    """A network.

    Attributes:
      steps: in an order in which they can be computed.
      shapes: of every tensor, with the batch axis.
      results: numbers of the tensors that the model returns.
    """

    steps: tuple[LayerCall, ...]
    shapes: tuple[Shape, ...]
    results: tuple[int, ...]

    def channels(self, tensor: int) -> int:
        """Length of a tensor's last axis; 1 if it is not known, and then only unknown steps touch it."""
        shape = self.shapes[tensor]
        return (shape[-1] or 1) if shape else 1


def read(model: tf_keras.Model) -> Graph:
    """The graph of a Functional or Sequential model.

    Raises:
      BadInput: a wrapped model; a subclassed model or one that is not built, whose graph Keras does not know.
    """
    for layer in leaf_layers(model):
        if isinstance(layer, PruneLowMagnitude):
            raise BadInput(
                "model", model.name, f"is wrapped (layer {layer.name}): call model = dlth_tf.strip(model) first"
            )
    if not getattr(model, "_is_graph_network", False):
        raise BadInput(
            "model",
            model.name,
            "has no graph that could be made smaller: it must be a built Functional or Sequential model",
        )
    nodes = [node for depth in sorted(model._nodes_by_depth, reverse=True) for node in model._nodes_by_depth[depth]]
    uses = Counter(id(node.layer) for node in nodes)
    numbers: dict[tuple[int, int, int], int] = {}
    shapes: list[Shape] = []
    steps = []
    for node in nodes:
        given, made = [] if node.is_input else node.keras_inputs, tf.nest.flatten(node.outputs)
        for tensor in made:
            numbers[_place(tensor)] = len(shapes)
            shapes.append(tuple(tensor.shape))
        inputs, outputs = (tuple(numbers[_place(tensor)] for tensor in tensors) for tensors in (given, made))
        steps.append(
            LayerCall(
                node.layer, _kind(node, uses[id(node.layer)], [shapes[tensor] for tensor in inputs]), inputs, outputs
            )
        )
    return Graph(tuple(steps), tuple(shapes), tuple(numbers[_place(tensor)] for tensor in model.outputs))


def _place(tensor: Any) -> tuple[int, int, int]:
    """Which output of which call of which layer a tensor is."""
    layer, call, output = tensor._keras_history
    return id(layer), call, output


def _kind(node: Any, uses: int, inputs: list[Shape]) -> str:
    """Unknown are also calls with options of their own, and layers whose weights or paddings serve several calls."""
    options = [value for value in node.call_kwargs.values() if value is not None]
    shared = uses > 1 and (node.layer.weights or getattr(node.layer, "padding", None) is not None)
    plain = len(node.call_args) == 1 and len(tf.nest.flatten(node.outputs)) == 1 and not options and not shared
    return kind_of(node.layer, inputs) if plain or node.is_input else UNKNOWN
