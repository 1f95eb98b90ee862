"""compact: a smaller Keras 3 network with equal outputs, the one that the same network of tf_keras becomes."""

from __future__ import annotations

import functools
import logging
import re

import keras
import numpy as np
import pytest
import tf_keras
from hypothesis import given, settings

import dlth_tf as dlth
from dlth_tf import BadInput
from dlth_tf.deploy.compaction import Report
from dlth_tf.randomness import generator
from tests.deploy.compaction.test_random_networks import networks
from tests.deploy.pruned import lively, zero
from tests.keras3.networks import BACKEND, LOSS, L

ROUNDING = 1e-5  # relative to the largest output


def outputs(model, name="images"):
    """Returns what a model of either Keras computes of random images in inference mode."""
    images = generator(0, name).random((4, *model.input_shape[1:])).astype(np.float32)
    found = model(images, training=False)
    return keras.ops.convert_to_numpy(found) if isinstance(model, keras.Model) else found.numpy()


def difference(one, other):
    """Returns the largest difference of the outputs, relative to the largest output."""
    return float(np.abs(outputs(one) - outputs(other)).max() / np.abs(outputs(one)).max())


def widths(model):
    return {layer.name: layer.output.shape[-1] for layer in model.layers if hasattr(layer, "kernel")}


def residual(layers, model):
    """Builds convolutions around an addition, a concatenation and a depthwise one."""
    x = inputs = layers.Input((6, 6, 3))
    x = layers.ReLU()(layers.BatchNormalization(name="norm")(layers.Conv2D(8, 3, padding="same", name="stem")(x)))
    y = layers.Conv2D(8, 3, padding="same", use_bias=False, activation="relu", name="inner")(x)
    y = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(layers.ZeroPadding2D(1)(y))
    y = layers.Conv2D(8, 3, padding="valid", activation="tanh", name="end")(y)
    x = layers.Add(name="add")([x, y])
    x = layers.Concatenate(name="both")([x, layers.Conv2D(4, 1, activation="sigmoid", name="branch")(x)])
    x = layers.MaxPooling2D(2)(layers.Dropout(0.3)(x))
    net = lively(model(inputs, layers.Dense(3, name="out")(layers.Dense(6, name="fc")(layers.Flatten()(x)))))
    removed = {"stem": [0, 5], "inner": [1, 2, 7], "end": [0, 3], "branch": [2], "fc": [4]}
    return removed_in(net, removed)


def signals(layers, model):
    """Builds convolutions of one axis."""
    x = inputs = layers.Input((9, 2))
    x = layers.Conv1D(6, 3, padding="same", name="one")(x)
    x = layers.DepthwiseConv1D(3, depth_multiplier=2, name="depthwise")(layers.LeakyReLU()(x))
    x = layers.Conv1D(5, 3, strides=2, name="two")(layers.UpSampling1D(2)(x))
    x = layers.GlobalAveragePooling1D()(layers.Activation("gelu")(x))
    return removed_in(lively(model(inputs, layers.Dense(3, name="out")(x))), {"one": [1, 2], "two": [0]})


def removed_in(model, filters):
    """Gives the kernels of a model values that both Kerases can have, and removes filters."""
    for layer in model.layers:
        for weight in layer.weights:
            if len(weight.shape) > 1:
                weight.assign(generator(1, layer.name).normal(size=tuple(weight.shape)) * 0.4)
    for name, places in filters.items():
        zero(model, name, places)
    return model


NETWORKS = {"residual": residual, "signals": signals}


