"""Strips optional fields from a SavedModel: shapes, debug information, long names, and default attributes."""

from __future__ import annotations

import itertools
import os
import string
from collections.abc import Iterable
from pathlib import Path

from tensorflow.core.framework.function_pb2 import FunctionDef
from tensorflow.core.framework.node_def_pb2 import NodeDef
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow.python.framework import op_def_registry
from tensorflow.python.saved_model import fingerprinting_utils

from dlth_tf.deploy.savedmodel.leaky_relu import choose_in_leaky_relus

GRAPH = "saved_model.pb"


def shrink_saved_model(path: Path) -> None:
    """Makes a SavedModel smaller without changing its outputs, and renews its fingerprint.

    Args:
      path: Folder of the SavedModel, changed in place.
    """
    saved = SavedModel.FromString((path / GRAPH).read_bytes())
    choose_in_leaky_relus(saved)
    for part in saved.meta_graphs:
        library = part.graph_def.library
        _strip_attributes(part.graph_def.node)
        for function in library.function:
            _strip_attributes(function.node_def)
            for argument in function.arg_attr.values():
                argument.attr.pop("_output_shapes", None)
                argument.attr.pop("_user_specified_name", None)
            _shorten_names(function)
        part.meta_info_def.ClearField(
            "stripped_op_list"
        )  # only for the errors of TensorFlow versions that lack an operation
        part.meta_info_def.stripped_default_attrs = True
    (path / GRAPH).write_bytes(saved.SerializeToString(deterministic=True))
    fingerprinting_utils.write_fingerprint(os.fspath(path))


def _strip_attributes(nodes: Iterable[NodeDef]) -> None:
    for node in nodes:
        node.ClearField("experimental_debug_info")
        definition = op_def_registry.get(node.op)
        attributes = definition.attr if definition else ()
        defaults = {attr.name: attr.default_value for attr in attributes if attr.HasField("default_value")}
        for name, value in list(node.attr.items()):
            if name == "_output_shapes" or (name in defaults and value == defaults[name]):
                del node.attr[name]


def _shorten_names(function: FunctionDef) -> None:
    """Renames the nodes of a function to a, b, ..., aa, ab, ..., unless other nodes may refer to their names."""
    if any("_class" in node.attr for node in function.node_def):
        return
    taken = {argument.name for argument in function.signature.input_arg}
    letters = (
        "".join(word)
        for length in itertools.count(1)
        for word in itertools.product(string.ascii_lowercase, repeat=length)
    )
    short = (name for name in letters if name not in taken)
    new = {node.name: next(short) for node in function.node_def if not _has_meaningful_name(node)}
    taken |= {node.name for node in function.node_def} - set(new)
    if taken & set(new.values()):
        return

    def renamed(source: str) -> str:
        name, colon, output = source.removeprefix("^").partition(":")
        return ("^" if source.startswith("^") else "") + new.get(name, name) + colon + output

    for node in function.node_def:
        node.name = new.get(node.name, node.name)
        node.input[:] = [renamed(source) for source in node.input]
    for results in (function.ret, function.control_ret):
        for key in list(results):  # a copy, because the map changes
            results[key] = renamed(results[key])


def _has_meaningful_name(node: NodeDef) -> bool:
    """Returns whether the node creates a resource, which is named after the node unless it has another name."""
    definition = op_def_registry.get(node.op)
    return definition is not None and any(attr.name == "shared_name" for attr in definition.attr)
