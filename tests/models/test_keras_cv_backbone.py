"""keras-cv's backbones by name: configurations, checked against published counts, and behavior as networks."""

from __future__ import annotations

import numpy as np
import pytest
import tf_keras

import dlth_tf
from dlth_tf import masking, models
from dlth_tf.errors import BadInput
from dlth_tf.legacy_keras import import_keras_cv
from dlth_tf.models.keras_cv_backbone import BACKBONES, PREFIX

# Arguments of small forms of one backbone of each kind.
THIN = {"stackwise_filters": [64, 4, 8, 8], "stackwise_blocks": [2, 2, 2, 2]}
SMALL = {
    "ResNet18Backbone": THIN,
    "ResNet50V2Backbone": THIN,
    "DenseNet121Backbone": {"stackwise_num_repeats": [1, 2], "growth_rate": 4},
    "EfficientNetV1B0Backbone": {"width_coefficient": 0.1, "depth_coefficient": 0.1},
    "EfficientNetLiteB0Backbone": {"depth_coefficient": 0.1},
}
QUICK = ("ResNet18Backbone",)


def some_slow(names) -> list:
    """Returns the names as parameters, all but QUICK marked as slow."""
    return [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in names]


def small(name: str, seed: int = 0) -> tf_keras.Model:
    return models.build(PREFIX + name, (17, 18, 1), 5, seed, SMALL[name])


@pytest.mark.parametrize("name", some_slow(SMALL))
def test_is_a_flat_network_that_can_be_wrapped_and_trained(name):
    model = small(name)
    assert all(type(layer).__module__.startswith("tf_keras.") for layer in model.layers)
    wrapped = dlth_tf.wrap(model)
    expected = [weight for weight in masking.named_weights(wrapped) if weight.endswith("/kernel")]
    assert list(masking.prunable_weights(wrapped)) == expected
    wrapped.compile("sgd", tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True)
    mask = dlth_tf.callbacks.RandomMask(sparsity=0.5, seed=0, remove=True)
    images = np.random.default_rng(0).standard_normal((6, 17, 18, 1)).astype(np.float32)
    assert np.isfinite(wrapped.fit(images, np.arange(6) % 5, verbose=0, callbacks=[mask]).history["loss"]).all()
    assert wrapped(images).shape == (6, 5)


@pytest.mark.parametrize("name", some_slow(SMALL))
def test_weights_are_a_function_of_the_seed_alone(name):
    first, again, other = (masking.named_weights(small(name, seed)) for seed in (0, 0, 1))
    assert first.keys() == again.keys()
    for key, weight in first.items():
        assert np.array_equal(weight, again[key])
        assert len(weight.shape) < 2 or not np.array_equal(weight, other[key]), key


def test_building_writes_nothing_to_standard_output(capfd):
    small("ResNet18Backbone")
    assert capfd.readouterr().out == ""


def test_the_names_are_keras_cvs_own():
    keras_cv = import_keras_cv()
    for name, (general, _) in BACKBONES.items():
        assert issubclass(getattr(keras_cv.models, name), getattr(keras_cv.models, general))


def counted_elsewhere(name: str) -> int:
    """Returns the number of weights below the head: as keras-cv states it, or of Keras' network of the same paper."""
    general = getattr(import_keras_cv().models, BACKBONES[name][0])
    if general.__name__.startswith("ResNet"):
        preset = name.removesuffix("Backbone").replace("V2", "_v2").lower()
        return general.presets[preset]["metadata"]["params"]
    keras_name = name.removesuffix("Backbone").replace("V1", "")
    other = getattr(tf_keras.applications, keras_name)(include_top=False, weights=None, input_shape=(32, 32, 3))
    return sum(layer.count_params() for layer in other.layers if not isinstance(layer, tf_keras.layers.Normalization))


# Millions of parameters with a head for 1000 classes, from TensorFlow's announcement of EfficientNet-Lite (2020).
LITE = {
    "EfficientNetLiteB0Backbone": 4.7,
    "EfficientNetLiteB1Backbone": 5.4,
    "EfficientNetLiteB2Backbone": 6.1,
    "EfficientNetLiteB3Backbone": 8.2,
    "EfficientNetLiteB4Backbone": 13.0,
}


@pytest.mark.slow_cases(
    "ResNet34Backbone",
    "ResNet50V2Backbone",
    "DenseNet121Backbone",
    "EfficientNetV1B0Backbone",
    "EfficientNetLiteB0Backbone",
)
@pytest.mark.parametrize("name", some_slow(BACKBONES))
def test_the_backbones_have_the_published_sizes(name):
    model = models.build(PREFIX + name, (32, 32, 3), 1000, 0)
    size = model.count_params() - model.get_layer("fc").count_params()
    if name in LITE:
        assert model.count_params() / 1e6 == pytest.approx(LITE[name], rel=0.02)
    else:
        assert size == counted_elsewhere(name)


@pytest.mark.parametrize("name", ["ResNet19Backbone", "ResNetBackbone", "YOLOV8XSBackbone", "resnet18", ""])
def test_an_unknown_backbone_is_refused_with_the_nearest_names(name):
    for refuse in (models.check_name, lambda name: models.build(name, (32, 32, 3), 10, 0)):
        with pytest.raises(
            BadInput,
            match=r"no such backbone; did you mean keras_cv:\w+( or keras_cv:\w+){0,2}\?$",
        ):
            refuse(PREFIX + name)


@pytest.mark.parametrize("arguments", [{"width": 2}, {"stackwise_blocks": 3}, {"input_shape": [8, 8, 3]}], ids=str)
def test_arguments_that_the_class_does_not_take_are_refused(arguments):
    with pytest.raises(BadInput, match="keras_cv:ResNet18Backbone does not take them"):
        models.build("keras_cv:ResNet18Backbone", (32, 32, 3), 10, 0, arguments)


def test_small_images_are_refused():
    with pytest.raises(BadInput, match=r"needs images of shape .* at least 17, not"):
        models.build("keras_cv:DenseNet121Backbone", (8, 8, 3), 10, 0)
