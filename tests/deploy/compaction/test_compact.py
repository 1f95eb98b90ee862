"""compact: fewer filters, units and channels, and the same outputs."""

from __future__ import annotations

import numpy as np
import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking, models
from dlth_tf.deploy.compaction import compact, kernel_shapes
from dlth_tf.errors import BadInput
from dlth_tf.models import FAMILIES
from tests.deploy.compaction.networks import chain, check, widths
from tests.deploy.pruned import difference, lively, pruned, zero
from tests.models.small import ONE_OF_EACH, small

L = tf_keras.layers


@pytest.mark.fast_cases("lenet5", "resnet8", "mlp_7_relu")
@pytest.mark.parametrize("name", [*(name for name in ONE_OF_EACH if name != "mobilenet_v1"), "lenet_300_100"])
def test_a_network_without_its_removed_filters_has_the_same_outputs(name):
    model = pruned(name, "filter")
    compacted = check(model)
    assert compacted.count_params() < 0.75 * model.count_params() and compacted.name == model.name
    assert [layer.name for layer in compacted.layers] == [layer.name for layer in model.layers]


@pytest.mark.fast_cases("lenet5")
@pytest.mark.parametrize("name", ["resnet8", "vgg11", "lenet5"])
def test_what_only_removed_channels_looked_at_goes_too(name):
    model = pruned(name, "channel")
    assert check(model).count_params() < 0.75 * model.count_params()


@pytest.mark.slow_cases(
    "lenet_300_100-filter-1",
    "mlp-channel-2",
    "lenet5-channel-2",
    "resnet8-filter-1",
    "resnet20-channel-2",
    "resnet18-filter-1",
    "wrn_16_2-channel-2",
    "vgg11-filter-1",
    "mobilenet_v2-channel-2",
)
@pytest.mark.parametrize(
    ("granularity", "seed"),
    [
        pytest.param("filter", 1, marks=pytest.mark.slow),
        pytest.param("channel", 2, marks=pytest.mark.slow),
        pytest.param("filter", 2, marks=pytest.mark.faults),
        pytest.param("channel", 1, marks=pytest.mark.faults),
    ],
)
@pytest.mark.parametrize("name", [name for names in FAMILIES.values() for name in names if name != "wrn_28_10"])
def test_every_network_has_the_same_outputs(name, granularity, seed):
    model = pruned(name, granularity, sparsity=(0.5, 0.9)[seed - 1], seed=seed)
    assert check(model).count_params() < 0.9 * model.count_params()


@pytest.mark.faults_cases("DenseNet121Backbone")
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
    pairs = zip(compact(model).get_weights(), model.get_weights(), strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)


def test_a_wrapped_network_is_compacted_like_its_stripped_one_and_stays_wrapped():
    wrapped = dlth.wrap(lively(models.build("lenet5", (28, 28, 1), 10, 0)))
    ticket = dlth.random_ticket(wrapped, 0.5, granularity="filter")
    dlth.apply_ticket(wrapped, ticket)
    with pytest.raises(BadInput, match=f"model={wrapped.name}: has a ticket for .* not removed yet"):
        compact(wrapped)
    dlth.apply_ticket(wrapped, ticket, remove=True)
    reports = []
    found = compact(wrapped, reports.append)
    pairs = zip(found.get_weights(), compact(dlth.strip(wrapped)).get_weights(), strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)
    assert reports[0].parameters == (dlth.strip(wrapped).count_params(), found.count_params())
    assert masking.has_masks(wrapped) and not masking.has_masks(found)


def test_the_model_is_left_alone_and_shares_nothing():
    model = pruned("lenet5", "filter")
    before = model.get_weights()
    for layer in compact(model).layers:
        layer.set_weights([weight + 1 for weight in layer.get_weights()])
    assert all(np.array_equal(one, other) for one, other in zip(before, model.get_weights(), strict=True))


def test_flattened_channels_are_all_their_positions():
    x = inputs = L.Input((4, 4, 1))
    x = L.MaxPooling2D()(L.Conv2D(5, 3, padding="same", activation="relu", name="conv")(x))
    model = lively(tf_keras.Model(inputs, L.Dense(3, name="out")(L.Dense(7, "relu", name="fc")(L.Flatten()(x)))))
    zero(model, "conv", [0, 4])
    zero(model, "fc", [2])
    compacted = check(model)
    assert widths(compacted) == {"conv": 3, "fc": 6, "out": 3} and compacted.get_layer("fc").kernel.shape == (12, 6)


def test_a_layer_that_lost_everything_keeps_one_channel():
    model = lively(small("lenet5"))
    zero(model, "conv2", slice(None))
    compacted = check(model)
    assert widths(compacted)["conv1"] == 1 and widths(compacted)["conv2"] == 1
    assert compacted.count_params() < model.count_params() / 4


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float64"])
def test_other_precisions_are_followed(policy):
    tf_keras.mixed_precision.set_global_policy(policy)
    try:
        model = chain("same", True, 0.7)
    finally:
        tf_keras.mixed_precision.set_global_policy(None)
    compacted = compact(model)
    assert widths(compacted)["one"] == 4 and {layer.dtype_policy.name for layer in compacted.layers[1:]} == {policy}
    assert difference(model, compacted) < (1e-5 if policy == "float64" else 0.05)


def test_kernel_shapes_are_those_before_and_after():
    model = chain("valid", True, 0.0)
    assert kernel_shapes(model, compact(model)) == {
        "one": [[3, 3, 2, 6], [3, 3, 2, 3]],
        "two": [[3, 3, 6, 5], [3, 3, 3, 5]],
        "out": [[5, 3], [5, 3]],
    }


def test_the_kernel_of_a_depthwise_convolution_counts_too():
    model = pruned("mobilenet_v1", "filter")
    shapes = kernel_shapes(model, compact(model))
    assert all(shape == list(model.get_layer(name).weights[0].shape) for name, (shape, _) in shapes.items())
    assert len(shapes) == 28 and all(after <= before for before, after in shapes.values())
