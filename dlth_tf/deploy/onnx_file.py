"""The onnx form: one file for onnxruntime, OpenVINO and other runtimes, with preprocessing inside.

It is converted by tf2onnx from a graph without variables. tf2onnx, onnx and onnxruntime are an extra and are imported
when this form is written.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras

from dlth_tf import files
from dlth_tf.deploy.interface import interface_of
from dlth_tf.deploy.savedmodel.constant_weights import constant_function
from dlth_tf.deploy.serving import Serving
from dlth_tf.errors import BadInput

FILE = "model.onnx"
OPSET = 17  # of 2022: read by onnxruntime from 1.12 on
NAME = "dlth_tf"  # of the graph
# Attributes of calls that keep TensorFlow from inlining them, such as Keras' grouped convolutions; tf2onnx converts no
# calls.
KEEPING_CALLS = ("_XlaMustCompile", "_XlaHasReferenceVars", "_noinline")


def write_onnx(model: tf_keras.Model, path: Path, serving: Serving) -> dict[str, Any]:
    """Writes `model.onnx` into a folder.

    Inputs and outputs have the names of the SavedModels' signature, and batches have any size unless `serving` fixes
    it.

    Args:
      model: Stripped Keras model in float32. For a network with removed filters, `compact(model)` yields a smaller and
        faster file.
      path: Folder to write to, created if it does not exist.
      serving: Preprocessing and outputs around the network.

    Returns:
      opset: Version of the ONNX operators.
      inputs: Names of the inputs.
      outputs: Names of the outputs.

    Raises:
      BadInput: If ONNX or onnxruntime has no operation for a part of the network, an output has the name of an input,
        or its weights exceed 2 GB.
    """
    interface = interface_of(model)
    if same := sorted(set(serving.inputs(model)) & set(serving.output_specs(interface))):
        raise _cannot(f"{', '.join(same)} is the name of an input and of an output, which differ in ONNX")
    function = constant_function(model, serving, "onnx", without=KEEPING_CALLS)
    if function is None:
        raise _cannot("its weights exceed 2 GB")
    converted = _converted(function)
    graph = converted.graph
    _rename(graph)
    data = converted.SerializeToString(deterministic=True)
    _check_loads(data)
    path.mkdir(parents=True, exist_ok=True)
    files.write_atomic(path / FILE, data)
    return {
        "opset": OPSET,
        "inputs": [value.name for value in graph.input],
        "outputs": [value.name for value in graph.output],
    }


def _converted(function: Any) -> Any:
    import onnx
    import tf2onnx

    try:
        with _silent("tf2onnx"):
            converted, _ = tf2onnx.convert.from_function(
                function,
                function.input_signature,
                opset=OPSET,
                custom_op_handlers={"Erfc": (_erfc, [])},
            )
    except Exception as error:  # tf2onnx raises errors of many types
        raise _cannot(f"tf2onnx says: {_first_line(error)}") from None
    unknown = sorted(
        {node.op_type for node in _nodes(converted.graph) if not onnx.defs.has(node.op_type, domain=node.domain)}
    )
    if unknown:
        raise _cannot(f"tf2onnx has no operation for {', '.join(unknown)}")
    return converted


def _check_loads(data: bytes) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise _cannot(f"onnxruntime says: {_first_line(error)}") from None


def _cannot(reason: str) -> BadInput:
    return BadInput("formats", "onnx", f"cannot hold this network: {reason}")


def _first_line(error: Exception) -> str:
    return (str(error) or repr(error)).strip().splitlines()[0][:200]


def _nodes(graph: Any) -> Iterator[Any]:
    """Yields the nodes of a graph and of the bodies of its loops and branches."""
    for node in graph.node:
        yield node
        for inner in _bodies(node):
            yield from _nodes(inner)


def _bodies(node: Any) -> Iterator[Any]:
    """Yields the graphs inside a loop or a branch."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _rename(graph: Any) -> None:
    """Numbers inner tensors and free axes from 0 on, since tf2onnx numbers them from process to process differently."""
    kept = {value.name for value in (*graph.input, *graph.output)}
    free = (name for name in (f"t{number}" for number in itertools.count()) if name not in kept)
    names = {name: name for name in (*kept, "")}
    axes: dict[str, str] = {}

    def renamed(name: str) -> str:
        if name not in names:
            names[name] = next(free)
        return names[name]

    graph.name = NAME
    for part in (graph, *(inner for node in _nodes(graph) for inner in _bodies(node))):
        part.doc_string = ""
        del part.value_info[:]  # shapes of inner tensors, which runtimes infer
        for value in (*part.input, *part.initializer, *part.output):
            value.name = renamed(value.name)
        for value in (*part.input, *part.output):
            for axis in value.type.tensor_type.shape.dim:
                if axis.dim_param:
                    axis.dim_param = axes.setdefault(axis.dim_param, f"axis_{len(axes)}")
        for node in part.node:
            node.name = node.doc_string = ""
            for tensors in (node.input, node.output):
                tensors[:] = [renamed(name) for name in tensors]


def _erfc(graph: Any, node: Any, name: str, _: list[Any]) -> None:
    """Writes Erfc, of which the exact GELU is made, as 1 - Erf: ONNX has only the latter."""
    one = graph.make_const(f"{name}/one", np.ones((), np.float32))
    erf = graph.make_node("Erf", list(node.input), name=f"{name}/erf")
    graph.remove_node(name)
    graph.make_node("Sub", [one.output[0], erf.output[0]], name=name, outputs=list(node.output))


@contextlib.contextmanager
def _silent(name: str) -> Iterator[None]:
    """Silences a logger, whose errors become one sentence."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)
