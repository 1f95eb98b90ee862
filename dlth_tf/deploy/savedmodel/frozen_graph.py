"""A network as one graph without variables: nodes that compute, and its floating-point numbers as NumPy arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.node_def_pb2 import NodeDef
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from dlth_tf.deploy.serving import Served
from dlth_tf.errors import BadInput

FLOATS = (tf.float16, tf.float32, tf.float64)


@dataclass
class Frozen:
    """A graph in the making: folding changes it in place.

    Args:
      nodes: name -> node, each after its inputs, without identities and control inputs.
      constants: name -> array, of the nodes' inputs that are floating-point constants.
      outputs: output of the signature -> tensor.
      images: name of the input.
      graph: what else the graph holds: the functions of loops and branches, and its version.
    """

    nodes: dict[str, NodeDef]
    constants: dict[str, np.ndarray]
    outputs: dict[str, str]
    images: str
    graph: tf.compat.v1.GraphDef

    def uses(self) -> Counter[str]:
        """How often each tensor is used, as an input or as an output of the signature."""
        return Counter([name for node in self.nodes.values() for name in node.input] + list(self.outputs.values()))

    def prune(self) -> None:
        """Takes away what no output needs."""
        needed, open_ends = set(), [_node_of(name) for name in self.outputs.values()]
        while open_ends:
            name = open_ends.pop()
            if name not in needed:
                needed.add(name)
                open_ends += [_node_of(source) for source in self.nodes[name].input] if name in self.nodes else []
        self.nodes = {name: node for name, node in self.nodes.items() if name in needed}
        self.constants = {name: value for name, value in self.constants.items() if name in needed}


def freeze(served: Served, form: str) -> Frozen:
    """The graph of the signature with the variables' values in it.

    Args:
      served: what is exported.
      form: named in the error.

    Raises:
      BadInput: the network holds something that is no variable (a lookup table, say).
    """
    function = served.serve.get_concrete_function()
    fixed = convert_variables_to_constants_v2(function, lower_control_flow=False)
    graph = fixed.graph.as_graph_def()
    nodes = {node.name: node for node in graph.node if node.op != "NoOp"}
    images = fixed.inputs[0].op.name
    for node in nodes.values():
        if node.op == "Placeholder" and node.name != images:
            raise BadInput("formats", form, f"cannot hold this network: {node.name} is neither an input nor a variable")
    for node in nodes.values():
        sources = [_resolved(source, nodes) for source in node.input if not source.startswith("^")]
        del node.input[:]
        node.input.extend(sources)
    names = dict(
        zip(sorted(function.structured_outputs), fixed.outputs, strict=True)
    )  # tf.nest's order of a dictionary
    outputs = {name: _resolved(tensor.op.name, nodes) for name, tensor in names.items()}
    constants = {
        node.name: tf.make_ndarray(node.attr["value"].tensor) for node in nodes.values() if _is_float_constant(node)
    }
    inner = {name: node for name, node in nodes.items() if name not in constants and name != images}
    frozen = Frozen(
        inner, constants, outputs, images, tf.compat.v1.GraphDef(library=graph.library, versions=graph.versions)
    )
    frozen.prune()
    return frozen


def shortened(frozen: Frozen) -> tuple[tf.compat.v1.GraphDef, dict[str, str]]:
    """The graph under names of a few letters, and old name -> new name; constants and images are left to be fed."""
    new = {name: f"n{index:x}" for index, name in enumerate([frozen.images, *frozen.constants, *frozen.nodes])}
    graph = tf.compat.v1.GraphDef()
    graph.CopyFrom(frozen.graph)
    for name, node in frozen.nodes.items():
        renamed = graph.node.add()
        renamed.CopyFrom(node)
        renamed.name = new[name]
        del renamed.input[:]
        renamed.input.extend(_renamed(new, source) for source in node.input)
    return graph, new


def imported(
    frozen: Frozen, graph: tf.compat.v1.GraphDef, new: Mapping[str, str], inputs: Mapping[str, tf.Tensor]
) -> dict[str, tf.Tensor]:
    """The outputs of the signature, of a graph that `shortened` made and that is put into the one that is being built."""
    tensors = {name: _renamed(new, tensor) for name, tensor in frozen.outputs.items()}
    wanted = [tensor if ":" in tensor else f"{tensor}:0" for tensor in tensors.values()]
    return dict(zip(tensors, tf.graph_util.import_graph_def(graph, dict(inputs), wanted, name=""), strict=True))


def _renamed(new: Mapping[str, str], tensor: str) -> str:
    name, colon, output = tensor.partition(":")
    return new[name] + colon + output


def _is_float_constant(node: NodeDef) -> bool:
    return node.op == "Const" and tf.as_dtype(node.attr["dtype"].type) in FLOATS


def _resolved(source: str, nodes: dict[str, NodeDef]) -> str:
    """The tensor that a chain of identities passes on."""
    while source in nodes and nodes[source].op == "Identity":
        source = next(name for name in nodes[source].input if not name.startswith("^"))
    return source


def _node_of(tensor: str) -> str:
    return tensor.split(":")[0]
