"""Compaction: the same outputs from a smaller network."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np

from dlth_tf.deploy.compaction import kinds
from dlth_tf.deploy.compaction.arrays import Arrays
from dlth_tf.deploy.compaction.constant_folding import dead_classes
from dlth_tf.deploy.compaction.constants import find_constants
from dlth_tf.deploy.compaction.graph import Graph, read_graph
from dlth_tf.deploy.compaction.leftovers import Zeros, find_zeros
from dlth_tf.deploy.compaction.library import library_of
from dlth_tf.deploy.compaction.maps import MULTIPLE, able
from dlth_tf.deploy.compaction.rebuild import rebuild
from dlth_tf.deploy.compaction.report import Report, kernel_shapes
from dlth_tf.deploy.compaction.slots import Slots, divide

log = logging.getLogger("dlth_tf")
Model = TypeVar("Model")  # the class of the model: what comes back is of the same Keras


def compact(model: Model, on_report: Callable[[Report], None] | None = None) -> Model:
    """Removes all filters, units and channels that the outputs of a network do not need.

    The result is a plain Keras model: it can be compiled, trained, saved, wrapped and exported.

    A filter is removed if all its weights are zero, or if no following layer reads it, together with its batch norm
    entries, the input channels of the next layers, and everything that only it needed. Channels that are tied by
    additions are removed together or not at all. Inputs and outputs of the model stay as they are, and so do channels
    at unknown layers: nested models, layers with weights that are called twice, grouped and transposed convolutions,
    functions on tensors, custom layers, and calls with options such as training=True.

    The outputs in inference mode are equal up to rounding (about 1e-6 of the largest logit in float32). A removed
    filter of a layer with bias or batch norm is a constant. It is folded into the bias of the next layer, or, where
    padding or a missing bias prevents that, all constants of a tensor are merged into one channel, which stays.

    Args:
      model: Built Functional or Sequential model of tf_keras, or of Keras 3 on any backend. If it has masks, all that
        its ticket does not keep must be removed. It is not changed.
      on_report: Function that is called with the report on what could not be made smaller, layer by layer, and why;
        None logs its sentences.

    Returns:
      An uncompiled model of the same Keras with the same layer names, which shares no weights with `model` and has no
      masks. It equals `model` layer by layer if nothing could be removed.

    Raises:
      BadInput: If a ticket was chosen but nothing is removed yet, if removed weights are not zero, if the graph of the
        model is not known (subclassed or not built), or if a custom layer cannot be recreated from its config.
    """
    plain = library_of(model).plain(model)
    small, zeros = compact_and_explain(plain)
    report = Report((plain.count_params(), small.count_params()), kernel_shapes(plain, small), zeros)
    if on_report is not None:
        on_report(report)
    else:
        for sentence in report.sentences():
            log.info("%s", sentence)
    return cast(Model, small)


def compact_and_explain(model: Any, maps: bool = False) -> tuple[Any, Zeros]:
    """Returns the compact network, and what in `model` is zero as a whole, with the reasons why some of it stays.

    Args:
      model: As in `compact`, without masks.
      maps: Whether constants are folded into maps (`Conv2DWithMap`, of tf_keras only) where that leaves a multiple of
        8 channels.
    """
    graph = read_graph(model)
    slots = divide(graph)
    arrays = Arrays(graph)
    dead = dead_classes(graph, slots, arrays)
    if maps and (mapped := _worth_a_map(graph, slots, arrays, dead)):
        arrays = Arrays(graph)
        dead = dead_classes(graph, slots, arrays, mapped)
    small = rebuild(model, graph, arrays, [~dead[labels] for labels in slots.labels])
    return small, find_zeros(model, graph, slots, arrays, dead)


def _worth_a_map(graph: Graph, slots: Slots, arrays: Arrays, dead: np.ndarray) -> set[str]:
    """Finds layers that can fold the channels which stay for constants, where a multiple of 8 channels is left then.

    Every reader of such a channel must be able to.
    """
    constants = find_constants(graph, arrays)
    readers = [call for call in graph.calls if call.kind == kinds.MIXING]
    kept = {
        call.layer.name: ~dead[slots.labels[call.input]] & constants[call.input].uniform & arrays.reads(call)
        for call in readers
    }
    stuck = slots.pinned.copy()
    for call in readers:
        labels = slots.labels[call.input]
        rest = np.count_nonzero(~dead[labels]) - np.count_nonzero(kept[call.layer.name])
        if not able(graph, call) or not rest or rest % MULTIPLE:
            stuck[labels[arrays.reads(call)]] = True
    return {
        call.layer.name
        for call in readers
        if kept[call.layer.name].any() and not stuck[slots.labels[call.input][kept[call.layer.name]]].any()
    }
