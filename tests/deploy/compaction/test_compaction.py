"""compact: fewer filters, units and channels, and the same outputs."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from hypothesis import given, settings
from hypothesis import strategies as st

import dlth_tf as dlth
from dlth_tf import models
from dlth_tf.deploy.compaction import compact, constant_folding, removed
from dlth_tf.errors import BadInput
from dlth_tf.models import FAMILIES
from tests.deploy.pruned import difference, lively, pruned, zero
from tests.models.small import ONE_OF_EACH, small

L = tf_keras.layers
ROUNDING = 1e-5  # of the largest logit


def widths(model: tf_keras.Model) -> dict[str, int]:
    """Layer -> outputs, of the layers with kernels."""
    return {layer.name: layer.output_shape[-1] for layer in model.layers if hasattr(layer, "kernel")}


def check(model: tf_keras.Model) -> tf_keras.Model:
    """The compact model, of which is known that its outputs are the same."""
    made = compact(model)
    assert difference(model, made) < ROUNDING
    return made


@pytest.mark.parametrize("name", [*(name for name in ONE_OF_EACH if name != "mobilenet_v1"), "lenet_300_100"])
def test_a_network_without_its_removed_filters_has_the_same_outputs(name):
    model = pruned(name, "filter")
    made = check(model)
    assert made.count_params() < 0.75 * model.count_params()
    assert [layer.name for layer in made.layers] == [layer.name for layer in model.layers] and made.name == model.name


@pytest.mark.parametrize("name", ["resnet8", "vgg11", "lenet5"])
def test_what_only_removed_channels_looked_at_goes_too(name):
    model = pruned(name, "channel")
    assert check(model).count_params() < 0.75 * model.count_params()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("granularity", ["filter", "channel"])
@pytest.mark.parametrize("name", [name for names in FAMILIES.values() for name in names if name != "wrn_28_10"])
def test_every_network_has_the_same_outputs(name, granularity, seed):
    model = pruned(name, granularity, sparsity=(0.5, 0.9)[seed - 1], seed=seed)
    assert check(model).count_params() < 0.9 * model.count_params()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ResNet18V2Backbone", "DenseNet121Backbone", "EfficientNetV1B0Backbone"])
def test_backbones_of_keras_cv_have_the_same_outputs(name):
    wrapped = dlth.wrap(lively(models.build(f"keras_cv:{name}", (32, 32, 3), 10, 0)))
    dlth.apply_ticket(wrapped, dlth.random_ticket(wrapped, 0.5, granularity="filter"), remove=True)
    model = dlth.strip(wrapped)
    assert check(model).count_params() < 0.9 * model.count_params()


@pytest.mark.parametrize("name", ["resnet8", "lenet_300_100"])
def test_scattered_zeros_take_nothing_out(name):
    model = pruned(name, "weight")
    made = compact(model)
    assert all(np.array_equal(one, other) for one, other in zip(made.get_weights(), model.get_weights(), strict=True))


def test_the_model_is_left_alone_and_shares_nothing():
    model = pruned("lenet5", "filter")
    before = model.get_weights()
    made = compact(model)
    for layer in made.layers:
        layer.set_weights([weight + 1 for weight in layer.get_weights()])
    assert all(np.array_equal(one, other) for one, other in zip(before, model.get_weights(), strict=True))


def chain(padding: str, use_bias: bool, beta: float) -> tf_keras.Model:
    """Two convolutions; of the first, filters 1, 3 and 4 of 6 are removed and leave constants behind."""
    x = inputs = L.Input((6, 6, 2))
    x = L.ReLU()(L.BatchNormalization(name="norm")(L.Conv2D(6, 3, padding="same", use_bias=False, name="one")(x)))
    x = L.Conv2D(5, 3, padding=padding, use_bias=use_bias, name="two")(x)
    model = tf_keras.Model(inputs, L.Dense(3, name="out")(L.GlobalAveragePooling2D()(L.ReLU()(x))), name="chain")
    zero(model, "one", [1, 3, 4])
    model.get_layer("norm").beta.assign([0.1, beta, 0.2, 3 * beta, 2 * beta, -0.1])
    return model


@pytest.mark.parametrize(
    ("padding", "use_bias", "beta", "left"),
    [
        ("same", True, 0.7, 4),  # at the border a constant is no constant: one channel carries all three
        ("same", False, 0.7, 4),
        ("valid", False, 0.7, 4),  # no bias that could take it
        ("valid", True, 0.7, 3),
        ("same", False, 0.0, 3),
        ("same", False, -0.7, 3),  # 0 after the ReLU
    ],
)
def test_of_constants_one_channel_stays_and_only_where_no_bias_can_take_them(padding, use_bias, beta, left):
    assert widths(check(chain(padding, use_bias, beta))) == {"one": left, "two": 5, "out": 3}


def test_the_largest_constant_carries_the_others():
    model = chain("same", False, 0.7)
    kernel, (norm,) = (
        model.get_layer("two").kernel.numpy(),
        [layer for layer in compact(model).layers if layer.name == "norm"],
    )
    assert np.allclose(norm.beta, [0.1, 0.2, 2.1, -0.1])
    merged = kernel[:, :, 3] + kernel[:, :, 1] / 3 + kernel[:, :, 4] * 2 / 3
    assert np.allclose(compact(model).get_layer("two").kernel[:, :, 2], merged, atol=1e-6)


def test_a_network_whose_constants_are_thrown_away_would_differ(monkeypatch):
    def throw_away(kernel, values, members, partner):
        kernel[:, members] = 0

    monkeypatch.setattr(constant_folding, "_merge", throw_away)
    model = chain("same", False, 0.7)
    assert difference(model, compact(model)) > 0.01


def test_a_channel_that_is_zero_padded_before_a_strided_convolution_is_merged_too():
    x = inputs = L.Input((6, 6, 2))
    x = L.ReLU()(L.Conv2D(6, 3, padding="same", name="one")(x))
    x = L.Conv2D(4, 3, 2, use_bias=True, name="two")(L.ZeroPadding2D(1)(x))
    model = lively(tf_keras.Model(inputs, L.Dense(3, name="out")(L.Flatten()(x))))
    zero(model, "one", [1, 3, 4])
    model.get_layer("one").bias.assign([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert widths(check(model))["one"] == 4


def test_flattened_channels_are_all_their_positions():
    x = inputs = L.Input((4, 4, 1))
    x = L.MaxPooling2D()(L.Conv2D(5, 3, padding="same", activation="relu", name="conv")(x))
    model = lively(tf_keras.Model(inputs, L.Dense(3, name="out")(L.Dense(7, "relu", name="fc")(L.Flatten()(x)))))
    zero(model, "conv", [0, 4])
    zero(model, "fc", [2])
    made = check(model)
    assert widths(made) == {"conv": 3, "fc": 6, "out": 3} and made.get_layer("fc").kernel.shape == (12, 6)


def silenced(model: tf_keras.Model, layer: str, channel: int) -> None:
    """Removes one filter of a layer, of which its batch norm makes 0."""
    zero(model, layer, [channel])
    norm = model.get_layer(layer.replace("conv", "bn"))
    for weight in (norm.beta, norm.moving_mean):
        weight.assign(tf.tensor_scatter_nd_update(weight, [[channel]], [0.0]))


def stream(stage: int, channel: int, widths: tuple[int, ...] = (4, 8, 16)) -> list[tuple[str, int]]:
    """resnet8: the layers that write to a channel of a stage's stream, and where it is in later stages, between new zeros."""
    found = []
    for later in range(stage, 4):
        found += [("conv1", channel)] if later == 1 else []
        found.append((f"stage{later}_block1_conv2", channel))
        if later < 3:
            channel += (widths[later] - widths[later - 1]) // 2
    return found


