"""A network of two layers, its data, and its gradients in NumPy."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tf_keras

from dlth_tf import masking

L = tf_keras.layers
LABELS = np.array([0, 1, 2, 0, 2, 2])


def images(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(6, 4)).astype(tf_keras.backend.floatx())


def two_layers(activation: str) -> tf_keras.Model:
    tf_keras.utils.set_random_seed(2)
    return tf_keras.Sequential(
        [L.Input((4,)), L.Dense(5, activation, name="one"), L.Dense(3, name="two")], name="two_layers"
    )


def variables(model: tf_keras.Model) -> dict[str, tf.Variable]:
    return {name: variable for name, variable in masking.named_weights(model).items() if name.endswith("kernel")}


def gradients_by_hand(
    model: tf_keras.Model, x: np.ndarray, labels: np.ndarray, activation: str, temperature: float = 1.0, **moved
):
    """Computes dL/dW1 and dL/dW2 of softmax cross-entropy with logits / T; `moved` shifts the kernels first."""
    weights = {name: variable.numpy() for name, variable in masking.named_weights(model).items()}
    w1 = weights["one/kernel"] + moved.get("one", 0)
    w2 = weights["two/kernel"] + moved.get("two", 0)
    before = x @ w1 + weights["one/bias"]
    hidden = np.maximum(before, 0) if activation == "relu" else before
    logits = (hidden @ w2 + weights["two/bias"]) / temperature
    likely = np.exp(logits - logits.max(1, keepdims=True))
    error = (likely / likely.sum(1, keepdims=True) - np.eye(3)[labels]) / len(labels) / temperature
    back = error @ w2.T * (before > 0 if activation == "relu" else 1)
    return {"one/kernel": x.T @ back, "two/kernel": hidden.T @ error}
