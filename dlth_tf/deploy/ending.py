"""The activation that computes the output of a network, read off its last layer or, where that has none, its graph."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import tensorflow as tf
import tf_keras
from tensorflow.core.framework.node_def_pb2 import NodeDef

from dlth_tf.masking.keras2.graph import exit_layer, is_operation

LINEAR = "linear"
SOFTMAX = "softmax"
UNKNOWN = ""
NORMALIZING = (tf_keras.layers.UnitNormalization, tf_keras.layers.LayerNormalization)
# With weights; that of a vector of zeros and a one is the choice of a row.
PRODUCTS = re.compile(r"(Sparse|Batch|Tensor|Dense)*(MatMul|Conv\d|Einsum|DepthwiseConv)|(Resource)?Gather")
SAME = frozenset({"Identity", "IdentityN", "Cast", "StopGradient", "CheckNumerics", "EnsureShape"})  # the same numbers
SCALING = frozenset({"Mul", "RealDiv", "Div", "DivNoNan"})  # by a number that does not depend on the inputs
# Sums, means, choices and rearrangements of logits are logits.
COMBINING = re.compile(
    r"Add|AddV2|AddN|Sub|Neg|BiasAdd|Concat|ConcatV2|Pack|Unpack|Select|SelectV2|Split|SplitV|Reshape|Squeeze|ExpandDims|"
    r"Transpose|StridedSlice|Slice|Gather|GatherV2|GatherNd|Tile|Pad|PadV2|MirrorPad|ReverseV2|Roll|SpaceToDepth|"
    r"DepthToSpace|SpaceToBatchND|BatchToSpaceND|BroadcastTo|Mean|Sum|Max|Min|AvgPool|AvgPool3D|MaxPool|MaxPool3D|"
    r"FusedBatchNorm\w*|Resize\w+"
)
CHOICES = frozenset({"Gather", "GatherV2", "GatherNd"})  # of rows: of a weight, or of an output
SHAPES = frozenset({"Shape", "ShapeN", "Size", "Rank"})  # not the numbers of the examples
CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})


def ending_of(model: tf_keras.Model, output: Callable[[], Any]) -> str:
    """Returns the activation that computes the only output of a network.

    Args:
      model: The network.
      output: Traces the network in inference mode: the concrete function that returns its output.

    Returns:
      "linear" for sums of products with weights, and their means and rearrangements; otherwise the name of the
      activation or operation ("softmax", "sigmoid"), "a combination of ..." where it is followed by linear ones; ""
      if it is not known.
    """
    layer = exit_layer(tf.nest.flatten(model.output)[0]) if model.inputs else None
    return (layer is not None and _of_layer(layer)) or _of_operations(output())


def _of_layer(layer: tf_keras.layers.Layer) -> str:
    """Returns the activation that a layer applies last; "" if its operations must tell."""
    known = getattr(layer, "ending", None)  # of a whole network of Keras 3
    if isinstance(known, str):
        return known
    if isinstance(layer, tf_keras.layers.Softmax):
        return SOFTMAX
    if isinstance(layer, NORMALIZING):
        return "normalized"
    activation = None if is_operation(layer) else getattr(layer, "activation", None)
    name = LINEAR if activation is None else getattr(activation, "__name__", type(activation).__name__)
    return "" if name == LINEAR else name


def _of_operations(function: Any) -> str:
    """Returns the operation that computes the output of a concrete function."""
    graph = function.graph.as_graph_def()
    functions = {each.signature.name: each for each in graph.library.function}
    given = len(function.inputs) - len(function.captured_inputs)
    live = {tensor.op.name for tensor in function.inputs[:given]}
    nodes = {node.name: node for node in graph.node if node.name not in live}
    ends = _Walk(nodes, live, functions).ends(function.outputs[0].name)
    names = sorted({UNKNOWN if end.startswith("/") else end.lstrip("*") for end in ends})
    if UNKNOWN in names or names == [LINEAR]:
        return names[0]
    combined = len(names) > 1 or any(end.startswith("*") for end in ends)
    return f"a combination of {' and '.join(names)}" if combined else names[0]


class _Walk:
    """Walks from a tensor of a graph, or of the body of a function, back to the operations that compute it.

    Args:
      nodes: Name -> node, each after its inputs.
      live: Names of the inputs that are examples; what does not depend on them are the weights.
      functions: Name -> function that nodes may call.
    """

    def __init__(self, nodes: Mapping[str, NodeDef], live: set[str], functions: Mapping[str, Any]) -> None:
        self.nodes = nodes
        self.functions = functions
        self.inputs = frozenset(live)
        self.live = set(live)
        for node in nodes.values():
            if node.op not in SHAPES and self._live(node.input):
                self.live.add(node.name)

    def _live(self, tensors: Iterable[str]) -> list[str]:
        """Those of the tensors that depend on the examples."""
        return [tensor for tensor in tensors if _node_of(tensor) in self.live]

    def ends(self, tensor: str) -> set[str]:
        """Returns the operations that a tensor comes from: with "*" if they are combined, inputs with "/"."""
        ends: set[str] = set()
        seen: set[tuple[str, str]] = set()
        left = [(tensor, "")]
        while left:
            name, combined = left.pop()
            if (name, combined) in seen:
                continue
            seen.add((name, combined))
            if _node_of(name) in self.inputs:
                ends.add("/" + _node_of(name))
                continue
            node = self.nodes[_node_of(name)]
            sources = self._live(node.input)
            scales = node.op in SCALING and (sources == [node.input[0]] or (len(sources) == 1 and node.op == "Mul"))
            if node.op in CALLS:
                inside = self._called(node, _place(name))
                left += [(node.input[int(end[1:])], "*") for end in inside if end.startswith("/")]
                ends |= {combined + end.lstrip("*" if combined else "") for end in inside if not end.startswith("/")}
            elif node.op in SAME:
                left.append((node.input[_place(name) if node.op == "IdentityN" else 0], combined))
            elif scales or (COMBINING.fullmatch(node.op) and not (node.op in CHOICES and node.input[0] not in sources)):
                left += [(source, "*") for source in sources]
            else:
                ends.add(combined + _name(node))
        return ends

    def _called(self, node: NodeDef, place: int) -> set[str]:
        """The operations inside of a call; an input of the function is "/" and its number."""
        body = self.functions[node.attr["f"].func.name]
        arguments = [argument.name for argument in body.signature.input_arg]
        live = {name for name, source in zip(arguments, node.input, strict=False) if self._live([source])}
        inner = _Walk({each.name: each for each in body.node_def}, live, self.functions)
        ends = inner.ends(body.ret[body.signature.output_arg[place].name])
        return {f"/{arguments.index(end[1:])}" if end.startswith("/") else end for end in ends}


def _name(node: NodeDef) -> str:
    """Returns the name of an operation for `ending_of`."""
    if PRODUCTS.match(node.op):
        return LINEAR
    unknown = not node.input or node.op in SCALING or any(node.attr[name].HasField("func") for name in node.attr)
    return UNKNOWN if unknown else node.op.lower()


def _place(tensor: str) -> int:
    """Returns the number of an output of its node."""
    last = tensor.rpartition(":")[2]
    return int(last) if ":" in tensor and last.isdigit() else 0


def _node_of(tensor: str) -> str:
    return tensor.split(":")[0]
