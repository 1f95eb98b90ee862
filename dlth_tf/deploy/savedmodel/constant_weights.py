"""A SavedModel without variables: its weights are constants, which every converter and runtime can read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
import tf_keras

from dlth_tf.deploy.savedmodel.batch_norm_folding import fold_batch_norms
from dlth_tf.deploy.savedmodel.frozen_graph import freeze, shorten
from dlth_tf.deploy.savedmodel.plain import save_plain
from dlth_tf.deploy.savedmodel.shrink import shrink_saved_model
from dlth_tf.deploy.serving import SIGNATURE, Served, Serving

LARGEST = 1_900_000_000  # bytes of constants: a graph is one protobuf message, which is limited to 2 GiB


def save_constant(model: tf_keras.Model, path: Path, serving: Serving, form: str) -> None:
    """Writes the SavedModel. A network that is too large for constants keeps its variables.

    Batch norms are folded where that is exact, as in the packed form. TensorFlow lays out constant kernels for its
    convolutions once instead of in every call.

    Args:
      model: Stripped Keras model that returns logits.
      path: Folder to write to.
      serving: Preprocessing and outputs around the network.
      form: Name of the form, for the error message.

    Raises:
      BadInput: If the network contains something that is not a variable, such as a lookup table.
    """
    serve = constant_function(model, serving, form)
    if serve is None:
        save_plain(model, path, serving)
        return
    signatures = {SIGNATURE: serve.get_concrete_function()}
    options = tf.saved_model.SaveOptions(save_debug_info=False)
    tf.saved_model.save(tf.Module(), os.fspath(path), signatures=signatures, options=options)
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
    frozen = freeze(served, form)
    fold_batch_norms(frozen)
    if sum(value.nbytes for value in frozen.constants.values()) > LARGEST:
        return None
    short = shorten(frozen)
    functions = short.graph.library.function
    for part in (*short.graph.node, *functions, *(node for function in functions for node in function.node_def)):
        for name in without:
            part.attr.pop(name, None)
    for name, value in frozen.constants.items():
        node = short.graph.node.add(name=short.names[name], op="Const")
        node.attr["dtype"].type = tf.as_dtype(value.dtype).as_datatype_enum
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))

    @tf.function(input_signature=list(served.specs.values()))
    def serve(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        return short.outputs_for(dict(zip(frozen.inputs.values(), tensors, strict=True)))

    return serve