@pytest.mark.fast_cases("signals")
@pytest.mark.parametrize("name", NETWORKS)
def test_the_smaller_network_is_that_of_the_same_network_in_tf_keras(name):
    reports: list[Report] = []
    model, same = (NETWORKS[name](package.layers, package.Model) for package in (keras, tf_keras))
    np.testing.assert_allclose(outputs(model), outputs(same), atol=2e-5)
    small, expected = (dlth.compact(each, reports.append) for each in (model, same))
    assert small.count_params() < 0.85 * model.count_params() and difference(model, small) < ROUNDING
    assert [layer.name for layer in small.layers] == [layer.name for layer in model.layers]
    for first, second in zip(small.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(first, second, atol=1e-5)
    assert reports[0] == reports[1]


def operators(functions: bool):
    """Builds a residual network with functions on tensors, or with the layers that compute the same."""
    relu = keras.ops.relu if functions else L.ReLU()
    x = inputs = keras.Input((6, 6, 3))
    x = relu(L.Conv2D(6, 3, padding="same", name="stem")(x))
    y = L.Conv2D(6, 3, padding="same", name="end")(x)
    x = x + y if functions else L.Add()([x, y])
    x = L.GlobalAveragePooling2D()(L.Conv2D(4, 3, name="last")(x))
    return removed_in(
        lively(keras.Model(inputs, L.Dense(3, name="out")(x))), {"stem": [0, 3], "end": [0, 2], "last": [1]}
    )


def test_operators_on_tensors_are_followed_like_layers():
    model, same = operators(True), operators(False)
    small = dlth.compact(model)
    assert widths(small) == widths(dlth.compact(same)) == {"stem": 5, "end": 5, "last": 3, "out": 3}
    assert difference(model, small) < ROUNDING
    assert [type(operation).__name__ for operation in small.operations if operation.name.startswith("add")] == ["Add"]


def sequential():
    layers = [L.Dense(8, "sigmoid", name="one"), L.Dense(8, "relu", use_bias=False, name="two"), L.Dense(3, name="out")]
    return keras.Sequential([keras.Input((5,)), *layers], name="net")


def test_it_is_a_plain_model_that_trains_and_is_saved_and_pruned_again(tmp_path):
    model = removed_in(lively(sequential()), {})  # fixed kernels: of drawn ones, a whole layer may be dead
    model.compile("adam", LOSS)
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.5, granularity="filter"), remove=True)
    before = model.get_weights()
    small = dlth.compact(model)
    assert widths(small) == {"one": 5, "two": 4, "out": 3} and isinstance(small, keras.Sequential)
    assert difference(model, small) < ROUNDING and "dlth_tickets" not in vars(small)
    assert model.compiled and not small.compiled
    small.compile(keras.optimizers.SGD(0.1), LOSS)
    random = np.random.default_rng(0)
    values = small.get_weights()
    small.fit(random.normal(size=(16, 5)), np.arange(16) % 3, batch_size=8, verbose=0)
    assert all(np.any(old != new) for old, new in zip(values, small.get_weights(), strict=True))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    small.save(tmp_path / "small.keras")
    assert difference(keras.saving.load_model(tmp_path / "small.keras"), small) == 0
    dlth.apply_ticket(small, dlth.random_ticket(small, 0.5, granularity="filter", dense_layers="last"), remove=True)
    assert widths(dlth.compact(small)) == {"one": 3, "two": 2, "out": 3}


@pytest.mark.slow
def test_it_is_exported(tmp_path):
    import tensorflow as tf

    small = dlth.compact(residual(L, keras.Model))
    dlth.export(small, tmp_path, measure_latency=False)
    images = generator(0, "images").random((4, 6, 6, 3)).astype(np.float32)
    served = tf.saved_model.load(str(tmp_path / "plain")).signatures["serving_default"]
    found = served(**{served.structured_input_signature[1].popitem()[0]: tf.constant(images)})
    np.testing.assert_allclose(found["logits"].numpy(), outputs(small), atol=1e-5)


def nested(x):
    inputs = L.Input(x.shape[1:])
    inside = keras.Model(inputs, L.Conv2D(4, 1, name="inside")(inputs), name="nested")
    return inside(x)


def shared(x):
    twice = L.Conv2D(4, 3, padding="same", name="twice")
    return twice(twice(x))


class Own(L.ReLU):
    def call(self, inputs):
        return keras.ops.softmax(inputs)


def with_lora(x):
    layer = L.Dense(4, name="middle")
    y = layer(x)
    layer.enable_lora(2)
    return y


UNKNOWN = {  # a layer after two zero filters -> what it is
    "nested": (nested, "nested, a model inside the model"),
    "shared": (shared, "twice, called 2 times"),
    "grouped": (L.Conv2D(4, 3, groups=2, name="middle"), "middle, a grouped convolution with groups=2"),
    "transposed": (L.Conv2DTranspose(4, 3, name="middle"), "middle, a layer of type Conv2DTranspose, which stays"),
    "custom": (Own(name="middle"), "middle, a layer of type Own, which stays whole"),
    "function": (lambda x: keras.ops.softmax(x), "softmax.*, a function on tensors"),
    "number": (lambda x: x + 1.0, "add.*, a function on tensors"),
    "softmax": (L.Activation("softmax", name="middle"), "middle, an activation softmax that is not known to treat"),
    "option": (lambda x: L.BatchNormalization(name="middle")(x, training=True), "middle, called with training"),
    "lora": (with_lora, "middle, a Dense with weights beside its kernel and bias"),
}


