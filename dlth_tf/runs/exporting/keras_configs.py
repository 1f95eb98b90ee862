"""Checks of a Keras model's configuration, which may be somebody else's, before Keras makes layers of it.

Keras' safe mode refuses lambdas alone. A configuration can also name any module, which is then imported, and any
operation of TensorFlow, which then runs.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterator
from typing import Any

ROOMS = (
    "activations|constraints|engine|initializers|layers|losses|metrics|mixed_precision|models|optimizers|regularizers"
)
KERAS = re.compile(rf"(tf_)?keras(\.src)?(\.({ROOMS})(\.\w+)*)?")
WRAPPERS = {("dlth_tf.masking.keras2.layer", "MaskedLayer")}  # of this package, in files of wrapped models
# Operations of Keras 3 on tensors; those of `core` also take functions, and `custom_gradient` code.
OPS = re.compile(r"keras\.src\.ops\.(einops|image|linalg|math|nn|numpy)")
# Layers whose configuration is Python code, or an operation of any kind.
CODE = (
    *("Lambda", "__lambda__", "TensorFlowOpLayer", "ClassMethod"),
    *("TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"),
)
# Names of TensorFlow's operations on tensors begin with one of these parts, or have one part.
OPERATIONS = {
    *("__operators__", "bitwise", "dtypes", "image", "linalg", "math", "nn", "ragged", "random", "signal", "sparse"),
    "strings",
}
NOT_OPERATIONS = {"load_library", "load_op_library", "numpy_function", "print", "py_function"}


def check_config(config: Any, operations: bool = False) -> None:
    """Checks that a configuration consists of layers of Keras, wrapped or not, and of operations on tensors.

    Args:
      config: Configuration of a model, or a part of one, as JSON.
      operations: Whether it is one of Keras 3, whose operations on tensors are layers.

    Raises:
      ValueError: If it contains code, or names any that is neither Keras' own nor the wrapper of this package. The
        message is the rest of a sentence about the file.
    """
    for entry in _mappings(config):
        _check_entry(entry, operations)


def uncompiled(config: Any) -> Any:
    """Returns a configuration without the optimizers, losses and metrics of its model, and of models inside it.

    `compile=False` keeps Keras from compiling the outermost model alone.
    """
    if isinstance(config, list):
        return [uncompiled(each) for each in config]
    if not isinstance(config, dict):
        return config
    dropped = ("compile_config",) if "class_name" in config else ()
    return {key: uncompiled(value) for key, value in config.items() if key not in dropped}


def _mappings(value: Any) -> Iterator[dict[str, Any]]:
    rest = [value]
    while rest:
        value = rest.pop()
        if isinstance(value, dict):
            yield value
            rest.extend(value.values())
        elif isinstance(value, list):
            rest.extend(value)


def _check_entry(entry: dict[str, Any], operations: bool) -> None:
    inner = entry.get("config")
    kind = str(entry.get("class_name", ""))
    where = f" ({inner['name']})" if isinstance(inner, dict) and isinstance(inner.get("name"), str) else ""
    if kind in CODE:
        raise ValueError(f"contains a layer of the class {kind}{where}, which is code")
    if any(key.endswith("_type") and value == "lambda" for key, value in entry.items()):
        raise ValueError("contains a lambda, which is code")
    if isinstance(entry.get("vocabulary"), str):
        raise ValueError(f"reads the file {entry['vocabulary']}, a vocabulary")
    if "class_name" in entry:
        name = str(inner) if kind == "function" else str(entry.get("spec_name", kind))
        if not (operations and OPS.fullmatch(str(entry.get("module")))):
            _check_name(entry.get("module"), name)
    if kind == "TFOpLambda" and isinstance(inner, dict):
        _check_operation(str(inner.get("function")))


def _check_name(module: Any, name: str) -> None:
    own = module is None or (module == "builtins" and not hasattr(builtins, name)) or KERAS.fullmatch(str(module))
    if (not own or "." in name) and (module, name) not in WRAPPERS:
        raise ValueError(f"names code outside of Keras ({module}.{name})")


def _check_operation(name: str) -> None:
    first, *others = name.removeprefix("compat.v1.").split(".")
    if first not in OPERATIONS if others else first in NOT_OPERATIONS:
        raise ValueError(f"calls tf.{name}, which works on more than tensors")
