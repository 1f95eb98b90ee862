"""The compact network of a ticket depends on the masks alone, and its weights have places in the whole network."""

from __future__ import annotations

import numpy as np
import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking
from dlth_tf.deploy.compaction import Places, compact_by_masks
from tests.deploy.compaction.networks import widths
from tests.deploy.pruned import difference, images, lively
from tests.models.small import ONE_OF_EACH, small

L = tf_keras.layers
EXACT = 1e-9  # of numbers in float64


def ticketed(name: str, granularity: str) -> tf_keras.Model:
    wrapped = dlth.wrap(lively(small(name)))
    dlth.apply_ticket(wrapped, dlth.random_ticket(wrapped, 0.5, granularity=granularity), remove=True)
    return wrapped


def compacted(wrapped: tf_keras.Model) -> tuple[tf_keras.Model, tf_keras.Model, Places]:
    """The stripped network without the offsets of silent channels, its compact network, and the places."""
    masks = {name: entry.kept() for name, entry in masking.prunable_weights(wrapped).items()}
    whole = masking.strip(wrapped)
    _, places = compact_by_masks(whole, masks)
    for name, weight in masking.named_weights(whole).items():
        if name in places.offsets:
            weight.assign(np.where(places.offsets[name], 0, weight.numpy()))
    return whole, compact_by_masks(whole, masks)[0], places


@pytest.fixture
def in_float64() -> None:
    """Batch norms in training amplify rounding, in float32 to 2e-3 over the depth of a MobileNet."""
    tf_keras.backend.set_floatx("float64")


@pytest.mark.fast_cases("filter-resnet8")
@pytest.mark.slow_cases(
    "filter-lenet5", "channel-mlp_7_relu", "channel-resnet8", "filter-wrn_16_2", "channel-mobilenet_v1"
)
@pytest.mark.parametrize("name", ONE_OF_EACH)
@pytest.mark.parametrize("granularity", ["filter", "channel"])
@pytest.mark.usefixtures("in_float64")
def test_outputs_are_those_of_the_whole_network_without_offsets_in_training_too(name, granularity):
    whole, compact, places = compacted(ticketed(name, granularity))
    assert places.left == compact.count_params() < whole.count_params() == places.whole
    assert difference(whole, compact) < EXACT
    if not any(isinstance(layer, L.Dropout) and layer.rate for layer in whole.layers):
        expected, outputs = (model(images(whole), training=True).numpy() for model in (whole, compact))
        assert outputs.dtype == np.float64 and np.abs(outputs - expected).max() < EXACT * np.abs(expected).max()


def test_every_weight_comes_from_its_place():
    whole, compact, places = compacted(ticketed("resnet8", "filter"))
    weights = masking.weight_arrays(whole)
    for name, value in masking.weight_arrays(compact).items():
        assert np.array_equal(value, weights[name].reshape(-1)[places.indices[name]])
    assert compact.get_layer("stage1_block1_conv1").filters * 2 == whole.get_layer("stage1_block1_conv1").filters


def between(activation: str, gamma: float = 1.0) -> tf_keras.Model:
    """Two of four filters are removed between two convolutions; every batch norm has this gamma."""
    x = inputs = L.Input((6, 6, 2))
    x = L.BatchNormalization(name="norm")(L.Conv2D(4, 3, padding="same", use_bias=False, name="one")(x))
    x = L.Conv2D(3, 3, padding="same", name="two")(L.Activation(activation)(x))
    model = dlth.wrap(tf_keras.Model(inputs, L.Dense(3, name="out")(L.GlobalAveragePooling2D()(x))))
    model.get_layer("norm").gamma.assign([gamma] * 4)
    model.get_layer("norm").beta.assign([0.3] * 4)
    keep = np.ones((3, 3, 2, 4), bool)
    keep[..., 1:3] = False
    dlth.apply_ticket(model, dlth.Ticket.from_masks({"one/kernel": keep}), remove=True)
    return model


def test_a_removed_filter_leaves_no_channel_for_its_constant():
    _, compact, places = compacted(between("relu"))
    assert widths(compact)["one"] == 2
    assert {name: offset.tolist() for name, offset in places.offsets.items()} == {
        "norm/beta": [False, True, True, False],
        "norm/moving_mean": [False, True, True, False],
    }


def test_a_filter_that_a_batch_norm_multiplies_by_zero_is_kept_for_training():
    assert widths(compacted(between("relu", gamma=0.0))[1])["one"] == 2


def test_filters_under_an_activation_that_is_not_zero_at_zero_stay():
    whole, compact, places = compacted(between("sigmoid"))
    assert widths(compact) == widths(whole) and places.left == places.whole and not places.offsets


@pytest.mark.slow
def test_scattered_zeros_take_nothing_out():
    _, _, places = compacted(ticketed("resnet8", "weight"))
    assert places.left == places.whole
