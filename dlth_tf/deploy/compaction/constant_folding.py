"""Folds constant channels into biases and into each other, then finds the channels that are no longer read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from dlth_tf.deploy.compaction import kinds, maps
from dlth_tf.deploy.compaction.arrays import Arrays
from dlth_tf.deploy.compaction.constants import Constants, find_constants
from dlth_tf.deploy.compaction.graph import Graph, LayerCall
from dlth_tf.deploy.compaction.slots import Slots

# A constant that stays anyway absorbs constants that are larger by up to this factor, so that no additional one has to
# stay. Beyond it, the rounding of a small difference of large numbers would be multiplied.
REACH = 16.0


@dataclass
class _Folding:
    """The state of the folding, which changes from round to round.

    Attributes:
      calls: Calls of layers that mix channels.
      slots: Classes of slots.
      arrays: Weights, changed in place.
      dead: bool[classes]: Classes that no mixing call reads.
      partners: bool[classes]: Classes that absorbed other constants.
      windows: Layer name -> what each position of its map sees of the kernel (`maps.windows`), for the layers that get
        a map.
    """

    calls: list[LayerCall]
    slots: Slots
    arrays: Arrays
    dead: np.ndarray
    partners: np.ndarray
    windows: Mapping[str, np.ndarray]


def dead_classes(graph: Graph, slots: Slots, arrays: Arrays, mapped: Collection[str] = ()) -> np.ndarray:
    """Finds the classes of slots that the network does not need.

    Args:
      graph: The network.
      slots: Its classes of slots.
      arrays: Its weights, changed in place such that no remaining weight reads a dead class.
      mapped: Names of the layers that fold constants into a map.

    Returns:
      bool[classes]: Classes that no call reads. Every tensor keeps at least one channel.
    """
    mixing = [call for call in graph.calls if call.kind == kinds.MIXING]
    dead = _cut(mixing, slots, arrays)
    windows = {call.layer.name: maps.windows(graph, call)[0] for call in mixing if call.layer.name in mapped}
    folding = _Folding(mixing, slots, arrays, dead, np.zeros_like(dead), windows)
    while True:
        _fold(folding, find_constants(graph, arrays))
        dead = _cut(mixing, slots, arrays)
        if np.array_equal(dead, folding.dead):
            return _keep_one_per_tensor(dead, slots)
        folding.dead = dead


def _cut(mixing: list[LayerCall], slots: Slots, arrays: Arrays) -> np.ndarray:
    """Finds the classes that no mixing call reads, and clears the weights that compute them, so these read nothing."""
    reads = {call.layer.name: arrays.reads(call) for call in mixing}
    cleared = dict.fromkeys(reads, -1)  # number of cleared outputs of each call
    while True:
        dead = ~slots.pinned
        for call in mixing:
            dead[slots.labels[call.input][reads[call.layer.name]]] = False
        changed = False
        for call in mixing:
            name = call.layer.name
            outputs = dead[slots.labels[call.output]]
            count = int(np.count_nonzero(outputs))
            if count != cleared[name]:
                arrays.matrix(call)[:, :, outputs] = 0
                arrays.bias(call)[outputs] = 0
                if name in arrays.maps:
                    arrays.maps[name][..., outputs] = 0
                reads[name] = arrays.reads(call)
                cleared[name] = count
                changed = True
        if not changed:
            return dead


def _fold(folding: _Folding, constants: list[Constants]) -> None:
    """Makes every mixing call independent of the constants that all other calls can do without too."""
    slots, arrays = folding.slots, folding.arrays
    free = ~slots.pinned & ~folding.dead
    for call in folding.calls:
        free[slots.labels[call.input][arrays.reads(call) & ~constants[call.input].known]] = False
    for call in folding.calls:
        labels = slots.labels[call.input]
        inputs = constants[call.input]
        removable = free[labels] & inputs.known & arrays.reads(call)
        removable &= ~_fold_into_bias(call, inputs, removable, arrays)
        if call.layer.name in folding.windows:
            removable &= ~_fold_into_map(call, inputs, removable, folding)
        for pattern in np.unique(inputs.pattern[removable]):
            pool = inputs.known & (inputs.value != 0) & (inputs.pattern == pattern) & ~folding.dead[labels]
            stays = pool & (~free[labels] | folding.partners[labels])
            partner = _partner(np.abs(inputs.value), pool, stays)
            folding.partners[labels[partner]] = True
            _merge(arrays.matrix(call), inputs.value, removable & (inputs.pattern == pattern), partner)


def _fold_into_bias(call: LayerCall, inputs: Constants, removable: np.ndarray, arrays: Arrays) -> np.ndarray:
    """Folds constants into the layer's bias.

    Returns:
      bool[inputs]: The folded channels. These are all removable uniform ones if the layer has a bias and no position
      reads padding, else only those that are zero.
    """
    kernel = arrays.matrix(call)
    able = call.layer.use_bias and kinds.position_independent(call.layer)
    folded = removable & (inputs.uniform if able else inputs.value == 0)
    if able:
        share = np.einsum("i,pio->o", inputs.value[folded], kernel[:, folded], dtype=np.float64)
        arrays.bias(call)[:] += share.astype(kernel.dtype)
    kernel[:, folded] = 0
    return folded


def _fold_into_map(call: LayerCall, inputs: Constants, removable: np.ndarray, folding: _Folding) -> np.ndarray:
    """Folds uniform constants into the layer's map, and returns bool[inputs]: the folded channels."""
    name, arrays = call.layer.name, folding.arrays
    kernel = arrays.matrix(call)
    folded = removable & inputs.uniform
    seen = folding.windows[name]
    share = np.einsum("rcp,i,pio->rco", seen, inputs.value[folded], kernel[:, folded].astype(np.float64))
    arrays.maps[name] = arrays.maps.get(name, 0) + share
    kernel[:, folded] = 0
    return folded


def _partner(size: np.ndarray, pool: np.ndarray, stays: np.ndarray) -> int:
    """Returns the largest constant that stays anyway if it is large enough, else the largest of all."""
    largest = np.argmax(np.where(pool, size, -1))
    kept = np.argmax(np.where(stays, size, -1))
    return int(kept if stays.any() and size[kept] * REACH >= size[largest] else largest)


def _merge(kernel: np.ndarray, values: np.ndarray, members: np.ndarray, partner: int) -> None:
    """Merges channels that are multiples of one channel into that channel.

    A bias could not replace them: a zero-padded convolution turns a constant into border effects.
    """
    members = members.copy()
    members[partner] = False
    share = values[members] / values[partner]
    kernel[:, partner] += np.einsum("i,pio->po", share, kernel[:, members], dtype=np.float64).astype(kernel.dtype)
    kernel[:, members] = 0


def _keep_one_per_tensor(dead: np.ndarray, slots: Slots) -> np.ndarray:
    """Keeps one class of every tensor that would lose all of them, because Keras has no layers without channels."""
    dead = dead.copy()
    for labels in slots.labels:
        if dead[labels].all():
            dead[labels[0]] = False
    return dead
