"""A SavedModel without variables: the network's numbers are constants of its graph, which every converter and runtime can read."""

from __future__ import annotations

import os
from pathlib import Path

import tensorflow as tf
import tf_keras

from dlth_tf.deploy.savedmodel.batch_norm_folding import fold_batch_norms
from dlth_tf.deploy.savedmodel.frozen_graph import freeze, imported, shortened
from dlth_tf.deploy.savedmodel.plain import save_plain
from dlth_tf.deploy.savedmodel.shrink import slim
from dlth_tf.deploy.serving import SIGNATURE, Served, Serving

LARGEST = 1_900_000_000  # bytes of constants: a graph is one message, which can hold 2 GiB


def save_fixed(model: tf_keras.Model, path: Path, serving: Serving, form: str) -> None:
    """Writes the SavedModel; one that is too large for constants keeps its variables.

    Batch norms are folded where that is exact, as in the packed form, and TensorFlow lays constant kernels out for its
    convolutions once instead of in every call.

    Args:
      model: gives logits.
      path: the folder to write.
      serving: what stands before and after the network.
      form: named in the error.

    Raises:
      BadInput: the network holds something that is no variable.
    """
    frozen = freeze(Served(model, serving), form)
    fold_batch_norms(frozen)
    if sum(value.nbytes for value in frozen.constants.values()) > LARGEST:
        save_plain(model, path, serving)
        return
    graph, new = shortened(frozen)
    for name, value in frozen.constants.items():
        node = graph.node.add(name=new[name], op="Const")
        node.attr["dtype"].type = tf.as_dtype(value.dtype).as_datatype_enum
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))

    @tf.function(input_signature=[serving.images(model)])
    def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return imported(frozen, graph, new, {new[frozen.images]: images})

    options = tf.saved_model.SaveOptions(save_debug_info=False)
    tf.saved_model.save(
        tf.Module(), os.fspath(path), signatures={SIGNATURE: serve.get_concrete_function()}, options=options
    )
    slim(path)
