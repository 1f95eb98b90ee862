"""What a SavedModel can do without: shapes, debug information, and attributes that have their default values."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from tensorflow.core.framework.node_def_pb2 import NodeDef
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow.python.framework import op_def_registry
from tensorflow.python.saved_model import fingerprinting_utils

GRAPH = "saved_model.pb"


def slim(path: Path) -> None:
    """Makes the SavedModel in the folder `path` smaller, with the same outputs, and renews its fingerprint."""
    saved = SavedModel.FromString((path / GRAPH).read_bytes())
    for part in saved.meta_graphs:
        library = part.graph_def.library
        _slim_nodes(part.graph_def.node)
        for function in library.function:
            _slim_nodes(function.node_def)
            for argument in function.arg_attr.values():
                argument.attr.pop("_output_shapes", None)
                argument.attr.pop("_user_specified_name", None)
        part.meta_info_def.ClearField("stripped_op_list")  # tells TensorFlows that lack one of these operations which
        part.meta_info_def.stripped_default_attrs = True
    (path / GRAPH).write_bytes(saved.SerializeToString(deterministic=True))
    fingerprinting_utils.write_fingerprint(os.fspath(path))


def _slim_nodes(nodes: Iterable[NodeDef]) -> None:
    for node in nodes:
        node.ClearField("experimental_debug_info")
        definition = op_def_registry.get(node.op)
        defaults = {attr.name: attr.default_value for attr in definition.attr if attr.HasField("default_value")} if definition else {}
        for name, value in list(node.attr.items()):
            if name == "_output_shapes" or (name in defaults and value == defaults[name]):
                del node.attr[name]
