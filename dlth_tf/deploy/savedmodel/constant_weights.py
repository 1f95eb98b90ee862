"""A SavedModel of a frozen network with folded batch norms, whose weights are constants as long as they are small.

Every converter and runtime can read constants, and TensorFlow lays out their kernels once instead of in every call. But
it holds several copies of them, so that the kernels of a large network are variables.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from dlth_tf.deploy.savedmodel.batch_norm_folding import fold_batch_norms
from dlth_tf.deploy.savedmodel.frozen_graph import Frozen, freeze, shorten
from dlth_tf.deploy.savedmodel.image_bytes import signatures
from dlth_tf.deploy.savedmodel.shrink import shrink_saved_model
from dlth_tf.deploy.serving import Served, Serving

# Bytes of constants above which kernels are variables. Loaded and called twice, networks of convolutions took 12 to 13
# times their weights as constants at 20, 50 and 100 MB, and 2.1, 1.4 and 1.2 times as variables. Beside plain's, their
# first call took 1.5 times as long as constants at 5 MB, 5 times at 20 MB and 10 times at 50 MB, and no longer as
# variables. Later calls take the same time both ways (benchmarks/compact_memory.py).
LARGEST = 5_000_000
SMALL = 20_000  # bytes of an array that stays a constant; so do maps (`compaction/maps`), which are computed with
LIMIT = 1_900_000_000  # bytes of constants in any graph: it is one protobuf message, which is limited to 2 GiB


def save_constant(model: tf_keras.Model, path: Path, serving: Serving, form: str) -> None:
    """Writes the SavedModel.

    Batch norms are folded where that is exact, as in the packed form.

    Args:
      model: Stripped Keras model that returns logits.
      path: Folder to write to.
      serving: Preprocessing and outputs around the network.
      form: Name of the form, for the error message.

    Raises:
      BadInput: If the network contains something that is not a variable, such as a lookup table.
    """
    served = Served(model, serving)
    frozen = _folded(served, form)
    large = _bytes(frozen) > LARGEST
    kernels = {name: tf.Variable(value) for name, value in frozen.constants.items() if large and _is_kernel(value)}
    module = tf.Module()
    module.kernels = list(kernels.values())
    serve = _function(frozen, served.specs, kernels).get_concrete_function()
    functions = signatures(serve, serving, next(iter(served.specs.values())))
    options = tf.saved_model.SaveOptions(save_debug_info=False)
    tf.saved_model.save(module, os.fspath(path), signatures=functions, options=options)
    shrink_saved_model(path)


def constant_function(model: tf_keras.Model, serving: Serving, form: str, without: Sequence[str] = ()) -> Any:
    """Builds the signature as a function without variables, with batch norms folded.

    Args:
      model: Stripped Keras model.
      serving: Preprocessing and outputs around the network.
      form: Name of the form, for the error message.
      without: Names of attributes that are removed from all operations and functions.

    Returns:
      A `tf.function` of the inputs that returns the outputs by name, or None if the weights are too large for one
      protobuf message.

    Raises:
      BadInput: If the network contains something that is not a variable, such as a lookup table.
    """
    served = Served(model, serving)
    frozen = _folded(served, form)
    return None if _bytes(frozen) > LIMIT else _function(frozen, served.specs, {}, without)


def _folded(served: Served, form: str) -> Frozen:
    frozen = freeze(served, form)
    fold_batch_norms(frozen)
    return frozen


def _is_kernel(value: np.ndarray) -> bool:
    return value.ndim > 1 and value.nbytes > SMALL


def _bytes(frozen: Frozen) -> int:
    return sum(value.nbytes for value in frozen.constants.values())


def _function(
    frozen: Frozen,
    specs: Mapping[str, tf.TensorSpec],
    variables: Mapping[str, tf.Variable],
    without: Sequence[str] = (),
) -> Any:
    """Builds the function of the signature, which holds as constants what is not a variable."""
    short = shorten(frozen)
    functions = short.graph.library.function
    for part in (*short.graph.node, *functions, *(node for function in functions for node in function.node_def)):
        for name in without:
            part.attr.pop(name, None)
    for name, value in frozen.constants.items():
        if name not in variables:
            node = short.graph.node.add(name=short.names[name], op="Const")
            node.attr["dtype"].type = tf.as_dtype(value.dtype).as_datatype_enum
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))

    @tf.function(input_signature=list(specs.values()))
    def serve(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        inputs = dict(zip(frozen.inputs.values(), tensors, strict=True))
        return short.outputs_for(inputs | {name: variable.read_value() for name, variable in variables.items()})

    return serve