@pytest.mark.fast_cases("number")
@pytest.mark.parametrize(("middle", "why"), UNKNOWN.values(), ids=UNKNOWN)
def test_what_layers_that_are_not_known_read_stays_and_is_told_with_them(middle, why):
    inputs = keras.Input((6, 6, 2))
    x = middle(L.ReLU()(L.Conv2D(4, 3, padding="same", name="before")(inputs)))
    x = L.Conv2D(4, 3, padding="same", name="after")(x)
    model = lively(keras.Model(inputs, L.Dense(3, name="out")(L.GlobalMaxPooling2D()(x))))
    zero(model, "before", [0, 1])
    zero(model, "after", [2])
    reports: list[Report] = []
    small = dlth.compact(model, reports.append)
    assert widths(small) == {**widths(model), "after": 3} and difference(model, small) < ROUNDING
    (left,) = (left for left in reports[0].zeros.leftovers if left.layer == "before")
    assert left.count == 2 and re.match(f"read by {why}", left.why)


def doubled(x):
    return 2 * x


@pytest.mark.slow
def test_options_of_the_layers_stay():
    start = L.Input((6, 6, 3))
    regularizer, constraint = keras.regularizers.L2(0.1), keras.constraints.MaxNorm(0.5)
    body = L.Conv2D(8, 3, kernel_regularizer=regularizer, kernel_constraint=constraint, name="body")(start)
    norm = L.BatchNormalization(trainable=False, momentum=0.7, name="norm")(body)
    model = keras.Model(start, L.Dense(3, doubled, name="head")(L.GlobalAveragePooling2D()(norm)))
    zero(model, "body", slice(3, 8))
    small = dlth.compact(model)
    assert small.get_layer("body").filters == 3 and small.get_layer("norm").momentum == 0.7
    assert small.get_layer("body").kernel_regularizer.l2 == 0.1 and len(small.losses) == 1
    assert small.get_layer("body").kernel_constraint.max_value == 0.5
    assert [weight.trainable for weight in small.weights] == [weight.trainable for weight in model.weights]
    assert difference(model, small) < ROUNDING


def towers(package, frozen: bool = False):
    """Builds a layer that is called by itself and in two nested models, one of which is inside a third."""
    layers = package.layers
    both = layers.Dense(16, "relu", name="both")
    start, middle = layers.Input((16,)), layers.Input((16,))
    one = package.Model(start, both(start), name="one")
    two = package.Model(middle, layers.Dense(16, name="own")(both(one(middle))), name="two")
    one.trainable = not frozen
    inputs = layers.Input((16,))
    x = layers.Dense(8, name="free")(both(two(one(inputs))))
    return removed_in(package.Model(inputs, layers.Dense(3, name="out")(x)), {"free": [2, 3], "both": [1]})


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("package", [keras, tf_keras])
def test_a_layer_that_nested_models_share_stays_one_layer(package, frozen):
    model = towers(package, frozen)
    small = dlth.compact(model)
    assert difference(model, small) < ROUNDING
    assert widths(small) == {**widths(model), "free": 6}
    assert small.count_params() == model.count_params() - 2 * (16 + 1 + 3)
    assert len(small.weights) == len(model.weights)
    both = small.get_layer("both")
    inner = small.get_layer("two").get_layer("one")
    assert inner is small.get_layer("one") and inner.get_layer("both") is both
    assert small.get_layer("two").get_layer("both") is both is not model.get_layer("both")
    assert [weight.trainable for weight in small.weights] == [weight.trainable for weight in model.weights]
    for layer in model.layers:
        assert small.get_layer(layer.name).trainable == layer.trainable


@pytest.mark.parametrize("package", [keras, tf_keras])
def test_a_shared_layer_is_told_as_the_reason(package):
    reports: list[Report] = []
    dlth.compact(towers(package), reports.append)
    (left,) = (left for left in reports[0].zeros.leftovers if left.layer == "both")
    assert left.count == 1 and "also a part of" in left.why


