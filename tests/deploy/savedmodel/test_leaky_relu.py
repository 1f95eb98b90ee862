"""LeakyReLU after an addition, which TensorFlow with oneDNN fuses to a kernel that returns other numbers."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from dlth_tf.deploy.savedmodel.constant_weights import save_constant
from dlth_tf.deploy.savedmodel.packed import save_packed
from dlth_tf.deploy.savedmodel.plain import save_plain
from dlth_tf.deploy.serving import Serving, expected_outputs

L = tf_keras.layers
IMAGES = np.random.default_rng(0).normal(size=(3, 8, 8, 3)).astype("float32")


def residual(alpha: float) -> tf_keras.Model:
    tf_keras.utils.set_random_seed(0)
    x = inputs = tf_keras.Input((8, 8, 3))
    x = L.Conv2D(8, 3, padding="same", name="a", bias_initializer="ones")(x)
    x = L.Add()([x, L.Conv2D(8, 3, padding="same", name="b", bias_initializer="ones")(x)])
    x = L.LeakyReLU(alpha)(x)
    return tf_keras.Model(inputs, L.Dense(4, name="out")(L.Flatten()(x)))


@pytest.mark.fast_cases("plain-0.3", "packed-0.2", "constant-1.5")
@pytest.mark.parametrize("alpha", [0.3, 0.2, 1.5])
@pytest.mark.parametrize("form", ["plain", "packed", "constant"])
def test_every_form_returns_what_the_network_computes_step_by_step(form, alpha, tmp_path):
    model = residual(alpha)
    serving = Serving()
    save = {
        "plain": save_plain,
        "packed": save_packed,
        "constant": lambda model, path, serving: save_constant(model, path, serving, "compact"),
    }
    save[form](model, tmp_path, serving)
    right = model(IMAGES, training=False).numpy()
    served = tf.saved_model.load(str(tmp_path)).signatures["serving_default"](images=tf.constant(IMAGES))
    np.testing.assert_allclose(served["logits"].numpy(), right, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(expected_outputs(model, serving, {"images": IMAGES})["logits"], right, atol=1e-5)
