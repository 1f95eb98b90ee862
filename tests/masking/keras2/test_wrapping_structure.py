"""wrap and strip keep the structure of a model: layers, classes, train steps, losses, dtypes."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking
from dlth_tf.masking import MaskedLayer
from dlth_tf.masking.keras2.weights import leaf_layers
from tests.masking.keras2.wrapped_models import removed
from tests.masking.kinds import (
    KINDS,
    Block,
    Subclassed,
    difference,
    fit_kind,
    functional,
    nested,
    normal,
)
from tests.masking.networks import compiled, mlp, same, train, weights

L = tf_keras.layers


def test_batch_norm_and_dropout_behave_the_same_in_training():
    kind = KINDS["conv2d, batch norm, dropout"]
    outcomes = []
    for model in (kind.model(), dlth.wrap(kind.model())):
        tf_keras.utils.set_random_seed(1)
        outcomes.append((np.asarray(model(kind.inputs(), training=True)), weights(model)))
    np.testing.assert_array_equal(outcomes[0][0], outcomes[1][0])
    assert same(outcomes[0][1], outcomes[1][1])
    assert difference(outcomes[0][0], kind.model()(kind.inputs())) > 1e-3, "the twin: inference differs"


def test_padding_stays_masked():
    kind = KINDS["embedding, lstm"]
    model = dlth.wrap(kind.model())
    words = kind.inputs()
    embed = model.get_layer("embed")
    mix = model.get_layer("mix")
    np.testing.assert_array_equal(embed.compute_mask(words), words != 0)
    np.testing.assert_array_equal(mix(embed(words))._keras_mask, words != 0)


def test_a_shared_layer_has_one_mask_and_is_used_wherever_it_was():
    model = removed(nested())
    assert len({id(layer) for layer in leaf_layers(model) if isinstance(layer, MaskedLayer)}) == 3
    assert model.get_layer("shared") is model.get_layer("middle").get_layer("shared")


def test_a_subclassed_model_is_changed_in_place_and_keeps_its_structure():
    model = Subclassed()
    model(normal(6, 6)())
    names = [variable.name for variable in model.trainable_variables]
    assert dlth.wrap(model) is model
    assert model.stem is model.again and isinstance(model.stem, MaskedLayer)
    assert isinstance(model.block, Block) and isinstance(model.block._gate, MaskedLayer)
    assert [isinstance(layer, MaskedLayer) for layer in model.block.chain] == [True, False, True]
    assert isinstance(model.block.by_name["more"][0], MaskedLayer)
    assert [variable.name for variable in model.trainable_variables] == names, (
        "weights, and so first and last, keep their order"
    )
    assert dlth.strip(removed(model)).stem.name == "stem"


def test_a_model_is_not_changed_by_wrapping_it_if_it_is_no_subclass():
    model = nested()
    assert dlth.wrap(model) is not model
    assert not any(isinstance(layer, MaskedLayer) for layer in leaf_layers(model))


class OwnStep(tf_keras.Model):
    def train_step(self, data):
        return {**super().train_step(data), "gamma": tf.constant(self.gamma)}


class OwnStepAnyConstructor(OwnStep):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.gamma = 3.0


class OwnStepOwnConstructor(OwnStep):
    def __init__(self, units: int) -> None:
        inputs = L.Input((8,))
        hidden = L.Dense(units, name="a")
        super().__init__(inputs, L.Dense(3, name="b")(hidden(inputs)))
        self.hidden = hidden
        self.gamma = 3.0


class OwnStepSequential(tf_keras.Sequential):
    gamma = 3.0
    train_step = OwnStep.train_step


def own_step() -> OwnStep:
    inputs = L.Input((8,))
    model = OwnStep(inputs, L.Dense(3, name="b")(L.Dense(4, name="a")(inputs)))
    model.gamma = 3.0
    return model


def any_constructor() -> OwnStepAnyConstructor:
    inputs = L.Input((8,))
    return OwnStepAnyConstructor(inputs=inputs, outputs=L.Dense(3, name="b")(L.Dense(4, name="a")(inputs)))


@pytest.mark.parametrize(
    "build", [own_step, any_constructor, lambda: OwnStepOwnConstructor(4)], ids=["plain", "any", "own"]
)
def test_a_functional_subclass_keeps_its_train_step_and_attributes(build):
    original = build()
    model = removed(original)
    assert type(model) is type(original)
    assert train(compiled(model), [dlth.callbacks.KeepMask()]).history["gamma"] == [3.0]
    plain = dlth.strip(model)
    assert type(plain) is type(original) and plain.gamma == 3.0


def test_a_layer_in_an_attribute_of_a_functional_subclass_is_the_one_in_its_graph():
    model = dlth.wrap(OwnStepOwnConstructor(4))
    assert model.hidden is model.get_layer("a")
    assert dlth.strip(removed(model)).hidden.name == "a"


def test_a_sequential_subclass_keeps_its_class():
    model = dlth.wrap(OwnStepSequential([L.Input((8,)), L.Dense(4, name="a"), L.Dense(3, name="b")]))
    assert isinstance(model, OwnStepSequential) and isinstance(dlth.strip(removed(model)), OwnStepSequential)


@pytest.mark.parametrize("name", ["model.keras", "model"])
def test_wrapping_a_compiled_model_gives_one_that_is_not(name, tmp_path):
    original = compiled(mlp())
    train(original, [])
    model = dlth.wrap(original)
    assert original.optimizer is not None and model.optimizer is None
    with pytest.raises(RuntimeError, match="must compile your model"):
        train(model, [])
    model.save(tmp_path / name)
    assert tf_keras.models.load_model(tmp_path / name).optimizer is None


def test_a_subclassed_model_stays_as_it_was_compiled():
    kind = KINDS["subclassed"]
    model = kind.model()
    fit_kind(kind, model, [], run_eagerly=True)
    optimizer = model.optimizer
    removed(model)
    targets = model(kind.inputs()) + 1
    model.fit(kind.inputs(), targets, verbose=0, callbacks=[dlth.callbacks.KeepMask()])
    assert model.optimizer is optimizer and int(optimizer.iterations) == 4
    dlth.strip(model)


def test_regularizer_losses_are_those_of_the_plain_network():
    def build():
        layers = [
            L.Dense(5, activity_regularizer="l2", kernel_regularizer="l1", name="a"),
            L.Dense(2, bias_regularizer="l2", name="b"),
        ]
        tf_keras.utils.set_random_seed(0)
        return functional((8,), *layers)

    plain = build()
    model = dlth.wrap(build())
    for network in (plain, model):
        network(normal(6, 8)())
    losses = [float(loss) for loss in plain.losses]
    assert len(losses) == 3 and min(losses[:2]) > 0
    assert [float(loss) for loss in model.losses] == losses


def test_a_frozen_layer_stays_frozen():
    model = mlp()
    model.layers[0].trainable = False
    assert [layer.trainable for layer in dlth.wrap(model).layers] == [False, True, True]


def test_wrap_keeps_the_dtype_of_a_layer():
    model = dlth.wrap(functional((8,), L.Dense(4, dtype="float64", name="a"), L.Dense(2, dtype="float64", name="b")))
    assert {entry.mask.dtype for entry in masking.prunable_weights(model).values()} == {tf.float64}
    assert model(normal(2, 8)()).dtype == tf.float64