def test_a_layer_inside_a_wrapper_and_outside_stays_one_layer():
    layer = L.Dense(8, name="both")
    inputs = keras.Input((5, 8))
    x = layer(L.TimeDistributed(layer, name="each")(inputs))
    model = lively(keras.Model(inputs, L.Dense(3)(L.GlobalAveragePooling1D()(x))))
    small = dlth.compact(model)
    assert small.count_params() == model.count_params() and difference(model, small) < ROUNDING
    assert small.get_layer("each").layer is small.get_layer("both")


FACTOR = 2.0


def scaled(factor: float):
    added = np.float32(1)
    return lambda x: FACTOR * factor * x + added


def plus(x, number, mask=None):
    return keras.ops.add(x, number)


CODE = {  # Python code in a layer
    "lambda": lambda: L.Lambda(lambda x: keras.ops.abs(x)),
    "closure": lambda: L.Lambda(scaled(3.0)),
    "function": lambda: L.Lambda(plus, arguments={"number": 2.0}),
    "array": lambda: L.Lambda(plus, arguments={"number": np.arange(6, dtype="float32")}),
    "partial": lambda: L.Lambda(functools.partial(plus, number=3.0)),
    "shape": lambda: L.Lambda(scaled(1.0), output_shape=lambda shape: shape, mask=lambda x, mask: mask),
    "fixed shape": lambda: L.Lambda(scaled(1.0), output_shape=(6,), name="mine"),
    "nested": lambda: keras.Sequential([keras.Input((6,)), L.Dense(6), L.Lambda(scaled(2.0))], name="nested"),
    "activation inside": lambda: keras.Sequential([keras.Input((6,)), L.Dense(6, doubled)]),
    "initializer": lambda: L.Dense(6, kernel_initializer=lambda shape, dtype=None: keras.ops.ones(shape)),
    "regularizer": lambda: L.Dense(6, kernel_regularizer=lambda kernel: keras.ops.sum(kernel)),
}


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
@pytest.mark.fast_cases("closure", "nested", "shape")
@pytest.mark.parametrize("make", CODE.values(), ids=CODE)
def test_code_that_is_in_memory_stays(make):
    model = keras.Sequential([keras.Input((6,)), L.Dense(6, name="in"), make(), L.Dense(6, name="fc"), L.Dense(3)])
    zero(lively(model), "fc", [1, 2])
    small = dlth.compact(model)
    assert widths(small)["fc"] == 4 and difference(model, small) < ROUNDING
    assert [layer.name for layer in small.layers] == [layer.name for layer in model.layers]
    assert [float(loss) for loss in small.losses] == pytest.approx([float(loss) for loss in model.losses])


def test_code_that_a_wrapper_calls_at_every_step_stays():
    model = keras.Sequential([keras.Input((4, 5)), L.TimeDistributed(L.Lambda(scaled(2.0))), L.LSTM(3, doubled)])
    assert difference(model, dlth.compact(model)) < ROUNDING


@pytest.mark.fast_cases("float8")
@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method implemented")
@pytest.mark.parametrize("mode", ["float8", "int8", "int4"])
def test_quantized_layers_keep_all_their_weights(mode):
    nested = keras.Sequential([keras.Input((8,)), L.Dense(8, name="inside")], name="nested")
    model = keras.Sequential([keras.Input((6,)), L.Dense(8, name="in"), nested, L.Dense(3, name="out")])
    lively(model).quantize(mode)
    for weight in model.get_layer("in").weights:
        if weight.shape == () and mode == "float8":
            weight.assign(2.0 + len(weight.name))  # each another one
    small = dlth.compact(model)
    for name in ("in", "out"):
        old, new = ({weight.name: weight for weight in each.get_layer(name).weights} for each in (model, small))
        assert old.keys() == new.keys() and len(old) > 2
        for key, weight in old.items():
            np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (weight, new[key])), err_msg=key)
    assert difference(model, small) < ROUNDING


