"""The wrapper passes on what its layer has, and what cannot be wrapped is refused before the model has changed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf import BadInput, masking
from dlth_tf.masking import MaskedLayer
from tests.masking.kinds import normal
from tests.masking.networks import compiled, mlp

L = tf_keras.layers
WORDS = np.arange(24).reshape(6, 4) % 9


class Scaled(L.Dense):
    """Has an attribute, a property and a method of its own, all of which its users call."""

    factor = 2.0

    def get_prunable_weights(self) -> list[Any]:
        return [self.kernel]

    @property
    def norm(self) -> float:
        return float(tf.norm(self.kernel))

    def halve(self, times: int = 1) -> Scaled:
        self.factor /= 2**times
        return self

    def call(self, inputs: Any) -> Any:
        return self.factor * super().call(inputs)


def wrapped(*layers: tf_keras.layers.Layer) -> tf_keras.Model:
    return dlth.wrap(tf_keras.Sequential([L.Input((8,)), *layers]))


def test_attributes_of_the_layer_are_read_through_the_wrapper():
    layer = wrapped(L.Dense(4, "relu", name="a")).get_layer("a")
    assert isinstance(layer, MaskedLayer) and layer.units == 4 and layer.use_bias
    assert layer.kernel is layer.layer.kernel and layer.bias.shape == (4,)
    assert layer.activation is tf_keras.activations.relu
    assert layer.get_config()["layer"]["config"]["units"] == 4
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = layer.no_such_thing
    assert not hasattr(layer, "_no_such_thing") and not hasattr(layer, "pool_size")


def test_attributes_that_are_set_are_those_of_the_layer():
    model = wrapped(L.Dense(4, "relu", name="a"))
    layer = model.get_layer("a")
    layer.activation = tf_keras.activations.linear
    assert layer.layer.activation is tf_keras.activations.linear and "activation" not in vars(layer)
    layer.kernel.assign(-tf.ones((8, 4)))
    assert (model(np.ones((2, 8), "float32")).numpy() == -8).all(), "a relu would give zeros"
    layer.note = "mine"
    assert layer.note == "mine" and not hasattr(layer.layer, "note"), "what the layer has not is the wrapper's own"


def test_properties_and_methods_of_the_users_own_layer_work():
    layer = wrapped(Scaled(4, name="own")).get_layer("own")
    assert layer.norm == pytest.approx(float(tf.norm(layer.layer.kernel)))
    assert layer.halve(times=2) is layer.layer and layer.factor == 0.5 and Scaled.factor == 2.0


def test_count_params_of_a_wrapper_is_that_of_its_layer():
    plain = mlp()
    model = dlth.wrap(plain)
    assert [layer.count_params() for layer in model.layers] == [layer.count_params() for layer in plain.layers]
    assert model.count_params() > 2 * plain.count_params() == 2 * dlth.strip(model).count_params()


def test_weights_are_set_and_frozen_through_the_wrapper():
    layer = wrapped(L.Dense(4, name="a"), L.Dense(2, name="b")).get_layer("a")
    layer.trainable = False
    assert not layer.layer.trainable and layer.trainable_weights == []
    layer.trainable = True
    assert len(layer.trainable_weights) == 2 and not layer.pruning_vars[0][1].trainable


def recurrent(cell: type, **options: Any) -> tf_keras.Model:
    layer = cell(3, stateful=True, name="memory", **options)
    return dlth.wrap(tf_keras.Sequential([L.Input(batch_shape=(2, 4, 3)), layer, L.Dense(2, name="out")]))


@pytest.mark.parametrize("cell", [L.SimpleRNN, L.GRU, L.LSTM])
def test_states_of_a_stateful_layer_are_kept_and_reset(cell):
    model = recurrent(cell, unroll=True)
    batch = normal(2, 4, 3)()
    first = model(batch).numpy()
    assert model.get_layer("memory").stateful and len(model.get_layer("memory").states) == 1 + (cell is L.LSTM)
    assert np.abs(model(batch).numpy() - first).max() > 1e-4, "the state of the first batch goes on"
    model.reset_states()
    np.testing.assert_array_equal(model(batch), first)
    model.get_layer("memory").reset_states()
    np.testing.assert_array_equal(model(batch), first)


def test_states_that_are_given_are_used():
    model = recurrent(L.GRU, unroll=True)
    model.get_layer("memory").reset_states(states=np.full((2, 3), 0.5, "float32"))
    np.testing.assert_array_equal(model.get_layer("memory").states[0], np.full((2, 3), 0.5))


def test_the_states_of_a_stateful_layer_are_those_of_the_model_that_was_wrapped():
    layers = [L.Input(batch_shape=(2, 4, 3)), L.GRU(3, stateful=True, unroll=True, name="memory"), L.Dense(2)]
    plain = tf_keras.Sequential(layers)
    model = dlth.wrap(plain)
    batch = normal(2, 4, 3)()
    first = model(batch).numpy()
    plain.reset_states()
    np.testing.assert_array_equal(model(batch), first)


class Tied(tf_keras.Model):
    """Has an output projection that is the transposed embedding, by itself or inside a block."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = L.Embedding(9, 5, name="embed")
        self.mix = L.Dense(5, "relu", name="mix")

    def call(self, words: Any) -> Any:
        return self.mix(self.embed(words)) @ tf.transpose(self.embed.embeddings)


