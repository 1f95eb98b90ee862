"""A rebuilt model is an ordinary model of its own: one graph, every loss once, the model before untouched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking
from dlth_tf.masking.keras2.weights import is_wrapped
from tests.masking.keras2.wrapped_models import removed
from tests.masking.kinds import Block, normal
from tests.masking.networks import compiled, mlp, same, train, weights

L = tf_keras.layers


def sequential() -> tf_keras.Model:
    layers = [L.Input((6, 6, 2)), L.Conv2D(4, 3, name="conv"), L.BatchNormalization(name="norm"), L.ReLU(name="relu")]
    return tf_keras.Sequential([*layers, L.GlobalAveragePooling2D(), L.Dense(3, name="out")])


def base(name: str = "base") -> tf_keras.Model:
    inputs = L.Input((6, 6, 2))
    hidden = L.ReLU(name="relu")(L.BatchNormalization(name="norm")(L.Conv2D(4, 3, name="conv")(inputs)))
    return tf_keras.Model(inputs, hidden, name=name)


def with_base() -> tf_keras.Model:
    inputs = L.Input((6, 6, 2))
    return tf_keras.Model(inputs, L.Dense(3, name="out")(L.GlobalAveragePooling2D(name="pool")(base()(inputs))))


def siamese() -> tf_keras.Model:
    """Builds one tower that is used twice, and a layer that is shared with it."""
    tower = base("tower")
    pool = L.GlobalAveragePooling2D(name="pool")
    one, other = L.Input((6, 6, 2)), L.Input((6, 6, 2))
    apart = L.Subtract(name="apart")([pool(tower(one)), pool(tower(other))])
    return tf_keras.Model([one, other], L.Dense(3, name="out")(apart))


def operations() -> tf_keras.Model:
    inputs = L.Input((6, 6, 2))
    hidden = tf.nn.relu(L.Conv2D(4, 3, name="conv")(inputs)) * 2.0
    return tf_keras.Model(inputs, L.Dense(3, name="out")(tf.reshape(hidden, (-1, 64))[:, ::2]))


def subclassed_inside() -> tf_keras.Model:
    inputs = L.Input((6, 6, 2))
    hidden = Block("block")(L.Dense(6, name="in")(L.GlobalAveragePooling2D(name="pool")(inputs)))
    return tf_keras.Model(inputs, L.Dense(3, name="out")(hidden))


BUILDS: dict[str, Callable[[], tf_keras.Model]] = {
    "sequential": sequential,
    "nested": with_base,
    "siamese": siamese,
    "operations": operations,
    "subclassed inside": subclassed_inside,
}
every_build = pytest.mark.parametrize("build", BUILDS.values(), ids=BUILDS)


def pictures(model: tf_keras.Model) -> Any:
    """Returns a batch for each input of the model."""
    batch = normal(4, 6, 6, 2)()
    return batch if len(model.inputs) == 1 else [batch, batch[::-1].copy()]


def rebuilt(model: tf_keras.Model) -> dict[str, tf_keras.Model]:
    """Returns the model wrapped, stripped, and wrapped and stripped once more."""
    wrapped = dlth.wrap(model)
    stripped = dlth.strip(wrapped)
    again = dlth.wrap(stripped)
    return {"wrapped": wrapped, "stripped": stripped, "wrapped again": again, "stripped again": dlth.strip(again)}


def graphs(model: tf_keras.Model) -> Iterator[tf_keras.Model]:
    """Yields the model and the nested ones that have a graph."""
    yield model
    for layer in model.layers:
        if isinstance(layer, tf_keras.Model) and layer._is_graph_network:
            yield from graphs(layer)


@pytest.mark.fast_cases("siamese", "subclassed inside")
@every_build
def test_every_layer_of_a_rebuilt_model_is_called_in_its_graph_alone(build):
    original = build()
    for model in [*rebuilt(original).values(), original]:
        for graph in graphs(model):
            nodes = {id(node) for depth in graph._nodes_by_depth.values() for node in depth}
            for layer in graph._self_tracked_trackables:
                assert layer._inbound_nodes and all(id(node) in nodes for node in layer._inbound_nodes), layer.name


@pytest.mark.fast_cases("operations", "subclassed inside")
@every_build
def test_names_are_those_of_the_model_before(build):
    original = build()
    names = [layer.name for layer in original.layers]
    for model in rebuilt(original).values():
        assert [layer.name for layer in model.layers] == names and model.name == original.name
        assert model.input_names == original.input_names and model.output_names == original.output_names


@pytest.mark.fast_cases("nested", "operations")
@every_build
def test_a_feature_extractor_can_be_cut_out_at_any_layer(build):
    original = build()
    batch = pictures(original)
    layers = [layer for layer in original.layers if len(layer._inbound_nodes) == 1]
    expected = tf_keras.Model(original.inputs, [layer.get_output_at(0) for layer in layers])(batch)
    for kind, model in rebuilt(original).items():
        outputs = [model.get_layer(layer.name).get_output_at(0) for layer in layers]
        for ours, theirs in zip(tf_keras.Model(model.inputs, outputs)(batch), expected, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5, err_msg=kind)


@pytest.mark.fast_cases("siamese", "nested")
@every_build
def test_the_model_that_was_wrapped_stays_usable_and_learns_with_the_new_one(build):
    original = build()
    batch = pictures(original)
    before = np.asarray(original(batch))
    names = [type(layer).__name__ for layer in masking.leaf_layers(original)]
    models = rebuilt(original)
    assert [type(layer).__name__ for layer in masking.leaf_layers(original)] == names
    np.testing.assert_array_equal(original(batch), before)
    for model in models.values():
        np.testing.assert_allclose(model(batch), before, atol=1e-6)
    kernel = models["wrapped"].get_layer("out").kernel
    kernel.assign(2 * kernel)
    outputs = [np.asarray(model(batch)) for model in (original, *models.values())]
    assert all(np.allclose(output, outputs[0], atol=1e-6) for output in outputs) and np.abs(outputs[0] - before).max()


def heat_map(model: tf_keras.Model, layer: Any, batch: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns the activations of a layer, and the gradients of one class's outputs with respect to them (Grad-CAM)."""
    grad_model = tf_keras.Model(model.inputs, [layer.output, model.output])
    with tf.GradientTape() as tape:
        activations, outputs = grad_model(batch)
        score = outputs[:, 1]
    return activations.numpy(), tape.gradient(score, activations).numpy()


