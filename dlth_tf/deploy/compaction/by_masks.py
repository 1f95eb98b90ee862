"""The network without what its masks remove, to be trained; and the places of its weights in the whole network.

`compact` looks at the weights and keeps the outputs: the constant that a removed filter leaves through bias and batch
norm is folded into other weights. This looks at the masks alone, so that a ticket always gives the same network, and a
removed filter leaves nothing, as in the official code: its bias, and the offset and the running mean of its batch norm,
become zero. All other weights stay what they are, each with a place in the whole network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tf_keras

from dlth_tf.deploy.compaction import kinds
from dlth_tf.deploy.compaction.arrays import Arrays
from dlth_tf.deploy.compaction.constant_folding import dead_classes
from dlth_tf.deploy.compaction.constants import Constants, find_constants
from dlth_tf.deploy.compaction.graph import Graph, LayerCall, read_graph
from dlth_tf.deploy.compaction.rebuild import Kept, kept_weights, rebuild
from dlth_tf.deploy.compaction.slots import Slots, divide
from dlth_tf.masking import named_weights
from dlth_tf.masking.structure.layer_paths import variables_of

Masks = Mapping[str, np.ndarray]
NEUTRAL = {"gamma": 1.0, "beta": 0.0, "moving_mean": 0.0, "moving_variance": 1.0}  # of a batch norm
OFFSETS = ("beta", "moving_mean")


@dataclass(frozen=True)
class Places:
    """The relation of the weights of a compact network to those of the whole one.

    Attributes:
      indices: Weight name -> int64 of the compact weight's shape: the index of each number in the whole, flattened
        weight.
      offsets: Weight name -> bool of the whole weight's shape: biases, offsets and running means of channels that are
        taken out because they are zero for every input. They must be zero for the networks to be equal.
      whole: Number of weights of the whole network.
    """

    indices: Masks
    offsets: Masks
    whole: int

    @property
    def left(self) -> int:
        """Number of weights of the compact network."""
        return sum(index.size for index in self.indices.values())


def compact_by_masks(model: tf_keras.Model, masks: Masks) -> tuple[tf_keras.Model, Places]:
    """Takes out the filters, units and channels that masks remove from a network, and all that only they needed.

    A channel goes if no layer reads it any more, or if it is zero for every input whatever the kept weights are. A
    removed filter under an activation that is not zero at zero stays, and so does everything that `compact` would keep
    because of other layers.

    Args:
      model: Built Functional or Sequential model, stripped. It is not changed.
      masks: Weight name (`masking.named_weights`) -> bool of the weight's shape, True = kept; others are whole.

    Returns:
      An uncompiled model with the same layer names, which shares no weights with `model`, and the places of its
      weights.

    Raises:
      BadInput: As `compact`.
    """
    graph = read_graph(model)
    everything = [np.ones(graph.channels(tensor), bool) for tensor in range(len(graph.shapes))]
    skeleton = rebuild(model, graph, _structure(graph, _names(model), masks), everything)
    bones = read_graph(skeleton)
    slots = divide(bones)
    constants = find_constants(bones, Arrays(bones))
    dead = dead_classes(bones, _without_constants(slots, constants), Arrays(bones))
    kept = [~dead[labels] for labels in slots.labels]
    silent = [dead[labels] & found.known for labels, found in zip(slots.labels, constants, strict=True)]
    names = _names(skeleton)
    places = Places(
        dict(_indices(bones, names, kept)),
        dict(_offsets(bones, names, silent)),
        sum(variable.shape.num_elements() for variable in named_weights(skeleton).values()),
    )
    return rebuild(skeleton, bones, Arrays(graph), kept), places


def _names(model: tf_keras.Model) -> dict[int, str]:
    return {id(variable): name for name, variable in named_weights(model).items()}


def _structure(graph: Graph, names: Mapping[int, str], masks: Masks) -> Arrays:
    """Returns weights that depend on the masks alone: kernels of 1 and 0, no biases, batch norms that do nothing."""
    arrays = Arrays(graph)
    for call in graph.calls:
        variables = variables_of(call.layer)
        if call.kind in (kinds.MIXING, kinds.DEPTHWISE):
            kernel, *bias = (np.zeros(variable.shape, variable.dtype.as_numpy_dtype) for variable in variables)
            kernel[...] = masks.get(names[id(variables[0])], True)
            arrays.weights[call.layer.name] = [kernel, *bias]
        elif isinstance(call.layer, tf_keras.layers.BatchNormalization):
            arrays.weights[call.layer.name] = [
                np.full_like(value, NEUTRAL.get(_last(names[id(variable)]), value))
                for variable, value in zip(variables, call.layer.get_weights(), strict=True)
            ]
    return arrays


def _last(name: str) -> str:
    return name.split("/")[-1]


def _without_constants(slots: Slots, constants: list[Constants]) -> Slots:
    """Returns the slots with those pinned that are constant and not zero, which would have to be folded."""
    pinned = slots.pinned.copy()
    for labels, found in zip(slots.labels, constants, strict=True):
        pinned[labels[found.known & (found.value != 0)]] = True
    return Slots(slots.labels, pinned)


def _indices(graph: Graph, names: Mapping[int, str], kept: Kept) -> Iterator[tuple[str, np.ndarray]]:
    for call in graph.calls:
        variables = variables_of(call.layer)
        numbered = [np.arange(variable.shape.num_elements()).reshape(variable.shape) for variable in variables]
        for variable, index in zip(variables, kept_weights(call, numbered, kept), strict=True):
            yield names[id(variable)], index


def _offsets(graph: Graph, names: Mapping[int, str], silent: list[np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    for call in graph.calls:
        for variable in _offset_variables(call, names):
            if silent[call.output].any():
                yield names[id(variable)], silent[call.output]


def _offset_variables(call: LayerCall, names: Mapping[int, str]) -> list[Any]:
    """Returns the variables of a layer that are added to its channels."""
    variables = variables_of(call.layer)
    if call.kind in (kinds.MIXING, kinds.DEPTHWISE):
        return variables[1:]
    if call.kind == kinds.POINTWISE and isinstance(call.layer, tf_keras.layers.BatchNormalization):
        return [variable for variable in variables if _last(names[id(variable)]) in OFFSETS]
    return []