@pytest.mark.parametrize(("stage", "channel"), [(1, 1), (2, 0), (3, 15)])
def test_channels_tied_by_additions_go_when_they_can_go_on_every_branch(stage, channel):
    model = lively(small("resnet8"))
    for name, place in stream(stage, channel):
        silenced(model, name, place)
    made = widths(check(model))
    assert {name: width - made[name] for name, width in widths(model).items() if made[name] < width} == {
        name: 1 for name, _ in stream(stage, channel)
    }


@pytest.mark.parametrize("writer", range(4))
def test_channels_tied_by_additions_stay_when_one_branch_writes_to_them(writer):
    model = lively(small("resnet8"))
    branches = stream(1, 1)
    for name, place in branches[:writer] + branches[writer + 1 :]:
        silenced(model, name, place)
    assert widths(check(model)) == widths(model)


def test_the_shortcut_pads_with_as_many_zeros_as_are_left():
    model = lively(small("resnet8"))
    for channel in (0, 1, 7):  # new in stage 2: the shortcut has zeros there
        for name, place in stream(2, channel):
            silenced(model, name, place)
    made = check(model)
    shortcut = made.get_layer("stage2_block1_shortcut")
    assert (
        widths(made)["stage2_block1_conv2"] == 5
        and shortcut.padding == ((0, 0), (0, 1))
        and shortcut.data_format == "channels_first"
    )


