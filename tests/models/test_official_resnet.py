"""resnet8 with the weights of the official PyTorch network, compared with its recording in float64.

`official_resnet8.f64.npz` is the recording with every sixth output channel of the two largest gradients and final
kernels ("key[::6]"); nothing else is left out. DLTH_RESNET8=FILE compares with the whole recording, or with another.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking, models
from tests.golden.torch_twins import TorchBatchNormalization, to_keras, to_torch

RECORDING = Path(os.environ.get("DLTH_RESNET8") or Path(__file__).parent / "official_resnet8.f64.npz")
LOSS = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
PARTS = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


@pytest.fixture(scope="module")
def recorded() -> dict[str, np.ndarray]:
    with np.load(RECORDING) as archive:
        return dict(archive)


def torch_norm(layer: tf_keras.layers.Layer) -> tf_keras.layers.Layer:
    """Returns a copy of the stock layer; a batch norm gets PyTorch's unbiased running variance, in float64 too."""
    kind = TorchBatchNormalization if isinstance(layer, tf_keras.layers.BatchNormalization) else type(layer)
    return kind.from_config(layer.get_config())


def official(recorded: dict[str, np.ndarray], change=torch_norm, dtype: str = "float64") -> tf_keras.Model:
    """Returns our resnet8 with the recorded initial weights; `change` maps each layer to its replacement."""
    tf_keras.backend.set_floatx(dtype)
    model = tf_keras.models.clone_model(models.build("resnet8", (32, 32, 3), 10, 0), clone_function=change)
    for name, variable in masking.named_weights(model).items():
        variable.assign(to_keras(recorded[f"init/{torch_name(name)}"]))
    return model


def torch_name(name: str) -> str:
    """Returns the official name: layer2.0.conv1.weight for stage2_block1_conv1/kernel."""
    layer, _, part = name.rpartition("/")
    if layer.startswith("stage"):
        stage, block, layer = layer.split("_")
        layer = f"layer{stage[-1]}.{int(block[-1]) - 1}.{layer}"
    return f"{layer.replace('fc', 'linear')}.{PARTS[part]}"


def agrees(
    recorded: dict[str, np.ndarray], prefix: str, values: dict[str, np.ndarray], tolerance: float = 1e-9
) -> None:
    """Asserts that values, by our names, equal the recorded ones of the same kind."""
    keys = {key.removesuffix("[::6]"): key for key in recorded if key.startswith(prefix + "/")}
    values = {f"{prefix}/{torch_name(name)}": to_torch(value) for name, value in values.items()}
    assert values.keys() == keys.keys()
    for name, value in values.items():
        ours = value[::6] if keys[name].endswith("[::6]") else value
        np.testing.assert_allclose(ours, recorded[keys[name]], rtol=0, atol=tolerance, err_msg=name)


def weights_of(model: tf_keras.Model, only: str = "") -> dict[str, np.ndarray]:
    return {name: weight.numpy() for name, weight in masking.named_weights(model).items() if only in name}


def fit(model: tf_keras.Model, recorded: dict[str, np.ndarray], callbacks=(), **options) -> list[float]:
    """Trains on the recorded batch; returns the losses."""
    model.compile(dlth.optimizers.SGD(0.1, momentum=0.9, weight_decay=5e-4), LOSS)
    x = recorded["x"].transpose(0, 2, 3, 1).astype(tf_keras.backend.floatx())
    history = model.fit(x, recorded["y"], batch_size=len(x), verbose=0, callbacks=list(callbacks), **options)
    return history.history["loss"]


def images(recorded: dict[str, np.ndarray]) -> tf.Tensor:
    return tf.constant(recorded["x"].transpose(0, 2, 3, 1), tf_keras.backend.floatx())


