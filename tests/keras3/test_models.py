"""Kinds of networks of Keras 3: what is prunable in them, under which names, and that training keeps it removed."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import dlth_tf as dlth
from dlth_tf import BadInput, masking
from dlth_tf.callbacks import GradualMagnitude, RandomMask
from tests.keras3.networks import BACKEND, L, compiled, data, fit, mlp, removed, zeros


class Block(L.Layer):
    """A feed-forward part of a transformer, with layers of its own."""

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.up, self.down, self.norm = L.Dense(2 * width, "gelu"), L.Dense(width), L.LayerNormalization()
        self.attend = L.MultiHeadAttention(2, 3, name="attend")

    def build(self, shape):
        self.attend.build(shape, shape)
        self.up.build(shape)
        self.down.build((*shape[:-1], self.up.units))
        self.norm.build(shape)

    def call(self, x):
        x = x + self.attend(x, x)
        return self.norm(x + self.down(self.up(x)))


def transformer() -> keras.Model:
    inputs = keras.Input((5,), dtype="int32")
    x = L.Embedding(20, 6, name="words")(inputs)
    x = Block(6, name="block")(x)
    return keras.Model(inputs, L.Dense(3, name="out")(L.GlobalAveragePooling1D()(x)))


def recurrent() -> keras.Model:
    layers = [
        L.Bidirectional(L.LSTM(3, return_sequences=True), name="both"),
        L.GRU(3, name="gru"),
        L.Dense(3, name="out"),
    ]
    return keras.Sequential([keras.Input((5, 2)), *layers])


def convolutions() -> keras.Model:
    x = inputs = keras.Input((8, 8, 2))
    x = L.Conv2D(4, 3, name="a")(x)
    x = L.SeparableConv2D(4, 3, name="separable")(x)
    x = L.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = L.Conv2DTranspose(4, 3, name="up")(x)
    return keras.Model(inputs, L.Dense(3, name="out")(L.GlobalAveragePooling2D()(x)))


def nested() -> keras.Model:
    inner = keras.Sequential([keras.Input((6,)), L.Dense(6, "relu", name="fc")], name="inner")
    x = inputs = keras.Input((6,))
    shared = L.Dense(6, "tanh", name="shared")
    return keras.Model(inputs, L.Dense(3, name="out")(inner(shared(shared(x)))))


class Subclassed(keras.Model):
    """A subclassed model with a list of layers."""

    def __init__(self):
        super().__init__(name="own")
        self.hidden = [L.Dense(6, "relu", name="h1"), L.Dense(6, "relu", name="h2")]
        self.out = L.Dense(3, name="out")

    def call(self, x):
        for layer in self.hidden:
            x = layer(x)
        return self.out(x)


def subclassed() -> keras.Model:
    model = Subclassed()
    model(np.zeros((1, 6), "float32"))
    return model


ATTENTION = [f"block/{part}/kernel" for part in ("query", "key", "value", "attention_output")]
LSTM = [
    f"both/{way}_lstm/lstm_cell/{cell}" for way in ("forward", "backward") for cell in ("kernel", "recurrent_kernel")
]
KINDS = {
    "transformer": (transformer, {"words/embeddings", *ATTENTION, "block/dense/kernel", "block/dense_1/kernel"}),
    "recurrent": (recurrent, {*LSTM, "gru/kernel", "gru/recurrent_kernel"}),
    "convolutions": (convolutions, {"a/kernel", "separable/pointwise_kernel", "up/kernel"}),
    "nested": (nested, {"shared/kernel", "fc/kernel"}),
    "subclassed": (subclassed, {"h1/kernel", "h2/kernel"}),
}


def inputs_of(model: keras.Model) -> np.ndarray:
    inputs = getattr(model, "inputs", None)
    shape = inputs[0].shape[1:] if inputs else (6,)
    if inputs and "int" in str(inputs[0].dtype):
        return np.random.default_rng(0).integers(0, 20, (24, *shape))
    return np.random.default_rng(0).normal(size=(24, *shape)).astype("float32")


@pytest.mark.fast_cases("transformer", "nested", "subclassed")
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_prunable_and_that_it_stays_removed(kind):
    keras.utils.set_random_seed(0)
    build, expected = KINDS[kind]
    model = compiled(build())
    assert set(masking.prunable_weights(model)) == {*expected, "out/kernel"}
    model.fit(
        inputs_of(model), np.arange(24) % 3, verbose=0, callbacks=[RandomMask(0.5, dense_layers="last", remove=True)]
    )
    assert set(removed(model)) == expected
    assert all(abs(share - 0.5) < 0.05 for share in removed(model).values())
    masking.check_removed(model)
    assert len(dlth.layer_table(model).query("status == 'pruned'")) == len(expected)


def test_names_of_weights_are_those_of_keras_2():
    import tf_keras

    K = tf_keras.layers
    same = {
        "convolutions": [K.Input((8, 8, 2)), K.Conv2D(4, 3, name="a"), K.SeparableConv2D(4, 3, name="separable")],
        "recurrent": [
            K.Input((5, 2)),
            K.Bidirectional(K.LSTM(3, return_sequences=True), name="both"),
            K.GRU(3, name="gru"),
        ],
    }
    for kind, layers in same.items():
        theirs = dlth.wrap(tf_keras.Sequential(layers))
        ours = {n: e.shape for n, e in masking.prunable_weights(KINDS[kind][0]()).items()}
        for name, entry in masking.prunable_weights(theirs).items():
            assert ours[name] == entry.shape


def test_layers_can_be_left_out_by_name_path_and_pattern():
    model = dlth.wrap(transformer(), skip="attend,words")
    assert set(masking.prunable_weights(model)) == {"block/dense/kernel", "block/dense_1/kernel", "out/kernel"}
    model = dlth.wrap(transformer(), only="block/attend")
    assert set(masking.prunable_weights(model)) == set(ATTENTION)
    with pytest.raises(BadInput, match="skip=nothing: matches no layer"):
        dlth.wrap(transformer(), skip="nothing")
    table = dlth.layer_table(dlth.wrap(mlp(), skip="fc1"))
    assert next(iter(table.why)) == "left out by skip or only"


def test_a_layer_of_ones_own_declares_its_weights():
    class Mine(L.Layer):
        def build(self, shape):
            self.w = self.add_weight(shape=(shape[-1], 4), name="w")

        def call(self, x):
            return x @ self.w

        def get_prunable_weights(self):
            return [self.w]

    class Silent(Mine):
        get_prunable_weights = None

    model = compiled(
        keras.Sequential([keras.Input((6,)), Mine(name="mine"), Silent(name="silent"), L.Dense(3, name="out")])
    )
    fit(model, [GradualMagnitude(0.5, every=2)], epochs=1)
    assert removed(model) == {"mine/w": 0.5}
    table = dlth.layer_table(model).set_index("layer")
    assert table.why["silent"].startswith("nothing is known about the weights of Silent")


def test_a_model_that_is_not_built_is_refused_and_one_without_anything_to_prune():
    with pytest.raises(BadInput, match=r"is not built yet \(layer h1\)"):
        dlth.random_ticket(Subclassed(), 0.5)
    with pytest.raises(BadInput, match="has no layer that can be pruned"):
        dlth.wrap(keras.Sequential([keras.Input((6,)), L.ReLU()]))
    with pytest.raises(BadInput, match="is not a Keras model"):
        dlth.wrap(object())


def test_residual_layers_are_tied():
    x = inputs = keras.Input((6, 6, 3))
    x = L.ReLU()(L.Conv2D(4, 3, padding="same", name="stem")(x))
    y = L.ReLU()(L.Conv2D(4, 3, padding="same", name="inner")(x))
    y = L.Conv2D(4, 3, padding="same", name="end")(y)
    model = keras.Model(inputs, L.Dense(3, name="out")(L.GlobalAveragePooling2D()(x + y)))
    assert list(dlth.random_ticket(model, 0.5, granularity="filter")) == ["inner/kernel"]


def test_the_summary_counts():
    model = mlp()
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.75), remove=True)
    found = dlth.summary(model)
    assert found.sparsity == 0.75 and found.prunable == 6 * 16 + 16 * 12
    assert (found.macs is None) is (BACKEND != "tensorflow")


def test_nothing_of_the_model_changes_by_masks():
    model = mlp()
    before = [layer.name for layer in model.layers], len(model.weights), model.count_params()
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.5))
    assert ([layer.name for layer in model.layers], len(model.weights), model.count_params()) == before
    assert model(data()[0]).shape == (40, 3)


def test_a_model_of_each_keras_in_one_process():
    import tf_keras

    old = tf_keras.Sequential([tf_keras.Input((6,)), tf_keras.layers.Dense(8, name="fc1"), tf_keras.layers.Dense(3)])
    old = dlth.wrap(old)
    new = compiled(mlp())
    fit(new, [RandomMask(0.75, remove=True)], epochs=1)
    old.compile(dlth.optimizers.SGD(0.1), tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    old.fit(*data(), verbose=0, callbacks=[RandomMask(0.75, remove=True)])
    assert removed(new) == zeros(new)
    assert dlth.strip(old) is not old