@pytest.mark.parametrize("name", ["conv", "norm", "relu"])
def test_grad_cam_works_on_every_kind_of_layer(name):
    original = sequential()
    batch = pictures(original)
    expected = heat_map(original, original.get_layer(name), batch)
    assert np.abs(expected[1]).max() > 0
    for kind, model in rebuilt(original).items():
        for ours, theirs in zip(heat_map(model, model.get_layer(name), batch), expected, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-6, err_msg=kind)


def test_grad_cam_works_on_a_nested_base_and_inside_it():
    original = with_base()
    batch = pictures(original)
    expected = heat_map(original, original.get_layer("pool"), batch)[1]
    for kind, model in rebuilt(original).items():
        inside = model.get_layer("base")
        features = tf_keras.Model(inside.inputs, inside.get_layer("relu").output)
        head = L.Input(features.output_shape[1:])
        classify = tf_keras.Model(head, model.get_layer("out")(model.get_layer("pool")(head)))
        with tf.GradientTape() as tape:
            found = features(batch)
            tape.watch(found)
            score = classify(found)[:, 1]
        gradients = tape.gradient(score, found).numpy()
        np.testing.assert_allclose(gradients.sum((1, 2)), expected, atol=1e-5, err_msg=kind)


def with_losses() -> tf_keras.Model:
    """Builds a network with a symbolic loss, one of a function, penalties, and a metric of its own."""
    tf_keras.utils.set_random_seed(0)
    inputs = L.Input((8,))
    hidden = L.Dense(6, activity_regularizer="l2", kernel_regularizer="l1", name="hidden")(inputs)
    model = tf_keras.Model(inputs, L.Dense(3, name="out")(L.ReLU(activity_regularizer="l1", name="relu")(hidden)))
    model.add_loss(tf.reduce_mean(hidden**2))
    model.add_loss(lambda: tf.constant(0.25))
    model.add_metric(tf.reduce_max(hidden), name="largest")
    return model


def test_losses_and_metrics_are_there_once_however_often_a_model_is_rebuilt():
    original = with_losses()
    batch, targets = normal(8, 8)(), np.arange(8) % 3
    models = rebuilt(original)
    assert {kind: len(model.losses) for kind, model in models.items()} == dict.fromkeys(models, 5)
    assert len(original.losses) == 5
    expected = compiled(original).evaluate(batch, targets, verbose=0, return_dict=True)
    assert len(original.losses) == 5 and "largest" in expected
    for kind, model in models.items():
        values = compiled(model).evaluate(batch, targets, verbose=0, return_dict=True)
        assert values.keys() == expected.keys() and values == pytest.approx(expected, rel=1e-5), kind
    assert len(original.losses) == 5, "and the model before keeps its own"
    assert original.evaluate(batch, targets, verbose=0, return_dict=True) == pytest.approx(expected)


def test_a_loss_of_a_nested_model_counts_once():
    inner = with_losses()
    inputs = L.Input((8,))
    original = tf_keras.Model(inputs, L.Dense(3, name="head")(inner(inputs)))
    original(normal(4, 8)())
    expected = sum(float(loss) for loss in original.losses)
    for kind, model in rebuilt(original).items():
        model(normal(4, 8)())
        assert len(model.losses) == len(original.losses), kind
        assert sum(float(loss) for loss in model.losses) == pytest.approx(expected, rel=1e-5), kind


