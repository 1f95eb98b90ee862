"""Compaction: the same outputs from a smaller network."""

from __future__ import annotations

import tf_keras

from dlth_tf.deploy.compaction.arrays import Arrays
from dlth_tf.deploy.compaction.constant_folding import dead_classes
from dlth_tf.deploy.compaction.graph import read_graph
from dlth_tf.deploy.compaction.leftovers import Zeros, find_zeros
from dlth_tf.deploy.compaction.rebuild import rebuild
from dlth_tf.deploy.compaction.slots import divide


def compact(model: tf_keras.Model) -> tf_keras.Model:
    """Removes all filters, units and channels that the outputs of a network do not need.

    A filter is removed if all its weights are zero, or if no following layer reads it, together with its batch norm
    entries, the input channels of the next layers, and everything that only it needed. Channels that are tied by
    additions are removed together or not at all. Inputs and outputs of the model stay as they are, and so do channels
    at unknown layers: nested models, layers with weights that are called twice, grouped and transposed convolutions,
    functions on tensors, custom layers, and calls with options such as training=True.

    The outputs are equal up to rounding (about 1e-6 of the largest logit in float32). A removed filter of a layer with
    bias or batch norm is a constant. It is folded into the bias of the next layer, or, where padding or a missing bias
    prevents that, all constants of a tensor are merged into one channel, which stays.

    Args:
      model: Built Functional or Sequential model, stripped. It is not changed.

    Returns:
      An uncompiled model with the same layer names, which shares no weights with `model`. It equals `model` layer by
      layer if nothing could be removed.

    Raises:
      BadInput: If the model is wrapped, if its graph is not known (subclassed or not built), or if a custom layer
        cannot be recreated from its config.
    """
    return compact_and_explain(model)[0]


def compact_and_explain(model: tf_keras.Model) -> tuple[tf_keras.Model, Zeros]:
    """Returns `compact(model)`, and what in `model` is zero as a whole, with the reasons why some of it stays."""
    graph = read_graph(model)
    slots = divide(graph)
    arrays = Arrays(graph)
    dead = dead_classes(graph, slots, arrays)
    small = rebuild(model, graph, arrays, [~dead[labels] for labels in slots.labels])
    return small, find_zeros(model, graph, slots, arrays, dead)


def kernel_shapes(before: tf_keras.Model, after: tf_keras.Model) -> dict[str, list[list[int]]]:
    """Returns layer name -> [shape in `before`, shape in `after`] for every layer with a kernel.

    Args:
      before: Model that was compacted.
      after: `compact(before)`.
    """
    old, new = ({layer.name: _kernel_shape(layer) for layer in model.layers} for model in (before, after))
    return {name: [shape, new[name]] for name, shape in old.items() if shape}


def _kernel_shape(layer: tf_keras.layers.Layer) -> list[int]:
    kernel = getattr(layer, "depthwise_kernel", getattr(layer, "kernel", None))
    return [] if kernel is None else list(kernel.shape)
