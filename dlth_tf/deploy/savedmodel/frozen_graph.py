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
    """A frozen graph, which folding changes in place.

    Args:
      nodes: Name -> node, each after its inputs, without identities and control inputs.
      constants: Name -> array, for the nodes' inputs that are floating-point constants.
      outputs: Output of the signature -> tensor.
      inputs: Input of the signature -> name of its placeholder.
      graph: The remaining parts of the graph: the functions of loops and branches, and its version.
    """

    nodes: dict[str, NodeDef]
    constants: dict[str, np.ndarray]
    outputs: dict[str, str]
    inputs: dict[str, str]
    graph: tf.compat.v1.GraphDef

    def uses(self) -> Counter[str]:
        """Counts how often each tensor is used, as an input or as an output of the signature."""
        return Counter([name for node in self.nodes.values() for name in node.input] + list(self.outputs.values()))

    def prune(self) -> None:
        """Removes the nodes and constants that no output needs."""
        needed: set[str] = set()
        open_ends = [node_of(name) for name in self.outputs.values()]
        while open_ends:
            name = open_ends.pop()
            if name not in needed:
                needed.add(name)
                open_ends += [node_of(source) for source in self.nodes[name].input] if name in self.nodes else []
        self.nodes = {name: node for name, node in self.nodes.items() if name in needed}
        self.constants = {name: value for name, value in self.constants.items() if name in needed}


@dataclass(frozen=True)
class ShortGraph:
    """A frozen graph whose nodes have names of a few letters.

    Args:
      graph: The graph. Images and constants are not part of it; they are fed, or added under their short names.
      names: Name in the frozen graph -> short name.
      outputs: Output of the signature -> tensor, with its short name.
    """

    graph: tf.compat.v1.GraphDef
    names: Mapping[str, str]
    outputs: Mapping[str, str]

    def outputs_for(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Imports the graph into the one under construction and returns the outputs of the signature.

        Args:
          inputs: Tensors of the images and constants, by their names in the frozen graph. Those that no node reads may
            be outputs themselves.
        """
        given = {self.names[name]: tensor for name, tensor in inputs.items()}
        read = {node_of(source) for node in self.graph.node for source in node.input}
        fed = {name: tensor for name, tensor in given.items() if name in read}
        computed = {output: tensor for output, tensor in self.outputs.items() if tensor not in given}
        wanted = [tensor if ":" in tensor else f"{tensor}:0" for tensor in computed.values()]
        imported = tf.graph_util.import_graph_def(self.graph, fed, wanted, name="")
        found = dict(zip(computed, imported, strict=True))
        return {
            output: found[output] if output in found else tf.identity(given[tensor])
            for output, tensor in self.outputs.items()
        }


def freeze(served: Served, form: str) -> Frozen:
    """Builds the graph of the signature with the variables' values in it.

    Args:
      served: The module to export.
      form: Name of the form, for the error message.

    Raises:
      BadInput: If the network contains something that is not a variable, such as a lookup table.
    """
    function = served.serve.get_concrete_function()
    constant = convert_variables_to_constants_v2(function, lower_control_flow=False)
    graph = constant.graph.as_graph_def()
    for node in [*graph.node, *(node for function in graph.library.function for node in function.node_def)]:
        node.attr.pop("_gradient_op_type", None)  # nobody differentiates an export, which has no such gradient
    nodes = {node.name: node for node in graph.node if node.op != "NoOp"}
    # The inputs come in the order of the signature; lookup tables, which cannot be held, after them.
    inputs = dict(zip(served.specs, (tensor.op.name for tensor in constant.inputs), strict=False))
    for node in nodes.values():
        if node.op == "Placeholder" and node.name not in inputs.values():
            raise BadInput("formats", form, f"cannot hold this network: {node.name} is neither an input nor a variable")
    for node in nodes.values():
        sources = [_resolved(source, nodes) for source in node.input if not source.startswith("^")]
        del node.input[:]
        node.input.extend(sources)
    # tf.nest orders the outputs by the keys of the dictionary.
    named_outputs = zip(sorted(function.structured_outputs), constant.outputs, strict=True)
    outputs = {name: _resolved(tensor.name.removesuffix(":0"), nodes) for name, tensor in named_outputs}
    constants = {
        node.name: tf.make_ndarray(node.attr["value"].tensor) for node in nodes.values() if _is_float_constant(node)
    }
    inner = {name: node for name, node in nodes.items() if name not in constants and name not in inputs.values()}
    rest = tf.compat.v1.GraphDef(library=graph.library, versions=graph.versions)
    frozen = Frozen(inner, constants, outputs, inputs, rest)
    frozen.prune()
    return frozen


def shorten(frozen: Frozen) -> ShortGraph:
    """Copies the graph with names of a few letters."""
    names = {
        name: f"n{index:x}" for index, name in enumerate([*frozen.inputs.values(), *frozen.constants, *frozen.nodes])
    }
    graph = tf.compat.v1.GraphDef()
    graph.CopyFrom(frozen.graph)
    for name, node in frozen.nodes.items():
        renamed = graph.node.add()
        renamed.CopyFrom(node)
        renamed.name = names[name]
        del renamed.input[:]
        renamed.input.extend(_renamed(names, source) for source in node.input)
    return ShortGraph(graph, names, {name: _renamed(names, tensor) for name, tensor in frozen.outputs.items()})


def _renamed(names: Mapping[str, str], tensor: str) -> str:
    name, colon, output = tensor.partition(":")
    return names[name] + colon + output


def _is_float_constant(node: NodeDef) -> bool:
    return node.op == "Const" and tf.as_dtype(node.attr["dtype"].type) in FLOATS


def _resolved(source: str, nodes: dict[str, NodeDef]) -> str:
    """Returns the tensor at the start of a chain of identities."""
    while source in nodes and nodes[source].op == "Identity":
        source = next(name for name in nodes[source].input if not name.startswith("^"))
    return source


def node_of(tensor: str) -> str:
    """Returns the name of the node that a tensor is an output of."""
    return tensor.split(":")[0]