def test_training_a_rebuilt_model_equals_training_the_model_before():
    one, other = (compiled(model) for model in (with_losses(), dlth.strip(dlth.wrap(with_losses()))))
    histories = [train(model, [], epochs=2).history for model in (one, other)]
    assert histories[0] == histories[1] and same(weights(one), weights(other))


def test_trainable_flags_of_layers_and_models_are_kept():
    original = with_base()
    original.get_layer("base").get_layer("norm").trainable = False
    frozen = sequential()
    frozen.trainable = False
    for model in rebuilt(original).values():
        assert not model.get_layer("base").get_layer("norm").trainable and model.get_layer("base").trainable
        assert len(model.trainable_weights) == len(original.trainable_weights) == 4
    for model in rebuilt(frozen).values():
        assert not model.trainable and not model.trainable_weights
    wrapped = dlth.wrap(frozen)
    wrapped.trainable = True
    assert len(wrapped.trainable_weights) == 6


class Weighted(tf_keras.Model):
    """Has a training step and state of its own."""

    def train_step(self, data: Any) -> dict[str, Any]:
        logs = super().train_step(data)
        self.seen.assign_add(1)
        return {**logs, "factor": self.settings["factor"] * tf.ones(())}


def test_a_class_with_its_own_training_step_keeps_it_and_its_attributes():
    plain = mlp()
    original = Weighted(plain.inputs, plain.outputs)
    original.settings = {"factor": 3.0, "layer": original.get_layer("fc1")}
    original.seen = tf.Variable(0, trainable=False)
    for count, model in enumerate(rebuilt(original).values(), 1):
        assert type(model) is Weighted and model.settings["layer"] is model.get_layer("fc1")
        history = train(compiled(model), [], steps=1).history
        assert history["factor"] == [3.0] and int(original.seen) == count


def test_a_subclassed_model_inside_a_graph_is_copied_before_its_layers_are_exchanged():
    original = subclassed_inside()
    block = original.get_layer("block")
    wrapped = dlth.wrap(original)
    assert wrapped.get_layer("block") is not block and isinstance(block, Block)
    assert not any(isinstance(layer, masking.MaskedLayer) for layer in block.layers)
    assert isinstance(wrapped.get_layer("block").by_name["left"], masking.MaskedLayer)
    assert wrapped.get_layer("block")._gate.kernel is block._gate.kernel
    dlth.apply_ticket(wrapped, dlth.random_ticket(wrapped, 0.5, dense_layers="none"), remove=True)
    assert np.mean(block.chain[0].kernel.numpy() == 0) == 0.5, "weights are shared"
    stripped = dlth.strip(wrapped)
    assert stripped.get_layer("block") is not wrapped.get_layer("block")
    assert isinstance(wrapped.get_layer("block")._gate, masking.MaskedLayer), "strip does not unwrap it either"


class Outer(tf_keras.Model):
    """A subclassed model with another one inside, to be nested."""

    def __init__(self) -> None:
        super().__init__(name="outer")
        self.block = Block("block")
        self.end = L.Dense(6, name="end")

    def call(self, x: Any) -> Any:
        return self.end(self.block(x))


def test_nor_is_a_subclassed_model_inside_one_that_is_inside_a_graph_changed():
    inputs = L.Input((6,))
    original = tf_keras.Model(inputs, L.Dense(2, name="out")(Outer()(inputs)))
    batch = normal(4, 6)()
    before = original(batch).numpy()
    models = rebuilt(original)
    for kind, model in models.items():
        np.testing.assert_array_equal(model(batch), before, err_msg=kind)
    wrappers = {kind: sum(map(is_wrapped, masking.leaf_layers(model))) for kind, model in models.items()}
    assert wrappers == {"wrapped": 7, "stripped": 0, "wrapped again": 7, "stripped again": 0}
    assert not any(map(is_wrapped, masking.leaf_layers(original)))


def test_a_head_can_be_cut_off_and_another_put_on():
    stripped = dlth.strip(removed(with_base()))
    features = stripped.get_layer("pool").output
    model = tf_keras.Model(stripped.inputs, L.Dense(5, name="other")(features))
    wrapped = dlth.wrap(model)
    assert list(masking.prunable_weights(wrapped)) == ["conv/kernel", "other/kernel"]
    labels = np.arange(4) % 5
    mask = dlth.callbacks.RandomMask(0.5, remove=True, dense_layers="none")
    compiled(wrapped).fit(pictures(wrapped), labels, verbose=0, callbacks=[mask])
    masking.check_removed(wrapped)


def test_a_model_built_in_a_scope_can_be_wrapped_and_stripped_outside_of_it():
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        model = mlp()
    wrapped = dlth.wrap(model)
    with strategy.scope():
        compiled(wrapped)
    train(wrapped, [dlth.callbacks.RandomMask(0.5, remove=True)])
    masking.check_removed(wrapped)
    assert wrapped.distribute_strategy is strategy
    assert same(weights(dlth.strip(wrapped)), weights(wrapped))