def test_a_layer_that_lost_everything_keeps_one_channel():
    model = lively(small("lenet5"))
    zero(model, "conv2", slice(None))
    made = check(model)
    assert widths(made)["conv1"] == 1 and widths(made)["conv2"] == 1 and made.count_params() < model.count_params() / 4


def with_middle(middle) -> tf_keras.Model:
    x = inputs = L.Input((6, 6, 2))
    x = middle(L.ReLU()(L.Conv2D(4, 3, padding="same", name="before")(x)))
    x = L.Conv2D(4, 3, padding="same", name="after")(x)
    model = lively(tf_keras.Model(inputs, L.Dense(3, name="out")(L.GlobalMaxPooling2D()(x))))
    zero(model, "before", [0, 1])
    zero(model, "after", [2])
    return model


def nested(x):
    inputs = L.Input(x.shape[1:])
    return tf_keras.Model(inputs, L.Conv2D(4, 1, name="inside")(inputs), name="nested")(x)


def shared(x):
    twice = L.Conv2D(4, 3, padding="same", name="twice")
    return twice(twice(x))


class Own(L.ReLU):
    def call(self, inputs):
        return tf.nn.softmax(inputs)


def halved(x):
    return x / (1 + tf.reduce_sum(tf.abs(x), -1, keepdims=True))


UNKNOWN = {
    "nested": nested,
    "shared": shared,
    "grouped": L.Conv2D(4, 3, groups=2, padding="same", name="middle"),
    "transposed": L.Conv2DTranspose(4, 3, padding="same", name="middle"),
    "own": Own(),
    "lambda": L.Lambda(lambda x: tf.nn.softmax(x)),
    "function": tf.nn.softmax,
    "softmax": L.Activation("softmax"),
    "an activation of one's own": L.Activation(halved),
    "statistics of the batch": lambda x: L.BatchNormalization(name="middle")(x, training=True),
    "reshape": lambda x: L.Reshape((6, 6, 4))(L.Permute((1, 2, 3))(x)),
    "spatial concatenation": lambda x: L.Concatenate(axis=1)([x, x]),
    "broadcast": lambda x: L.Multiply()([x, L.Dense(1, name="gate")(x)]),
}


@pytest.mark.parametrize("middle", UNKNOWN.values(), ids=UNKNOWN)
def test_what_layers_that_are_not_known_touch_stays(middle):
    model = with_middle(middle)
    assert widths(check(model)) == {**widths(model), "after": 3}, "only what they do not touch goes"


def test_units_under_a_softmax_stay_and_what_it_reads_goes():
    model = with_middle(L.Dense(4, "softmax", name="middle"))
    zero(model, "middle", [3])
    assert widths(check(model)) == {"before": 2, "middle": 4, "after": 3, "out": 3}


