"""A SavedModel from which optional fields were stripped behaves as before."""

from __future__ import annotations

import os

import pytest
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from dlth_tf.deploy.savedmodel.shrink import GRAPH, shrink_saved_model


class Counting(tf.Module):
    """Changes variables, so that its function has control outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = tf.Variable(0)

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.float32)])
    def serve(self, numbers: tf.Tensor) -> dict[str, tf.Tensor]:
        self.calls.assign_add(1)
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(numbers > 0), ["positive numbers only"])]):
            return {"total": tf.reduce_sum(numbers, name="a_long_name_that_is_not_needed")}


def names(folder) -> set[str]:
    saved = SavedModel.FromString((folder / GRAPH).read_bytes())
    return {node.name for function in saved.meta_graphs[0].graph_def.library.function for node in function.node_def}


def test_names_become_short_and_everything_still_works(tmp_path):
    module = Counting()
    tf.saved_model.save(module, os.fspath(tmp_path), signatures={"serving_default": module.serve})
    before = (tmp_path / GRAPH).stat().st_size
    assert any(len(name) > 10 for name in names(tmp_path))
    shrink_saved_model(tmp_path)
    assert (tmp_path / GRAPH).stat().st_size < before
    assert max(map(len, names(tmp_path))) <= 2
    loaded = tf.saved_model.load(os.fspath(tmp_path))
    assert [float(loaded.serve(tf.constant([1.0, 2.0]))["total"]) for _ in range(2)] == [3.0, 3.0]
    assert int(loaded.calls) == 2
    with pytest.raises(tf.errors.InvalidArgumentError, match="positive numbers only"):
        loaded.serve(tf.constant([-1.0]))


def test_a_resource_without_another_name_keeps_its_own(tmp_path):
    class Holding(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((), tf.float32)])
        def serve(self, number: tf.Tensor) -> dict[str, tf.Tensor]:
            handle = tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[], name="the_resource")
            tf.raw_ops.AssignVariableOp(resource=handle, value=number)
            return {"kept": tf.raw_ops.ReadVariableOp(resource=handle, dtype=tf.float32)}

    module = Holding()
    tf.saved_model.save(module, os.fspath(tmp_path), signatures={"serving_default": module.serve})
    shrink_saved_model(tmp_path)
    assert "the_resource" in names(tmp_path)
    assert float(tf.saved_model.load(os.fspath(tmp_path)).serve(tf.constant(4.0))["kept"]) == 4.0
