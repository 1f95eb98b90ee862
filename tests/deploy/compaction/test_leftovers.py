"""Zero filters, units and channels that stay are counted, with the reason of each layer."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf.deploy.compaction import Zeros, compact_and_explain
from dlth_tf.deploy.forms import NOTHING_REMOVED, compaction_note
from tests.deploy.compaction.networks import chain, with_middle
from tests.deploy.compaction.test_kinds import Own, halved, nested, shared
from tests.deploy.pruned import lively, pruned, zero
from tests.models.small import small

L = tf_keras.layers


def zeros(model: tf_keras.Model) -> Zeros:
    return compact_and_explain(model)[1]


def note(model: tf_keras.Model) -> str:
    compacted, found = compact_and_explain(model)
    return compaction_note(found, removed=compacted.count_params() < model.count_params())


def ticketed(model: tf_keras.Model, granularity: str, **options: str) -> tf_keras.Model:
    wrapped = dlth.wrap(lively(model))
    dlth.apply_ticket(wrapped, dlth.random_ticket(wrapped, 0.5, granularity=granularity, **options), remove=True)
    return dlth.strip(wrapped)


READERS = {  # a layer after two zero filters -> what it is
    "nested": (nested, "nested, a model inside the model"),
    "shared": (shared, "twice, called 2 times"),
    "grouped": (L.Conv2D(4, 3, groups=2, name="middle"), "middle, a grouped convolution with groups=2"),
    "transposed": (
        L.Conv2DTranspose(4, 3, name="middle"),
        "middle, a layer of type Conv2DTranspose, which stays whole",
    ),
    "separable": (L.SeparableConv2D(4, 3, name="middle"), "middle, a layer of type SeparableConv2D, which stays whole"),
    "custom": (Own(name="middle"), "middle, a layer of type Own, which stays whole"),
    "lambda": (L.Lambda(lambda x: -x, name="middle"), "middle, a function on tensors"),
    "softmax": (L.Activation("softmax", name="middle"), "middle, an activation softmax that is not known to treat"),
    "own activation": (L.Activation(halved, name="middle"), "middle, an activation halved that is not known to treat"),
    "option": (lambda x: L.BatchNormalization(name="middle")(x, training=True), "middle, called with training"),
    "along an axis": (lambda x: L.Concatenate(1, name="middle")([x, x]), "middle, a Concatenate with inputs of shape"),
}


@pytest.mark.parametrize(("middle", "reader"), READERS.values(), ids=READERS)
def test_filters_that_an_unknown_layer_reads_are_told_with_it(middle, reader):
    found = zeros(with_middle(middle))
    (left,) = (left for left in found.leftovers if left.layer == "before")
    assert found.count == 3 and left.count == 2 and left.what == "filters"
    assert left.why.startswith(f"read by {reader}") and found.held


def test_grouped_convolutions_keep_their_own_filters():
    inputs = L.Input((8, 8, 4))
    x = L.Conv2D(6, 3, groups=2, name="g1")(inputs)
    x = L.Conv2D(6, 3, groups=3, name="g2")(L.ReLU()(x))
    model = lively(tf_keras.Model(inputs, L.Dense(3, name="o")(L.GlobalAveragePooling2D()(x))))
    zero(model, "g1", [0, 5])
    zero(model, "g2", [1])
    assert note(model) == (
        "compact: nothing could be removed, and it computes the same as plain; of 3 filters, units and channels whose "
        "weights are all zero, 3 stay (2 of g1: a grouped convolution with groups=2; 1 of g2: a grouped convolution "
        "with groups=3)."
    )


OTHER_TYPES = {
    "separable": (L.SeparableConv2D(4, 3, name="x"), (6, 6, 4), "SeparableConv2D"),
    "transposed": (L.Conv2DTranspose(6, 3, name="x"), (6, 6, 4), "Conv2DTranspose"),
    "recurrent": (L.LSTM(4, name="x"), (5, 3), "LSTM"),
    "embedding": (L.Embedding(7, 4, name="x"), (5,), "Embedding"),
    "attention": (None, (5, 4), "MultiHeadAttention"),
}


@pytest.mark.fast_cases("separable", "attention")
@pytest.mark.parametrize(("layer", "shape", "kind"), OTHER_TYPES.values(), ids=OTHER_TYPES)
def test_filters_of_other_layer_types_are_counted_and_told_with_the_type(layer, shape, kind):
    inputs = L.Input(shape)
    x = L.MultiHeadAttention(2, 2, name="x")(inputs, inputs) if layer is None else layer(inputs)
    model = tf_keras.Model(inputs, L.Dense(3, name="o")(L.Flatten()(x)))
    model = ticketed(model, "filter", dense_layers="last")
    found = zeros(model)
    (left,) = found.leftovers
    assert left.layer == "x" and 0 < left.count == found.count and kind in left.why
    assert "nothing could be removed" in note(model) and "zero throughout" not in note(model)


def test_filters_inside_a_nested_model_are_told_with_the_model():
    model = with_middle(nested)
    zero(model.get_layer("nested"), "inside", [1, 3])
    (left,) = (left for left in zeros(model).leftovers if left.layer == "inside")
    assert (left.count, left.why) == (2, "inside nested, a model inside the model")


def test_filters_that_an_addition_ties_are_told_with_it():
    model = ticketed(small("resnet8"), "filter", dense_layers="none")
    why = {left.layer: left.why for left in zeros(model).leftovers if left.why.startswith("tied by ")}
    assert why["stage2_block1_conv2"] == "tied by stage1_block1_add (Add) to filters that are not zero"
    assert "fc: an output of the network" in note(model)


def test_units_under_a_softmax_are_told_with_it():
    model = with_middle(L.Dense(4, "softmax", name="middle"))
    zero(model, "middle", [3])
    (left,) = (left for left in zeros(model).leftovers if left.layer == "middle")
    assert left.why == "under the activation softmax, which may mix channels"


@pytest.mark.parametrize("padding", [L.ZeroPadding2D(1), L.ReLU()])
def test_filters_before_a_padded_depthwise_convolution_leave_a_border(padding):
    def middle(x):
        valid = isinstance(padding, L.ZeroPadding2D)
        return L.DepthwiseConv2D(3, padding="valid" if valid else "same", name="middle")(padding(x))

    model = with_middle(middle)
    model.get_layer("before").bias.assign([1.0, 2.0, 0.1, 0.2])
    (left,) = (left for left in zeros(model).leftovers if left.layer == "before")
    assert left.why.startswith("followed by a zero-padded depthwise convolution")


def test_channels_of_the_networks_input_stay():
    model = ticketed(small("lenet_300_100"), "channel", dense_layers="none")
    unread = int((~model.get_layer("fc1").kernel.numpy().any(1)).sum())
    assert f"({unread} input channels of fc1: an input of the network)" in note(model)


def test_a_filter_that_carries_the_constants_of_others_needs_no_note():
    model = chain("same", True, 0.7)
    found = zeros(model)
    assert str(found) == "1 of one: kept for the constants that biases and batch norms leave"
    assert not found.held and note(model) == ""


def test_a_layer_that_lost_everything_is_told():
    model = lively(small("lenet5"))
    zero(model, "conv2", slice(None))
    assert {left.why for left in zeros(model).leftovers} == {"kept because a layer has at least one"}


def test_channels_that_others_read_too_are_told_with_them():
    model = ticketed(small("resnet8"), "channel", dense_layers="none")
    found = [left for left in zeros(model).leftovers if left.layer == "stage1_block1_conv1"]
    assert {left.what for left in found} == {"input channels"}
    assert found and all(left.why.startswith("also read by ") for left in found)


def test_positions_of_flattened_channels_stay_with_the_channel():
    (left,) = zeros(pruned("lenet5", "channel")).leftovers
    assert (left.layer, left.why) == ("fc1", "part of a flattened channel that is read elsewhere")


@pytest.mark.fast_cases("resnet8-filter", "lenet5-filter")
@pytest.mark.parametrize(
    ("name", "granularity"),
    [("resnet8", "filter"), ("resnet8", "channel"), ("vgg11", "filter"), ("vgg11", "channel"), ("lenet5", "filter")],
)
def test_what_can_be_taken_out_leaves_no_note(name, granularity):
    assert note(pruned(name, granularity)) == ""


@pytest.mark.fast_cases("resnet8")
@pytest.mark.parametrize("name", ["resnet8", "mobilenet_v1"])
def test_scattered_zeros_are_no_filters(name):
    model = pruned(name, "weight", sparsity=0.3)
    assert zeros(model) == Zeros(0, ()) and note(model) == NOTHING_REMOVED


@pytest.mark.fast_cases("auto-resnet8", "none-resnet8")
@pytest.mark.parametrize("name", ["resnet8", "mobilenet_v1", "vgg11"])
@pytest.mark.parametrize("dense_layers", ["auto", "none"])
def test_the_filters_that_do_not_stay_are_gone(name, dense_layers):
    model = ticketed(small(name), "filter", dense_layers=dense_layers)
    compacted, found = compact_and_explain(model)
    stay = Counter({left.layer: 0 for left in found.leftovers})
    for left in found.leftovers:
        stay[left.layer] += left.count if left.what == "filters" else 0
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            kernel = compacted.get_layer(layer.name).kernel.numpy()
            # Folding may give a filter that carries constants new weights; one that is still zero has a reason.
            assert np.count_nonzero(~kernel.any(tuple(range(kernel.ndim - 1)))) <= stay[layer.name]