KNOWN = {  # what is in the middle -> outputs of the first convolution and of the middle, of 4 each
    "depthwise": (L.DepthwiseConv2D(3, padding="same", depth_multiplier=2, use_bias=False, name="middle"), 2, 4),
    "concatenation": (lambda x: L.Concatenate(name="middle")([x, L.Conv2D(3, 1, name="branch")(x), x]), 2, 7),
    "addition": (lambda x: L.Add(name="middle")([x, L.Conv2D(4, 3, padding="same", name="branch")(x)]), 4, 4),
    "pooling": (lambda x: L.AveragePooling2D(3, 1, name="middle")(L.MaxPooling2D(2, 1, padding="same")(x)), 2, 2),
    "cropping": (lambda x: L.UpSampling2D(name="middle")(L.Cropping2D(1)(x)), 2, 2),
    "positions": (L.Dense(4, "tanh", name="middle"), 2, 4),
    "dropout": (lambda x: L.Dropout(0.5, name="middle")(L.LeakyReLU()(x)), 2, 2),
    "two layers": (lambda x: L.Conv2D(4, 1, name="middle")(L.BatchNormalization()(x)), 2, 4),
}


@pytest.mark.parametrize(("middle", "before", "after"), KNOWN.values(), ids=KNOWN)
def test_removed_channels_are_followed_through_known_layers(middle, before, after):
    model = with_middle(middle)
    model.get_layer("before").bias.assign([-1.0, -1.0, 0.1, 0.2])
    made = check(model)
    assert (
        widths(made)["before"] == before
        and made.get_layer("middle").output_shape[-1] == after
        and widths(made)["after"] == 3
    )


def test_a_batch_norm_that_multiplies_by_zero_removes_a_filter_too():
    model = with_middle(L.BatchNormalization(name="middle"))
    model.get_layer("middle").gamma.assign([1.0, 1.0, 0.0, 1.0])
    assert widths(check(model))["before"] == 2, "the one with weights, and one for three constants"


def test_a_sequential_model_stays_one_and_units_go():
    model = tf_keras.Sequential(
        [L.Dense(8, "sigmoid", name="one"), L.Dense(8, "relu", use_bias=False, name="two"), L.Dense(3, name="out")]
    )
    model.build((None, 5))
    zero(lively(model), "one", [0, 1, 2])
    zero(model, "two", [5, 6])
    made = check(model)
    assert isinstance(made, tf_keras.Sequential) and widths(made) == {"one": 6, "two": 6, "out": 3}


class Subclassed(tf_keras.Model):
    def __init__(self):
        super().__init__(name="own")
        self.out = L.Dense(3)

    def call(self, x):
        return self.out(x)


def test_a_model_without_a_graph_is_refused():
    model = Subclassed()
    model.build((None, 4))
    for refused in (model, tf_keras.Sequential([L.Dense(3)], name="unbuilt")):
        with pytest.raises(BadInput, match=f"model={refused.name}: has no graph"):
            compact(refused)


def test_a_wrapped_model_is_refused():
    with pytest.raises(BadInput, match=r"model=chain: is wrapped \(layer one\)"):
        compact(dlth.wrap(chain("same", True, 0.0)))


class Closed(L.Layer):
    def __init__(self, size):
        super().__init__(name="closed")


def test_a_layer_that_cannot_be_made_again_is_named():
    with pytest.raises(BadInput, match="has a layer closed that cannot be made again from its config"):
        compact(with_middle(Closed(object())))


def test_a_model_from_a_file_is_made_smaller_too(tmp_path):
    chain("same", True, 0.7).save(tmp_path / "mine.keras")
    assert widths(check(tf_keras.models.load_model(tmp_path / "mine.keras")))["one"] == 4


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float64"])
def test_other_precisions_are_followed(policy):
    tf_keras.mixed_precision.set_global_policy(policy)
    try:
        model = chain("same", True, 0.7)
    finally:
        tf_keras.mixed_precision.set_global_policy("float32")
    made = compact(model)
    assert widths(made)["one"] == 4 and {layer.dtype_policy.name for layer in made.layers[1:]} == {policy}
    assert difference(model, made) < (1e-5 if policy == "float64" else 0.05)


