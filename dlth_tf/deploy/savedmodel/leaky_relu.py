"""Writes LeakyReLU as a choice between x and alpha * x, which TensorFlow computes rightly everywhere.

With oneDNN, TensorFlow 2.21 fuses a convolution with a bias, an addition and the LeakyReLU after them to one kernel,
and that kernel returns other numbers. A choice is not fused, and gives the same to the last bit.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.function_pb2 import FunctionDef
from tensorflow.core.framework.node_def_pb2 import NodeDef
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow.python.saved_model import fingerprinting_utils

OPERATION = "LeakyRelu"
ALPHA = 0.2  # of the operation, where it has no attribute


def choose_in_leaky_relus(saved: SavedModel) -> bool:
    """Replaces every LeakyReLU in the functions of a SavedModel, in place; returns whether there was one."""
    functions = [function for part in saved.meta_graphs for function in part.graph_def.library.function]
    return sum(_replace(function) for function in functions) > 0


def rewrite_leaky_relus(path: Path) -> None:
    """Replaces every LeakyReLU of a SavedModel on disk.

    Args:
      path: Its folder, changed in place if there is one.
    """
    file = path / "saved_model.pb"
    saved = SavedModel.FromString(file.read_bytes())
    if choose_in_leaky_relus(saved):
        file.write_bytes(saved.SerializeToString(deterministic=True))
        fingerprinting_utils.write_fingerprint(os.fspath(path))


def _replace(function: FunctionDef) -> bool:
    leaky = [node for node in function.node_def if node.op == OPERATION]
    for node in leaky:
        source, name, kind = node.input[0], node.name, node.attr["T"].type or tf.float32.as_datatype_enum
        alpha = node.attr["alpha"].f if "alpha" in node.attr else ALPHA
        numpy = tf.as_dtype(kind).as_numpy_dtype
        for part, value in (("zero", 0), ("alpha", alpha)):
            constant = function.node_def.add(name=f"{name}/{part}", op="Const", device=node.device)
            constant.attr["dtype"].type = kind
            constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(np.asarray(value, numpy)))
        _add(function, node, "positive", "Greater", source, f"{name}/zero:output:0")
        _add(function, node, "scaled", "Mul", source, f"{name}/alpha:output:0")
        node.Clear()
        inputs = [f"{name}/positive:z:0", source, f"{name}/scaled:z:0"]
        node.MergeFrom(NodeDef(name=name, op="SelectV2", input=inputs))
        node.attr["T"].type = kind
    outputs = {f"{node.name}:activations:0": f"{node.name}:output:0" for node in leaky}
    for node in function.node_def:
        node.input[:] = [outputs.get(source, source) for source in node.input]
    for key in list(function.ret):  # a copy, because the map changes
        function.ret[key] = outputs.get(function.ret[key], function.ret[key])
    return bool(leaky)


def _add(function: FunctionDef, like: NodeDef, part: str, operation: str, *inputs: str) -> None:
    node = function.node_def.add(name=f"{like.name}/{part}", op=operation, input=inputs, device=like.device)
    node.attr["T"].type = like.attr["T"].type or tf.float32.as_datatype_enum


@contextlib.contextmanager
def without_fusion() -> Iterator[None]:
    """Lets TensorFlow fuse no operations for the duration of the block, as far as its remapper does."""
    before = tf.config.optimizer.get_experimental_options().get("remapping", True)
    tf.config.optimizer.set_experimental_options({"remapping": False})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({"remapping": before})
