"""The plain form has the network's variables, with +0.0 for removed weights."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf.deploy.savedmodel.plain import save_plain
from dlth_tf.deploy.serving import Serving
from dlth_tf.masking import prunable_weights


def test_weights_that_a_product_with_a_mask_made_negative_zeros_are_zeros(tmp_path):
    wrapped = dlth.wrap(tf_keras.Sequential([tf_keras.Input((6,)), tf_keras.layers.Dense(5), tf_keras.layers.Dense(3)]))
    dlth.apply_ticket(wrapped, dlth.random_ticket(wrapped, 0.5), remove=True)
    for entry in prunable_weights(wrapped).values():
        entry.weight.assign(-tf.abs(entry.weight) * entry.mask)
        assert np.signbit(entry.weight.numpy()[~entry.kept()]).any() or entry.kept().all()
    save_plain(dlth.strip(wrapped), tmp_path, Serving())
    saved = [variable.numpy() for variable in tf.saved_model.load(str(tmp_path)).network_variables]
    assert sum(int((value == 0).sum()) for value in saved if value.ndim > 1) == 15
    assert not any(np.signbit(value[value == 0]).any() for value in saved)