def test_removed_says_for_every_layer_what_went():
    model = chain("valid", True, 0.0)
    table = removed(model, compact(model))
    one, two = 36 * 9 * 2, 16 * 9 * 5
    assert table["layers"]["one"] == {
        "kernel": [[3, 3, 2, 6], [3, 3, 2, 3]],
        "parameters": [108, 54],
        "macs": [6 * one, 3 * one],
    }
    assert table["layers"]["two"] == {
        "kernel": [[3, 3, 6, 5], [3, 3, 3, 5]],
        "parameters": [275, 140],
        "macs": [6 * two, 3 * two],
    }
    assert table["macs"] == [6 * (one + two) + 15, 3 * (one + two) + 15]
    assert table["parameters"] == [model.count_params(), compact(model).count_params()]


@st.composite
def networks(draw) -> tf_keras.Model:
    """A few layers of any known kind in a row, with branches that are added or concatenated, and filters and channels removed."""
    choose, channels = lambda *options: draw(st.sampled_from(options)), draw(st.integers(1, 3))
    x = inputs = L.Input((6, 6, channels))
    for _ in range(draw(st.integers(1, 5))):
        x = _layer(choose, x)
    x = choose(L.Flatten, L.GlobalAveragePooling2D, L.GlobalMaxPooling2D)()(x)
    x = L.Dense(4, choose("relu", "sigmoid", None), use_bias=choose(True, False))(x)
    model = lively(tf_keras.Model(inputs, L.Dense(3)(x)), seed=draw(st.integers(0, 99)))
    for layer in [layer for layer in model.layers if hasattr(layer, "kernel")][:-1]:
        kernel = layer.kernel.numpy()
        kernel[..., draw(st.lists(st.booleans(), min_size=kernel.shape[-1], max_size=kernel.shape[-1]))] = 0
        if choose(True, False):
            kernel[..., draw(st.lists(st.booleans(), min_size=kernel.shape[-2], max_size=kernel.shape[-2])), :] = 0
        layer.kernel.assign(kernel)
    return model


def _layer(choose, x):
    padding, bias, activation = choose("same", "valid"), choose(True, False), choose("relu", "sigmoid", None)
    if min(x.shape[1:3]) < 3:
        padding = "same"
    return choose(
        lambda: L.Conv2D(4, 3, choose(1, 2), padding=padding, use_bias=bias, activation=activation)(x),
        lambda: L.ReLU()(L.BatchNormalization()(L.Conv2D(4, 3, padding=padding, use_bias=False)(x))),
        lambda: L.ReLU()(L.BatchNormalization()(x)),
        lambda: L.DepthwiseConv2D(
            3, padding=padding, depth_multiplier=choose(1, 2), use_bias=bias, activation=activation
        )(x),
        lambda: choose(L.MaxPooling2D, L.AveragePooling2D)(3, choose(1, 2), padding=padding)(x),
        lambda: L.ZeroPadding2D(choose(1, ((0, 1), (2, 0))))(x),
        lambda: L.ZeroPadding2D(((0, 0), (1, 2)), data_format="channels_first")(x),
        lambda: choose(L.Add, L.Multiply, L.Maximum)()([x, L.Conv2D(x.shape[-1], 3, padding="same", use_bias=bias)(x)]),
        lambda: L.Concatenate()([x, L.Conv2D(2, 3, padding="same", activation=activation)(x)]),
    )()


@settings(max_examples=25, deadline=None, derandomize=True)
@given(networks())
def test_any_network_has_the_same_outputs(model):
    check(model)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(networks())
def test_very_many_networks_have_the_same_outputs(model):
    check(model)
