"""Channels that additions tie together are removed together or not at all."""

from __future__ import annotations

import pytest
import tensorflow as tf
import tf_keras

from tests.deploy.compaction.networks import check, widths
from tests.deploy.pruned import lively, zero
from tests.models.small import small


def silenced(model: tf_keras.Model, layer: str, channel: int) -> None:
    """Removes one filter of a layer such that its batch norm outputs 0."""
    zero(model, layer, [channel])
    norm = model.get_layer(layer.replace("conv", "bn"))
    for weight in (norm.beta, norm.moving_mean):
        weight.assign(tf.tensor_scatter_nd_update(weight, [[channel]], [0.0]))


def stream(stage: int, channel: int, widths: tuple[int, ...] = (4, 8, 16)) -> list[tuple[str, int]]:
    """Returns the layers of resnet8 that write to a channel of a stage's stream, with the channel's index in each.

    The index changes from stage to stage, because the shortcut pads new zeros on both sides.
    """
    writers = []
    for later in range(stage, 4):
        writers += [("conv1", channel)] if later == 1 else []
        writers.append((f"stage{later}_block1_conv2", channel))
        if later < 3:
            channel += (widths[later] - widths[later - 1]) // 2
    return writers


@pytest.mark.fast_cases("1-1")
@pytest.mark.parametrize(("stage", "channel"), [(1, 1), (2, 0), (3, 15)])
def test_channels_tied_by_additions_go_when_they_can_go_on_every_branch(stage, channel):
    model = lively(small("resnet8"))
    for name, place in stream(stage, channel):
        silenced(model, name, place)
    before, after = widths(model), widths(check(model))
    removed = {name: before[name] - after[name] for name in before if after[name] < before[name]}
    assert removed == {name: 1 for name, _ in stream(stage, channel)}


@pytest.mark.fast_cases("1")
@pytest.mark.parametrize("writer", range(4))
def test_channels_tied_by_additions_stay_when_one_branch_writes_to_them(writer):
    model = lively(small("resnet8"))
    branches = stream(1, 1)
    for name, place in branches[:writer] + branches[writer + 1 :]:
        silenced(model, name, place)
    assert widths(check(model)) == widths(model)


def test_the_shortcut_pads_with_as_many_zeros_as_are_left():
    model = lively(small("resnet8"))
    for channel in (0, 1, 7):  # new in stage 2, where the shortcut has zeros
        for name, place in stream(2, channel):
            silenced(model, name, place)
    compacted = check(model)
    shortcut = compacted.get_layer("stage2_block1_shortcut")
    assert widths(compacted)["stage2_block1_conv2"] == 5
    assert shortcut.padding == ((0, 0), (0, 1)) and shortcut.data_format == "channels_first"