class TiedBlock(L.Layer):
    """Is a layer with an embedding inside that is used in two ways."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.embed = L.Embedding(9, 5, name="embed")
        self.mix = L.Dense(5, name="mix")

    def call(self, words: Any) -> Any:
        return tf.einsum("nti,vi->ntv", self.mix(self.embed(words)), self.embed.embeddings)


def tied_model() -> tf_keras.Model:
    model = Tied()
    model(WORDS)
    return model


def tied_block() -> tf_keras.Model:
    inputs = L.Input((4,), dtype="int32")
    return tf_keras.Model(inputs, TiedBlock(name="block")(inputs))


@pytest.mark.parametrize("build", [tied_model, tied_block])
def test_a_tied_embedding_is_one_sparse_weight(build):
    model = build()
    before = model(WORDS).numpy()
    model = dlth.wrap(model)
    np.testing.assert_array_equal(model(WORDS), before)
    assert len(masking.prunable_weights(model)) == 2
    mask = dlth.callbacks.RandomMask(0.5, remove=True, dense_layers="none")
    compiled(model).fit(WORDS, WORDS, epochs=2, verbose=0, callbacks=[mask])
    masking.check_removed(model)
    trained = model(WORDS).numpy()
    np.testing.assert_allclose(dlth.strip(model)(WORDS), trained, atol=1e-6)
    assert np.abs(trained - before).max() > 1e-3


def test_a_layer_may_be_called_by_keyword():
    class Pair(tf_keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.attend = L.MultiHeadAttention(2, 3, name="attend")
            self.out = L.Dense(2, name="out")

        def call(self, x: Any) -> Any:
            return self.out(inputs=self.attend(query=x, value=x, key=x))

    model = Pair()
    batch = normal(2, 4, 6)()
    before = model(batch).numpy()
    np.testing.assert_array_equal(dlth.wrap(model)(batch), before)


def test_what_a_layer_returns_beside_its_output_is_passed_on():
    inputs = L.Input((4, 6))
    outputs, scores = L.MultiHeadAttention(2, 3, name="attend")(inputs, inputs, return_attention_scores=True)
    plain = tf_keras.Model(inputs, [L.Dense(2, name="out")(outputs), scores])
    batch = normal(2, 4, 6)()
    for ours, theirs in zip(dlth.wrap(plain)(batch), plain(batch), strict=True):
        np.testing.assert_array_equal(ours, theirs)


class Fails(L.Dense):
    """Names as prunable a weight that it does not have."""

    def get_prunable_weights(self) -> list[Any]:
        return [self.no_such_kernel]


def test_a_wrap_that_fails_leaves_a_subclassed_model_unchanged():
    class Faulty(tf_keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.fine = L.Dense(8, name="fine")
            self.faulty = [Fails(2, name="faulty")]

        def call(self, x: Any) -> Any:
            return self.faulty[0](self.fine(x))

    model = Faulty()
    batch = normal(2, 8)()
    before = model(batch).numpy()
    for _ in range(2):
        with pytest.raises(AttributeError, match="no_such_kernel"):
            dlth.wrap(model)
        assert type(model.fine) is L.Dense and type(model.faulty[0]) is Fails
        np.testing.assert_array_equal(model(batch), before)
    model = dlth.wrap(model, skip="faulty")
    assert list(masking.prunable_weights(model)) == ["fine/kernel"]
    np.testing.assert_array_equal(model(batch), before)


def test_a_pattern_that_matches_nothing_leaves_a_subclassed_model_unchanged():
    model = tied_model()
    with pytest.raises(BadInput, match="matches no layer"):
        dlth.wrap(model, skip="no_such_layer")
    assert type(model.embed) is L.Embedding and type(model.mix) is L.Dense
