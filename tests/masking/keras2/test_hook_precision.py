"""The hook under mixed precision: weights are not rounded, and skipped steps leave zeros."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
import tensorflow_model_optimization as tfmot
import tf_keras

import dlth_tf as dlth
from tests.masking.kinds import normal
from tests.masking.networks import (
    compiled,
    mlp,
    train,
    watch,
    wrapped,
)

keras = tf_keras.optimizers
L = tf_keras.layers
SGD = dlth.optimizers.SGD
KeepMask = dlth.callbacks.KeepMask


def rounded(model: tf_keras.Model, dtype: Any) -> float:
    """Returns the fraction of non-zero kernel values that `dtype` represents exactly."""
    values = np.concatenate([v.numpy().ravel() for v in model.trainable_variables if "kernel" in v.name])
    values = values[values != 0]
    assert values.dtype == np.float32 and len(values) > 100
    return float((values.astype(dtype).astype(np.float32) == values).mean())


@pytest.mark.parametrize(
    ("policy", "dtype"),
    [("mixed_bfloat16", ml_dtypes.bfloat16), ("mixed_float16", np.float16)],
    ids=["bfloat16", "float16"],
)
def test_mixed_precision_does_not_round_the_weights(policy, dtype):
    tf_keras.mixed_precision.set_global_policy(policy)
    model = compiled(wrapped(), run_eagerly=True)
    train(model, [KeepMask()])
    model(normal(4, 8)())
    assert rounded(model, dtype) < 0.05
    stock = tfmot.sparsity.keras.prune_low_magnitude(mlp(), tfmot.sparsity.keras.ConstantSparsity(0.5, 0, frequency=1))
    compiled(stock, run_eagerly=True)
    train(stock, [tfmot.sparsity.keras.UpdatePruningStep()])
    stock(normal(4, 8)())
    assert rounded(stock, dtype) == 1.0, "the twin: tf-mot's own wrapper rounds them at every forward pass"


def test_steps_that_a_loss_scale_skips_leave_zeros_and_are_counted():
    tf_keras.mixed_precision.set_global_policy("mixed_float16")
    model = wrapped()
    seen = watch(model)
    optimizer = tf_keras.mixed_precision.LossScaleOptimizer(SGD(0.1, momentum=0.9), initial_scale=2.0**40)
    train(compiled(model, optimizer), [KeepMask()], steps=40)
    assert 0 < float(optimizer.loss_scale) < 2.0**40, "some steps overflowed, so that they were skipped"
    assert int(optimizer.iterations) == int(seen.steps) == 40
    assert float(seen.largest) == 0.0
