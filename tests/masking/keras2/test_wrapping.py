"""wrap and strip on every kind of network: nothing but the zeros may change."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras

import dlth_tf as dlth
from dlth_tf import BadInput, masking
from dlth_tf.masking import MaskedLayer
from dlth_tf.masking.keras2.weights import leaf_layers
from tests.masking.networks import (
    KINDS,
    Block,
    Kind,
    Subclassed,
    batches,
    compiled,
    difference,
    fit_kind,
    functional,
    kernels,
    mlp,
    nested,
    normal,
    same,
    train,
    weights,
    wrapped,
)

L = tf_keras.layers


@pytest.fixture(params=KINDS, ids=str)
def kind(request) -> Kind:
    return KINDS[request.param]


def removed(model: tf_keras.Model, sparsity: float = 0.5) -> tf_keras.Model:
    model = dlth.wrap(model)
    dlth.apply_ticket(model, dlth.random_ticket(model, sparsity, dense_layers="none"), remove=True)
    return model


# every kind of network ---------------------------------------------------------------------------------------------


def test_wrap_finds_the_prunable_weights_in_model_order_and_shares_all_weights(kind):
    model = kind.model()
    before = masking.named_weights(model)
    model = dlth.wrap(model)
    assert tuple(masking.prunable_weights(model)) == kind.prunable
    after = masking.named_weights(model)
    assert before.keys() == after.keys() and all(after[name] is variable for name, variable in before.items())


def test_wrap_and_strip_change_no_output(kind):
    model, inputs = kind.model(), kind.inputs()
    plain = model(inputs)
    model = dlth.wrap(model)
    assert difference(model(inputs), plain) == 0.0
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.5, dense_layers="none"), remove=True)
    sparse = model(inputs)
    assert difference(sparse, plain) > 1e-3, "the twin: a difference of outputs is seen"
    assert difference(dlth.strip(model)(inputs), sparse) == 0.0


@pytest.mark.parametrize(
    "name",
    [
        "conv2d, batch norm, dropout",
        "embedding, lstm",
        "attention",
        "operations, many inputs and outputs",
        "subclassed",
    ],
)
def test_a_wrapped_network_trains_like_the_plain_one_to_the_last_bit(name):
    kind = KINDS[name]
    plain, model = kind.model(), dlth.wrap(kind.model())
    first, logs = weights(model), []
    for network in (plain, model):
        tf_keras.utils.set_random_seed(1)  # for dropout
        logs.append(fit_kind(kind, network, [], run_eagerly=True).history)
    assert logs[0] == logs[1] and np.isfinite(logs[0]["loss"]).all()
    assert same(weights(plain), weights(model))
    assert not same(weights(model), first)


def test_the_stripped_network_is_an_ordinary_one_with_exact_zeros(kind):
    before, model = weights(kind.model()), removed(kind.model())
    masks = {name: entry.kept() for name, entry in masking.prunable_weights(model).items()}
    plain = dlth.strip(model)
    assert not any(isinstance(layer, MaskedLayer) for layer in leaf_layers(plain))
    after = weights(plain)
    for name, value in after.items():
        kept = masks.get(name, np.ones(value.shape, bool))
        assert value[kept].tobytes() == before[name][kept].tobytes(), "kept weights are bit-untouched"
        assert value[~kept].tobytes() == np.zeros((~kept).sum(), value.dtype).tobytes(), (
            "removed weights are positive zeros"
        )
    assert all((~mask).sum() == -(-mask.size // 2) for mask in masks.values())
    assert [type(layer) for layer in leaf_layers(plain)] == [type(layer) for layer in leaf_layers(kind.model())]


# what the kinds share ----------------------------------------------------------------------------------------------


def test_batch_norm_and_dropout_behave_the_same_in_training():
    kind = KINDS["conv2d, batch norm, dropout"]
    outcomes = []
    for model in (kind.model(), dlth.wrap(kind.model())):
        tf_keras.utils.set_random_seed(1)
        outcomes.append((np.asarray(model(kind.inputs(), training=True)), weights(model)))
    np.testing.assert_array_equal(outcomes[0][0], outcomes[1][0])
    assert same(outcomes[0][1], outcomes[1][1])
    assert difference(outcomes[0][0], kind.model()(kind.inputs())) > 1e-3, "the twin: inference is something else"


def test_padding_stays_masked():
    kind = KINDS["embedding, lstm"]
    model, words = dlth.wrap(kind.model()), kind.inputs()
    embed, mix = model.get_layer("embed"), model.get_layer("mix")
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
        inputs, self_hidden = L.Input((8,)), L.Dense(units, name="a")
        super().__init__(inputs, L.Dense(3, name="b")(self_hidden(inputs)))
        self.hidden, self.gamma = self_hidden, 3.0


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

    plain, model = build(), dlth.wrap(build())
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


# what stays dense --------------------------------------------------------------------------------------------------


class Prunable(L.Layer):
    def build(self, shape):
        self.kernel = self.add_weight("kernel", (shape[-1], 4))
        self.scale = self.add_weight("scale", (4,))
        super().build(shape)

    def call(self, x):
        return x @ self.kernel * self.scale

    def get_prunable_weights(self):
        return [self.kernel]


def test_layers_that_tf_mot_does_not_know_pass_through_dense():
    layers = [
        L.Dense(6, name="a"),
        L.EinsumDense("ab,bc->ac", 6),
        L.Reshape((2, 3)),
        L.Bidirectional(L.LSTM(2)),
        L.Dense(2, name="b"),
    ]
    model = functional((8,), *layers)
    inputs = normal(6, 8)()
    plain, model = model(inputs), dlth.wrap(model)
    assert tuple(masking.prunable_weights(model)) == kernels("a", "b")
    assert difference(model(inputs), plain) == 0.0


def test_a_custom_layer_that_names_its_prunable_weights_is_pruned():
    model = removed(functional((8,), Prunable(name="own"), L.Dense(2, name="out")))
    assert tuple(masking.prunable_weights(model)) == ("own/kernel", "out/kernel")
    assert np.count_nonzero(masking.named_weights(dlth.strip(model))["own/kernel"].numpy()) == 16


def test_skip_and_only_take_names_and_patterns():
    assert tuple(masking.prunable_weights(dlth.wrap(mlp(), skip="fc*"))) == kernels("out")
    assert tuple(masking.prunable_weights(dlth.wrap(mlp(), skip=["fc1", "out"]))) == kernels("fc2")
    assert tuple(masking.prunable_weights(dlth.wrap(mlp(), only="fc1, out"))) == kernels("fc1", "out")
    assert tuple(masking.prunable_weights(dlth.wrap(mlp(), only="fc*", skip="fc2"))) == kernels("fc1")


def test_wrapping_twice_is_wrapping_once():
    model = dlth.wrap(mlp())
    assert dlth.wrap(model) is model
    partly = dlth.wrap(mlp(), only="fc1")
    assert tuple(masking.prunable_weights(dlth.wrap(partly))) == kernels("fc1", "fc2", "out")


# what is refused ---------------------------------------------------------------------------------------------------


def attention_that_was_never_called() -> tf_keras.Model:
    class Model(tf_keras.Model):
        def __init__(self):
            super().__init__()
            self.mha = L.MultiHeadAttention(2, 3)

    return Model()


def keras_3_model():
    import keras

    return keras.Sequential([keras.layers.Input((8,)), keras.layers.Dense(2)])


def stock_wrapped() -> tf_keras.Model:
    return tfmot.sparsity.keras.prune_low_magnitude(mlp())


@pytest.mark.parametrize(
    ("build", "arguments", "sentence"),
    [
        (keras_3_model, {}, r"model=keras\..*Sequential: is a model of Keras 3, and only models of Keras 2 are supported: build it with tf_keras"),
        (lambda: L.Dense(3), {}, "model=Dense: must be a tf_keras.Model"),
        (stock_wrapped, {}, "tf-mot's own wrapper prune_low_magnitude_fc1: call .*strip_pruning first"),
        (mlp, {"skip": "conv*"}, r"skip=conv\*: matches no layer; the model has fc1, fc2, out"),
        (mlp, {"only": ["fc1", "head"]}, "only=head: matches no layer"),
        (mlp, {"skip": "*"}, "model=mlp: has no layer that tf-mot can prune"),
        (lambda: functional((8,), L.ReLU(), L.BatchNormalization()), {}, "has no layer that tf-mot can prune"),
        (attention_that_was_never_called, {}, "is not built yet .*call it once on a batch"),
    ],
)  # fmt: skip
def test_wrap_refuses(build, arguments, sentence):
    with pytest.raises(BadInput, match=sentence):
        dlth.wrap(build(), **arguments)


def test_strip_refuses_a_network_that_is_not_wrapped():
    with pytest.raises(BadInput, match=r"is not wrapped \(call model = dlth_tf.wrap"):
        dlth.strip(mlp())


def test_strip_refuses_a_ticket_that_is_chosen_but_not_removed():
    model = wrapped(remove=False)
    with pytest.raises(BadInput, match="has a ticket for fc1/kernel but its weights are not removed yet"):
        dlth.strip(model)
    masking.remove(model)
    dlth.strip(model)


def test_strip_refuses_a_second_ticket_that_is_chosen_but_not_removed():
    model = wrapped(0.5)
    sparser = dlth.random_ticket(model, 0.8)
    assert all((sparser[name] <= ticket).all() for name, ticket in masking.chosen_ticket(model).items()), (
        "the same scores decide"
    )
    masking.choose(model, sparser)
    with pytest.raises(BadInput, match="not removed yet"):
        dlth.strip(model)


def test_strip_refuses_removed_weights_that_came_back():
    model = compiled(wrapped())
    train(model, [])
    with pytest.raises(BadInput, match=r"removed weights in fc1/kernel that are not zero.*KeepMask"):
        dlth.strip(model)


def test_strip_of_a_network_without_a_ticket_is_the_network():
    model = mlp()
    before = weights(model)
    assert same(weights(dlth.strip(dlth.wrap(model))), before)


def test_a_stripped_network_trains_on_as_any_other():
    plain = dlth.strip(wrapped())
    history = compiled(plain).fit(batches(4), epochs=3, verbose=0).history["loss"]
    assert history[-1] < history[0]