def test_logits_gradients_and_running_statistics_agree(recorded):
    model = official(recorded)
    np.testing.assert_allclose(model(images(recorded)), recorded["logits_eval_init"], rtol=0, atol=1e-9)
    with tf.GradientTape() as tape:
        logits = model(images(recorded), training=True)
        loss = LOSS(recorded["y"], logits)
    np.testing.assert_allclose(logits, recorded["logits_train_init"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(loss, recorded["losses"][0], rtol=0, atol=1e-9)
    trained = {name: weight for name, weight in masking.named_weights(model).items() if weight.trainable}
    gradients = tape.gradient(loss, list(trained.values()))
    agrees(recorded, "grad1", {name: gradient.numpy() for name, gradient in zip(trained, gradients, strict=True)})
    agrees(recorded, "running1", weights_of(model, "/moving_"))


def test_three_training_steps_agree(recorded):
    model = official(recorded)
    np.testing.assert_allclose(fit(model, recorded, epochs=3), recorded["losses"], rtol=0, atol=1e-9)
    agrees(recorded, "final", weights_of(model))
    np.testing.assert_allclose(model(images(recorded)), recorded["logits_eval_final"], rtol=0, atol=1e-9)


def test_the_stock_network_agrees_in_float32(recorded):
    model = official(recorded, lambda layer: type(layer).from_config(layer.get_config()), "float32")
    np.testing.assert_allclose(fit(model, recorded), recorded["losses"][:1], rtol=0, atol=2e-5)
    agrees(recorded, "running1", weights_of(model, "/moving_"), tolerance=2e-5)


def test_one_step_of_the_transformation_adds_the_penalty_to_the_recorded_gradient(recorded):
    model = dlth.wrap(official(recorded))
    ticket = dlth.random_ticket(model, sparsity=0.9, seed=3)
    dlth.apply_ticket(model, ticket)
    transform = dlth.callbacks.RSTPenalty(step=0.5, every=1, limit=0.25, hold_steps=0, remove_at_end=False)
    assert transform.steps == 1
    fit(model, recorded, [transform])
    seen = 0
    for name, weight in weights_of(model).items():
        key = torch_name(name)
        gradient = recorded.get(f"grad1/{key}", recorded.get(f"grad1/{key}[::6]"))
        if gradient is None:  # running statistics
            continue
        before = recorded[f"init/{key}"].astype(np.float64)
        removed = ~to_torch(ticket[name]) if name in ticket else np.zeros(before.shape, bool)
        rows = slice(None, None, 6 if f"grad1/{key}[::6]" in recorded else 1)
        expected = before[rows] - 0.1 * (gradient + (5e-4 + 0.5 * removed[rows]) * before[rows])
        np.testing.assert_allclose(to_torch(weight)[rows], expected, rtol=0, atol=1e-9, err_msg=name)
        seen += int(removed.sum())
    assert seen == ticket.removed > 60_000


def same_padding(layer):
    """Pads a strided convolution as TensorFlow does, (0, 1), where PyTorch pads (1, 1)."""
    if isinstance(layer, tf_keras.layers.ZeroPadding2D) and layer.name.endswith("_padding"):
        return tf_keras.layers.ZeroPadding2D(((0, 1), (0, 1)), name=layer.name)
    return torch_norm(layer)


def zeros_behind(layer):
    """Appends the new channels of the shortcut after the old ones, not on either side."""
    if isinstance(layer, tf_keras.layers.ZeroPadding2D) and layer.name.endswith("_shortcut"):
        return tf_keras.layers.ZeroPadding2D(
            ((0, 0), (0, sum(layer.padding[1]))), data_format="channels_first", name=layer.name
        )
    return torch_norm(layer)


def keras_epsilon(layer):
    """Sets the epsilon of batch norm to Keras' default."""
    copy = torch_norm(layer)
    if isinstance(layer, tf_keras.layers.BatchNormalization):
        copy.epsilon = 1e-3
    return copy


@pytest.mark.parametrize("change", [same_padding, zeros_behind, keras_epsilon])
def test_a_network_that_differs_in_one_detail_does_not_agree(recorded, change):
    logits = official(recorded, change)(images(recorded)).numpy()
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(logits, recorded["logits_eval_init"], rtol=0, atol=1e-6)


def test_the_running_variance_of_the_stock_network_in_float64_does_not_agree(recorded):
    model = official(recorded, lambda layer: type(layer).from_config(layer.get_config()))
    model(images(recorded), training=True)
    variance = model.get_layer("stage3_block1_bn2").moving_variance.numpy()
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(variance, recorded["running1/layer3.0.bn2.running_var"], rtol=0, atol=1e-6)
