"""A custom model by its dotted path: requirements, and messages that name the culprit."""

from __future__ import annotations

import itertools
import textwrap

import numpy as np
import pytest
import tf_keras

from dlth_tf import models
from dlth_tf.errors import BadInput
from dlth_tf.masking import named_weights

MODULE = """
    import tensorflow as tf
    import tf_keras

    layers = tf_keras.layers

    def good(image_shape, classes, units=4):
        inputs = tf_keras.Input(image_shape)
        x = layers.Dense(units, name="hidden")(layers.Flatten()(inputs))
        return tf_keras.Model(inputs, layers.Dense(classes, name="out")(x))

    class Custom(tf_keras.Model):
        def __init__(self, classes):
            super().__init__()
            self.flat = layers.Flatten()
            self.head = layers.Dense(classes, name="head")

        def call(self, images):
            return self.head(self.flat(images))

    def subclassed(image_shape, classes):
        return Custom(classes)

    def unbuilt(image_shape, classes):
        return tf_keras.Sequential([layers.Flatten(), layers.Dense(classes, name="out")])

    def nothing(image_shape, classes):
        good(image_shape, classes)

    def keras_3(image_shape, classes):
        import keras
        return keras.Sequential([keras.Input(image_shape), keras.layers.Flatten(), keras.layers.Dense(classes)])

    def too_few(image_shape, classes):
        return good(image_shape, classes - 1)

    def two_outputs(image_shape, classes):
        inputs = tf_keras.Input(image_shape)
        return tf_keras.Model(inputs, [layers.Dense(classes)(layers.Flatten()(inputs)) for _ in range(2)])

    def feature_map(image_shape, classes):
        return tf_keras.Sequential([tf_keras.Input(image_shape), layers.Conv2D(classes, 3)])

    def other_images(image_shape, classes):
        return good((28, 28, 3), classes)

    def any_images(image_shape, classes):
        inputs = tf_keras.Input((None, None, image_shape[-1]))
        x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, name="conv")(inputs))
        return tf_keras.Model(inputs, layers.Dense(classes, name="out")(x))

    def two_inputs(image_shape, classes):
        inputs = [tf_keras.Input(image_shape), tf_keras.Input((3,))]
        return tf_keras.Model(inputs, layers.Dense(classes)(layers.Flatten()(inputs[0])))

    def raises(image_shape, classes):
        return {}["my own mistake"]

    class Broken(Custom):
        def call(self, images):
            raise NotImplementedError("to be written")

    def fails_when_built(image_shape, classes):
        return Broken(classes)

    def takes_nothing():
        pass

    number = 3
"""
NUMBERS = itertools.count()


@pytest.fixture
def module(tmp_path, monkeypatch) -> str:
    """Writes an importable module and returns its name, a new one for every test."""
    name = f"their_models_{next(NUMBERS)}"
    (tmp_path / f"{name}.py").write_text(textwrap.dedent(MODULE))
    monkeypatch.syspath_prepend(tmp_path)
    return name


def build(path: str, **arguments) -> tf_keras.Model:
    return models.build(path, (8, 8, 1), 10, 0, arguments)


@pytest.mark.parametrize("name", ["good", "subclassed", "unbuilt", "any_images"])
def test_functional_subclassed_and_unbuilt_models_work(module, name):
    model = build(f"{module}:{name}")
    again = build(f"{module}:{name}")
    assert model(np.zeros((2, 8, 8, 1), np.float32)).shape == (2, 10)
    for weight, other in zip(named_weights(model).values(), named_weights(again).values(), strict=True):
        assert np.array_equal(weight.numpy(), other.numpy())


def test_arguments_reach_the_function(module):
    assert build(f"{module}:good", units=9).get_layer("hidden").units == 9


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("god", r"no such name in their_models_\d+; did you mean good"),
        ("nothing", "must return a tf_keras.Model of Keras 2 (tf_keras), not builtins.NoneType"),
        ("keras_3", "must return a tf_keras.Model of Keras 2 (tf_keras), not keras."),
        ("too_few", "must return 10 logits per image, but its output has shape (None, 9)"),
        ("two_outputs", "must return 10 logits per image, but its output has shape ["),
        ("feature_map", "must return 10 logits per image, but its output has shape (None, 6, 6, 10)"),
        ("other_images", "must take images of shape [8, 8, 1], but takes (None, 28, 28, 3)"),
        ("two_inputs", "must take images of shape [8, 8, 1], but takes (None, 8, 8, 1), (None, 3)"),
    ],
)
def test_another_result_is_refused_in_one_sentence_without_a_traceback(module, name, message):
    with pytest.raises(BadInput) as refused:
        build(f"{module}:{name}")
    assert refused.value.thing == "model" and refused.value.value == f"{module}:{name}"
    assert refused.value.__cause__ is None
    if name == "god":
        assert refused.match(message)
    else:
        assert message in str(refused.value)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("no_such_package:net", "there is no module no_such_package"),
        ("dlth_tf.no_such_module:net", "there is no module dlth_tf.no_such_module"),
        (":net", "must have the form package.module:function"),
        ("package:", "must have the form package.module:function"),
        ("..up:net", "must have the form package.module:function"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused_in_one_sentence(path, message):
    with pytest.raises(BadInput, match=message) as refused:
        build(path)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("raises", KeyError),
        ("fails_when_built", Exception),
        ("takes_nothing", TypeError),
        ("number", TypeError),
    ],
)
def test_an_exception_inside_is_kept_as_the_cause(module, name, kind):
    with pytest.raises(BadInput, match="failed with ") as refused:
        build(f"{module}:{name}")
    assert isinstance(refused.value.__cause__, kind)


def test_an_exception_while_the_module_is_imported_is_kept_as_the_cause(tmp_path, monkeypatch):
    (tmp_path / "their_broken_module.py").write_text("import tensorflow\n1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BadInput, match="model=their_broken_module:net: failed with ZeroDivisionError") as refused:
        build("their_broken_module:net")
    assert isinstance(refused.value.__cause__, ZeroDivisionError)
