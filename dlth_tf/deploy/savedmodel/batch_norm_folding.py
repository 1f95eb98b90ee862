"""Folds batch normalization into the preceding convolution or dense layer.

At inference, batch norm computes y = scale * x + shift per channel, with scale = gamma / sqrt(variance + epsilon) and
shift = beta - scale * mean (Ioffe and Szegedy, ICML 2015, algorithm 2). If it is the only consumer of a kernel W and a
bias b, they become scale * W and scale * b + shift; zeros stay zeros. All other batch norms stay as they are: after
another operation (addition, pooling), after a result that is used elsewhere too, or after a kernel that is used twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.attr_value_pb2 import AttrValue
from tensorflow.core.framework.node_def_pb2 import NodeDef

from dlth_tf.deploy.savedmodel.frozen_graph import Frozen

KERNELS = ("Conv2D", "DepthwiseConv2dNative", "MatMul")
BIASES = ("BiasAdd", "AddV2")
ARITHMETIC: dict[str, Any] = {
    "AddV2": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Rsqrt": lambda x: 1 / np.sqrt(x),
}


@dataclass(frozen=True)
class Affine:
    """The function y = scale * x + shift per channel.

    Args:
      source: Name of the tensor x.
      scale: float64[channels].
      shift: float64[channels].
    """

    source: str
    scale: np.ndarray
    shift: np.ndarray


def fold_batch_norms(frozen: Frozen) -> int:
    """Folds all batch norms that can be folded exactly, in place.

    Returns:
      Number of folded batch norms.
    """
    _compute_vectors(frozen)
    return sum(_fold(frozen, name) for name in list(frozen.nodes) if name in frozen.nodes)


def _compute_vectors(frozen: Frozen) -> None:
    """Computes nodes that depend on constant vectors alone.

    After dense layers, Keras writes batch norm as single operations.
    """
    for name, node in list(frozen.nodes.items()):
        values: list[Any] = [frozen.constants.get(source) for source in node.input]
        if node.op in ARITHMETIC and all(value is not None and value.ndim <= 1 for value in values):
            exact = ARITHMETIC[node.op](*(value.astype(np.float64) for value in values))
            frozen.constants[name] = np.asarray(exact, values[0].dtype)
            del frozen.nodes[name]
    frozen.prune()  # the vectors that nothing needs any more


def _fold(frozen: Frozen, name: str) -> bool:
    """Folds the batch norm that ends in this node, and returns whether there was one to fold."""
    affine = _affine(frozen, frozen.nodes[name])
    if affine is None:
        return False
    uses = frozen.uses()
    source = affine.source
    bias = np.zeros(1)
    if _is_bias(frozen, source) and uses[source] == 1:
        source, bias_name = frozen.nodes[source].input
        bias = frozen.constants[bias_name]
    kernel_node = frozen.nodes.get(source)
    if kernel_node is None or kernel_node.op not in KERNELS or uses[source] != 1:
        return False
    kernel_name = kernel_node.input[1]
    if kernel_name not in frozen.constants or uses[kernel_name] != 1:
        return False
    if _attribute(kernel_node, "transpose_b").b or not _channels_last(kernel_node):
        return False
    kernel = frozen.constants[kernel_name]
    channels = kernel.shape[-2:] if kernel_node.op == "DepthwiseConv2dNative" else kernel.shape[-1:]
    scale, shift = (np.broadcast_to(value, int(np.prod(channels))) for value in (affine.scale, affine.shift))
    scaled = (kernel * scale.reshape(channels)).astype(kernel.dtype)
    scaled[scaled == 0] = 0  # a negative scale turns a removed weight into -0.0
    frozen.constants[kernel_name] = scaled
    frozen.constants[f"{name}/folded"] = (bias * scale + shift).astype(kernel.dtype)
    frozen.nodes[name] = _bias_add(name, source, f"{name}/folded", kernel.dtype)
    frozen.prune()  # otherwise, nodes that are no longer needed would count as uses of the kernel's result
    return True


def _affine(frozen: Frozen, node: NodeDef) -> Affine | None:
    """Returns the batch norm that ends in this node, if there is one."""
    if node.op == "FusedBatchNormV3":
        return _fused(frozen, node)
    if node.op != "AddV2" or node.input[1] not in frozen.constants:
        return None
    inner = frozen.nodes.get(node.input[0])
    shift = frozen.constants[node.input[1]]
    if inner is None or inner.op != "Mul" or inner.input[1] not in frozen.constants or frozen.uses()[inner.name] != 1:
        return None
    scale = frozen.constants[inner.input[1]]
    vectors = scale.ndim == shift.ndim == 1  # along the last axis, which is that of the channels
    return Affine(inner.input[0], scale.astype(np.float64), shift.astype(np.float64)) if vectors else None


def _fused(frozen: Frozen, node: NodeDef) -> Affine | None:
    source, *numbers = node.input
    constants: list[Any] = [frozen.constants.get(name) for name in numbers]
    if any(value is None for value in constants) or _attribute(node, "is_training").b or not _channels_last(node):
        return None
    if any(tensor.startswith(f"{node.name}:") for tensor in frozen.uses()):  # its other outputs are used
        return None
    if _attribute(node, "T").type != tf.float32.as_datatype_enum:  # in half precision, the sums are rounded elsewhere
        return None
    gamma, beta, mean, variance = (value.astype(np.float64) for value in constants)
    scale = gamma / np.sqrt(variance + _attribute(node, "epsilon").f)
    return Affine(source, scale, beta - scale * mean)


def _is_bias(frozen: Frozen, tensor: str) -> bool:
    node = frozen.nodes.get(tensor)
    value = frozen.constants.get(node.input[1]) if node is not None and node.op in BIASES else None
    return value is not None and value.ndim == 1


def _channels_last(node: NodeDef) -> bool:
    return _attribute(node, "data_format").s in (b"", b"NHWC")


def _attribute(node: NodeDef, name: str) -> AttrValue:
    """Returns an attribute; an empty one if the node has none of that name, because `node.attr[name]` would add it."""
    return node.attr[name] if name in node.attr else AttrValue()


def _bias_add(name: str, source: str, bias: str, dtype: np.dtype) -> NodeDef:
    node = NodeDef(name=name, op="BiasAdd", input=[source, bias])
    node.attr["T"].type = tf.as_dtype(dtype).as_datatype_enum
    return node
