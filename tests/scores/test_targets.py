"""Scores of a regression: derivatives of the mean squared error, in NumPy; `temperature` belongs to classes."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tf_keras

from dlth_tf import scores

X = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")
Y = np.random.default_rng(1).normal(size=(6, 2)).astype("float32")


@pytest.fixture(params=[tf_keras, keras], ids=["keras2", "keras3"])
def linear(request):
    model = request.param.Sequential(
        [request.param.Input((3,)), request.param.layers.Dense(2, use_bias=False, name="out")]
    )
    return model, {"out/kernel": model.layers[-1].kernel}


def test_snip_is_weight_times_the_gradient_of_the_squared_error(linear):
    model, weights = linear
    w = np.array(weights["out/kernel"])
    gradient = 2 * X.T @ (X @ w - Y) / Y.size
    np.testing.assert_allclose(scores.snip(model, weights, X, Y)["out/kernel"], np.abs(w * gradient), rtol=1e-4)


def test_grasp_is_weight_times_hessian_times_gradient_whatever_the_temperature(linear):
    model, weights = linear
    w = np.array(weights["out/kernel"])
    hessian = 2 * X.T @ X / Y.size  # of every column
    flow = w * (hessian @ (2 * X.T @ (X @ w - Y) / Y.size))
    found = [scores.grasp(model, weights, [(X, Y)], temperature=t)["out/kernel"] for t in (1.0, 200.0)]
    np.testing.assert_array_equal(*found)
    np.testing.assert_allclose(found[0], flow, atol=1e-3 * np.abs(flow).max())
