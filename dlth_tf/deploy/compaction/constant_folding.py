"""Constants move into biases and into each other; then what nobody reads goes."""

from __future__ import annotations

import numpy as np

from dlth_tf.deploy.compaction import kinds
from dlth_tf.deploy.compaction.arrays import Arrays
from dlth_tf.deploy.compaction.constants import Constants, find
from dlth_tf.deploy.compaction.graph import Graph, LayerCall
from dlth_tf.deploy.compaction.slots import Slots

# A constant that stays anyway takes in larger ones up to this factor, so that no new one has to stay. Beyond it the
# rounding of a small difference of large numbers would be multiplied.
REACH = 16.0


def dead_classes(graph: Graph, slots: Slots, arrays: Arrays) -> np.ndarray:
    """Which classes of slots the network can do without; `arrays` are changed so that it does.

    Returns:
      bool[classes]: no step reads them. Every tensor keeps at least one channel.
    """
    mixing = [step for step in graph.steps if step.kind == kinds.MIXING]
    dead = _cut(mixing, slots, arrays)
    partners = np.zeros_like(dead)  # classes that took in others
    while True:
        _fold(mixing, slots, find(graph, arrays), arrays, dead, partners)
        now = _cut(mixing, slots, arrays)
        if np.array_equal(now, dead):
            return _with_one_of_each(dead, slots)
        dead = now


def _cut(mixing: list[LayerCall], slots: Slots, arrays: Arrays) -> np.ndarray:
    """The classes that no mixing step reads; what makes them is emptied, so that it reads nothing itself."""
    reads = {step.layer.name: arrays.reads(step) for step in mixing}
    emptied = dict.fromkeys(reads, -1)  # how many outputs of each step
    while True:
        dead = ~slots.pinned
        for step in mixing:
            dead[slots.labels[step.input][reads[step.layer.name]]] = False
        changed = False
        for step in mixing:
            outputs = dead[slots.labels[step.output]]
            count = int(np.count_nonzero(outputs))
            if count != emptied[step.layer.name]:
                arrays.matrix(step)[:, :, outputs] = 0
                arrays.bias(step)[outputs] = 0
                reads[step.layer.name], emptied[step.layer.name], changed = arrays.reads(step), count, True
        if not changed:
            return dead


def _fold(
    mixing: list[LayerCall],
    slots: Slots,
    constants: list[Constants],
    arrays: Arrays,
    dead: np.ndarray,
    partners: np.ndarray,
) -> None:
    """Makes every mixing step do without the constants that all others can do without too."""
    free = ~slots.pinned & ~dead
    for step in mixing:
        free[slots.labels[step.input][arrays.reads(step) & ~constants[step.input].known]] = False
    for step in mixing:
        labels, inputs = slots.labels[step.input], constants[step.input]
        goes = free[labels] & inputs.known & arrays.reads(step)
        goes &= ~_into_bias(step, inputs, goes, arrays)
        for pattern in np.unique(inputs.pattern[goes]):
            pool = inputs.known & (inputs.value != 0) & (inputs.pattern == pattern) & ~dead[labels]
            partner = _partner(np.abs(inputs.value), pool, stays=pool & (~free[labels] | partners[labels]))
            partners[labels[partner]] = True
            _merge(arrays.matrix(step), inputs.value, goes & (inputs.pattern == pattern), partner)


def _into_bias(step: LayerCall, inputs: Constants, goes: np.ndarray, arrays: Arrays) -> np.ndarray:
    """Moves constants into the layer's bias, and returns which: all if it has one and no position sees padding, else the zeros."""
    kernel = arrays.matrix(step)
    able = step.layer.use_bias and kinds.position_independent(step.layer)
    taken = goes & (inputs.uniform if able else inputs.value == 0)
    if able:
        arrays.bias(step)[:] += np.einsum("i,pio->o", inputs.value[taken], kernel[:, taken], dtype=np.float64).astype(
            kernel.dtype
        )
    kernel[:, taken] = 0
    return taken


def _partner(size: np.ndarray, pool: np.ndarray, stays: np.ndarray) -> int:
    """The largest of those that stay anyway if it is large enough, else the largest of all."""
    largest, kept = np.argmax(np.where(pool, size, -1)), np.argmax(np.where(stays, size, -1))
    return int(kept if stays.any() and size[kept] * REACH >= size[largest] else largest)


def _merge(kernel: np.ndarray, values: np.ndarray, members: np.ndarray, partner: int) -> None:
    """Channels that are multiples of one channel: that one carries all of them.

    A zero-padded convolution makes border effects of a constant, so a bias could not do it.
    """
    members = members.copy()
    members[partner] = False
    share = values[members] / values[partner]
    kernel[:, partner] += np.einsum("i,pio->po", share, kernel[:, members], dtype=np.float64).astype(kernel.dtype)
    kernel[:, members] = 0


def _with_one_of_each(dead: np.ndarray, slots: Slots) -> np.ndarray:
    """Keeps one class of every tensor that would lose all: Keras has no layers without channels, and nobody reads it."""
    dead = dead.copy()
    for labels in slots.labels:
        if dead[labels].all():
            dead[labels[0]] = False
    return dead
