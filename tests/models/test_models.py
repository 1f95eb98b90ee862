"""Properties of every registered network, in a small form."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf
from dlth_tf import masking, models
from dlth_tf.errors import BadInput
from dlth_tf.models import MODELS
from dlth_tf.models.parts import ConvBlock
from tests.models.small import ONE_OF_EACH, SMALL, small, unchanged

layers = tf_keras.layers
SHALLOW = tuple(name for name in ONE_OF_EACH if name not in ("resnet18", "mobilenet_v2"))


def slow_but(quick: Sequence[str], names: Sequence[str]) -> list:
    """Returns the names as parameters, marked as slow except those in `quick`."""
    return [pytest.param(name, marks=() if name in quick else pytest.mark.slow) for name in names]


def images(name: str, count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((count, *SMALL[name][0])).astype(np.float32)


@pytest.mark.fast_cases("lenet5", "mlp_7_relu", "resnet8", "mobilenet_v2")
@pytest.mark.slow_cases("lenet_300_100", "mlp", "resnet20", "resnet18", "resnet50", "wrn_16_2", "vgg11", "mobilenet_v1")
@pytest.mark.parametrize("name", slow_but(ONE_OF_EACH, MODELS.names()))
def test_returns_logits_for_images(name):
    logits = unchanged(name)(images(name)).numpy()
    assert logits.shape == (3, 7) and np.isfinite(logits).all() and not np.allclose(logits[0], logits[1])
    assert (logits < 0).any()  # no softmax, no ReLU at the end


@pytest.mark.fast_cases("lenet5", "resnet8")
@pytest.mark.slow_cases("mlp_7_relu", "wrn_16_2", "vgg11")
@pytest.mark.parametrize("name", slow_but(SHALLOW, ONE_OF_EACH))
def test_the_same_seed_gives_the_same_network_and_another_seed_other_weights(name):
    first = unchanged(name)
    layers.Dense(3).build((None, 3))  # other draws make no difference
    again, other = small(name), small(name, seed=1)
    assert [weight.name for weight in first.weights] == [weight.name for weight in again.weights]
    for one, two, three in zip(first.weights, again.weights, other.weights, strict=True):
        assert np.array_equal(one, two)
        # Biases and batch norm start at constants.
        assert len(one.shape) < 2 or not np.array_equal(one, three), one.name


@pytest.mark.fast_cases("mlp_7_relu", "resnet8")
@pytest.mark.parametrize(
    "name",
    slow_but(
        ("mlp_7_relu", "resnet8", "mobilenet_v2"),
        ("mlp_7_relu", "resnet8", "resnet18", "wrn_16_2", "vgg11", "mobilenet_v2"),
    ),
)
def test_one_training_step_of_the_sparse_network(name):
    model = dlth_tf.wrap(small(name))
    before = {key: weight.numpy() for key, weight in masking.named_weights(model).items()}
    model.compile(
        dlth_tf.optimizers.SGD(0.05, momentum=0.9),
        tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        run_eagerly=True,  # one step is not worth a trace
    )
    mask = dlth_tf.callbacks.RandomMask(sparsity=0.5, seed=0, remove=True)
    history = model.fit(images(name, 8), np.arange(8) % 7, batch_size=8, verbose=0, callbacks=[mask])
    assert np.isfinite(history.history["loss"]).all()
    ticket = masking.chosen_ticket(model)
    assert ticket.sparsity == pytest.approx(0.5, abs=0.01)
    after = {key: weight.numpy() for key, weight in masking.named_weights(model).items()}
    assert all((after[key][~ticket[key]] == 0).all() for key in ticket)
    constant = [key for key in after if np.array_equal(after[key], before[key])]
    assert constant == [], "no gradient reaches them"


@pytest.mark.slow_cases("lenet5", "resnet8", "vgg11")
@pytest.mark.slow
@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_converts_to_tflite(name):
    model = unchanged(name)
    interpreter = tf.lite.Interpreter(model_content=tf.lite.TFLiteConverter.from_keras_model(model).convert())
    interpreter.allocate_tensors()
    image = images(name, 1)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    np.testing.assert_allclose(
        interpreter.get_tensor(interpreter.get_output_details()[0]["index"]), model(image), rtol=0, atol=1e-4
    )


@pytest.mark.fast_cases("lenet5", "resnet8")
@pytest.mark.parametrize("name", slow_but(SHALLOW, ONE_OF_EACH))
def test_width_multiplies_every_size_in_fine_steps_and_leaves_one_unit(name):
    def build(width: float) -> tuple[tf_keras.Model, list[int]]:
        model = MODELS.load(name)(SMALL[name][0], 7, **{**SMALL[name][1], "width": width})
        return model, [layer.kernel.shape[-1] for layer in model.layers if hasattr(layer, "kernel")]

    whole, fine = build(1.0)[1], build(0.51)[1]
    # The expanded features of MobileNetV2 are six times what was rounded.
    assert fine == [*[pytest.approx(0.51 * size, abs=3.0 if name == "mobilenet_v2" else 0.5) for size in whole[:-1]], 7]
    assert sum(fine) != sum(max(1, round(0.5 * size)) for size in whole)
    model, thin = build(1e-9)
    assert set(thin[:-1]) <= {1, 6} and np.isfinite(model(images(name))).all()


@pytest.mark.fast_cases("resnet8")
@pytest.mark.slow_cases("vgg11", "resnet18")
@pytest.mark.parametrize("name", ["resnet8", "resnet18", "wrn_16_2", "vgg11", "mobilenet_v1"])
def test_batch_norm_can_be_synchronized(name):
    norms = [layer for layer in small(name, norm="sync_batch").layers if isinstance(layer, layers.BatchNormalization)]
    assert norms and all(layer.synchronized for layer in norms)


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["sync_batch", "batch"])
def test_only_synchronized_batch_norm_is_the_same_on_two_replicas(norm, tmp_path):
    command = [sys.executable, "-m", "tests.models.two_replicas", norm, str(tmp_path / "apart.npz")]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2], capture_output=True)
    with np.load(tmp_path / "apart.npz") as apart:
        largest = max(apart.values())
    assert largest < 1e-5 if norm == "sync_batch" else largest > 1e-2


def test_vgg_without_batch_norm_has_biases_instead():
    model = small("vgg11", norm="none")
    convolutions = [layer for layer in model.layers if isinstance(layer, layers.Conv2D)]
    assert len(convolutions) == 8 and all(layer.use_bias for layer in convolutions)
    assert not [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    assert not [layer for layer in small("vgg11").layers if isinstance(layer, layers.Conv2D) and layer.use_bias]


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        *[
            (name, {"width": width}, "width must be a finite number above 0")
            for name in ONE_OF_EACH
            for width in (0, -1.0)
        ],
        *[("resnet8", {"width": width}, "width must be a finite number above 0") for width in ("wide", True, None)],
        *[("resnet8", {"width": width}, "width must be a finite number") for width in (float("nan"), float("inf"))],
        ("resnet8", {"norm": "none"}, "norm must be batch or sync_batch"),
        ("mobilenet_v1", {"norm": None}, "norm must be batch or sync_batch"),
        ("vgg11", {"norm": "layer"}, "norm must be batch or sync_batch or none"),
        ("resnet18", {"stem": "mnist"}, "stem must be imagenet or cifar"),
        ("mobilenet_v2", {"stem": ["cifar"]}, "stem must be imagenet or cifar"),
        ("resnet8", {"depth": 20}, "resnet8 does not take them: it takes .*width"),
        ("wrn_16_2", {"factor": 4}, "wrn_16_2 does not take them"),
        ("mlp_7_relu", {"activation": "tanh"}, "mlp_7_relu does not take them: it takes width"),
        ("lenet5", {"image_shape": 3}, "lenet5 does not take them"),
        ("vgg11", {"stem": "cifar"}, "vgg11 does not take them"),
    ],
    ids=str,
)
def test_arguments_that_a_network_does_not_take_are_refused(name, arguments, message):
    with pytest.raises(BadInput, match=message) as refused:
        models.build(name, (32, 32, 3), 10, 0, arguments)
    assert refused.value.thing == "model_args" and refused.value.value == arguments and refused.value.__cause__ is None


@pytest.mark.fast_cases("lenet5-4-{}", "resnet8-3-{}", "vgg11-17-{}")
@pytest.mark.parametrize(
    ("name", "least", "arguments"),
    [
        ("lenet5", 4, {}),
        ("resnet8", 3, {}),
        ("wrn_16_2", 3, {}),
        ("resnet18", 17, {}),
        ("resnet18", 5, {"stem": "cifar"}),
        ("vgg11", 17, {}),
        ("mobilenet_v1", 17, {}),
        ("mobilenet_v2", 5, {"stem": "cifar"}),
    ],
    ids=str,
)
def test_images_too_small_for_a_network_are_refused_and_the_smallest_work(name, least, arguments):
    for shape in ((least - 1, 64, 3), (64, least - 1, 3), (64,), (64, 64), (2, 64, 64, 3), (64, 64, 0)):
        with pytest.raises(BadInput, match=rf"model={name}: needs images of shape .* at least {least}, not"):
            models.build(name, shape, 10, 0, arguments)
    model = models.build(name, (least, least + 1, 2), 10, 0, {**arguments, "width": 0.1})
    assert np.isfinite(model(np.ones((2, least, least + 1, 2), np.float32))).all()
    # No layer has to halve a single pixel: otherwise twice the pixels would lead to the same last features.
    assert all(min(layer.input_shape[1:3]) > 1 for layer in model.layers if getattr(layer, "strides", (1, 1)) == (2, 2))


def test_mlps_take_any_shape():
    for shape in ((5,), (5, 1), (1, 5, 1, 1)):
        assert models.build("mlp_7_relu", shape, 3, 0).count_params() == 51_403


def test_names_are_checked_without_importing_tensorflow():
    code = (
        "import sys\nfrom dlth_tf import models\nfrom dlth_tf.errors import BadInput\n"
        "models.check_name('resnet56'), models.check_name('mine:net'), models.check_name('keras_cv:ResNet18Backbone')\n"
        "for name in ('resnet57', 'keras_cv:ResNet19Backbone'):\n"
        "    try: models.check_name(name)\n"
        "    except BadInput as error: print(error)\n"
        "assert not {'tensorflow', 'keras_cv', 'tf_keras'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first.startswith("model=resnet57: no such model; did you mean resnet56")
    assert second.startswith("model=keras_cv:ResNet19Backbone: no such backbone; did you mean keras_cv:ResNet1")


def test_models_are_listed_and_suggested():
    assert models.check_name("lenet5") == "lenet5" and models.check_name("mine:net") == "mine:net"
    with pytest.raises(BadInput, match="did you mean lenet5"):
        models.check_name("lenet55")


def test_a_misspelled_norm_is_refused_by_the_layer():
    with pytest.raises(BadInput, match="norm must be batch or sync_batch"):
        ConvBlock(1.0, "Batch").normalize(tf.zeros((1, 2, 2, 1)), "bn")
