"""Copies of layers that share their weights, so that a rebuilt model is an ordinary model of its own."""

from __future__ import annotations

import copy
import weakref
from collections.abc import MutableMapping
from typing import Any, TypeAlias

import tensorflow as tf
import tf_keras

from dlth_tf.masking.keras2.parts import declares_weights

Layer: TypeAlias = tf_keras.layers.Layer
CALLS = ("_inbound_nodes_value", "_outbound_nodes_value", "_losses")  # of the calls of a layer


def uncalled(layer: Layer) -> Layer:
    """Returns a copy of a layer that shares its variables and parts, and belongs to no graph.

    A layer that is called in two models has several outputs, so that neither `layer.output` nor the loss terms of a
    model are those of one of them any more.
    """
    twin = object.__new__(type(layer))
    twin.__setstate__(layer.__getstate__())
    state = vars(twin)
    for name, value in state.items():
        if name in CALLS:
            state[name] = []
        elif type(value) in (list, dict, set):
            state[name] = copy.copy(value)  # Keras' own records of variables, losses and dependencies
        elif name == "_obj_reference_counts_dict" and isinstance(value, MutableMapping):
            state[name] = _same(value)
    if "_checkpoint" in state:
        state["_checkpoint"] = tf.train.Checkpoint(root=weakref.ref(twin))  # a model's own reader of checkpoints
    if not declares_weights(layer):
        state.pop("get_prunable_weights", None)  # set by tf-mot; its function knows the first layer only
    return twin


def _same(counts: MutableMapping[Any, int]) -> MutableMapping[Any, int]:
    new = type(counts)()
    new.update(counts)
    return new