@pytest.mark.slow
def test_what_preprocessing_layers_have_adapted_to_stays():
    rng = np.random.default_rng(0)
    rows = rng.normal(5, 3, (50, 5)).astype("float32")
    scale = L.Normalization(name="scale")
    scale.adapt(rows)
    model = keras.Sequential([keras.Input((5,)), scale, L.Dense(4, "relu", name="one"), L.Dense(3, name="out")])
    for name in ("one", "out"):  # the same on every backend, with units that are not 0
        layer = model.get_layer(name)
        layer.set_weights([rng.normal(size=weight.shape) for weight in layer.get_weights()])
    zero(model, "one", [1])
    small = dlth.compact(model)
    assert widths(small) == {"one": 3, "out": 3} and difference(model, small) < ROUNDING
    assert small.get_layer("scale") is not scale


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="only TensorFlow computes with words")
def test_the_vocabulary_of_a_layer_stays():
    words = L.StringLookup(name="words")
    words.adapt(["a", "b", "b", "c"])
    inputs = keras.Input((2,), dtype="string")
    x = L.Dense(4, name="one")(L.Flatten()(L.Embedding(5, 3)(words(inputs))))
    model = lively(keras.Model(inputs, L.Dense(3, name="out")(x)))
    zero(model, "one", [1])
    small = dlth.compact(model)
    import tensorflow as tf

    text = tf.constant([["a", "b"], ["c", "?"]])
    np.testing.assert_allclose(small(text), model(text), atol=1e-6)
    assert widths(small)["one"] == 3


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_other_precisions_are_followed(policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = residual(L, keras.Model)
    finally:
        keras.config.set_dtype_policy("float32")
    small = dlth.compact(model)
    assert small.count_params() < 0.85 * model.count_params()
    assert {layer.dtype_policy.name for layer in small.layers[1:]} == {policy}
    assert float(np.abs(np.asarray(outputs(small) - outputs(model), "float32")).max()) < 0.1


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__(name="own")
        self.out = L.Dense(3)

    def call(self, x):
        return self.out(x)


def test_models_without_a_graph_and_tickets_that_are_not_removed_are_refused():
    subclassed = Subclassed()
    subclassed(np.zeros((1, 4), "float32"))
    for refused in (subclassed, keras.Sequential([L.Dense(3)], name="unbuilt")):
        with pytest.raises(BadInput, match=f"model={refused.name}: has no known graph"):
            dlth.compact(refused)
    model = sequential()
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.5, granularity="filter"))
    with pytest.raises(BadInput, match="its weights are not removed yet"):
        dlth.compact(model)
    with pytest.raises(BadInput, match="is not a Keras model"):
        dlth.compact(object())


def test_a_layer_that_cannot_be_made_again_is_named():
    class Closed(L.Layer):
        def __init__(self, size):
            super().__init__(name="closed")

        def call(self, x):
            return x

    model = keras.Sequential([keras.Input((4,)), Closed(object()), L.Dense(3, name="out")])
    with pytest.raises(BadInput, match="has a layer closed that cannot be recreated from its config"):
        dlth.compact(model)


class Unconfigured(L.Layer):
    """A layer without `get_config`, whose constructor takes what Keras takes, and which has a layer inside."""

    def __init__(self, **options):
        super().__init__(**options)
        self.inner = L.Dense(6, name="inner")

    def build(self, shape):
        self.inner.build(shape)

    def call(self, x):
        return keras.ops.tanh(self.inner(x))


@pytest.mark.parametrize("options", [{}, {"name": "mine"}])
def test_a_layer_of_ones_own_keeps_its_name_and_stays_whole(options):
    model = keras.Sequential(
        [keras.Input((6,)), L.Dense(6, name="in"), Unconfigured(**options), L.Dense(3, name="out")]
    )
    lively(model)
    small = dlth.compact(model)
    assert [layer.name for layer in small.layers] == [layer.name for layer in model.layers]
    assert difference(model, small) < ROUNDING


def test_the_report_is_logged(caplog):
    model = lively(sequential())
    zero(model, "one", [0, 1, 2])
    zero(model, "out", [1])
    with caplog.at_level(logging.INFO, "dlth_tf"):
        small = dlth.compact(model)
    assert [record.getMessage() for record in caplog.records] == [
        f"compact: {small.count_params()} of {model.count_params()} parameters remain; "
        "2 of 3 layers with a kernel are smaller.",
        "compact: one: 1 filter whose weights are all zero stays: kept for the constants that biases and batch norms "
        "leave.",
        "compact: out: 1 filter whose weights are all zero stays: an output of the network.",
    ]


@pytest.mark.faults
@settings(max_examples=40, deadline=None, derandomize=True)
@given(networks(keras))
def test_any_network_has_the_same_outputs(model):
    assert difference(model, dlth.compact(model)) < ROUNDING
