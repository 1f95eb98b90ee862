"""The packed form: the smallest SavedModel that TensorFlow loads without this package.

All numbers of the network, biases and constants of the normalisation too, lie one after another in one vector per dtype, which
is stored compressed (`packing`) and filled once at loading by stock operations (`decoding`). The graph holds structure only.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from dlth_tf.deploy.savedmodel.batch_norm_folding import fold_batch_norms
from dlth_tf.deploy.savedmodel.frozen_graph import Frozen, freeze, imported, shortened
from dlth_tf.deploy.savedmodel.packing import pack
from dlth_tf.deploy.savedmodel.shrink import slim
from dlth_tf.deploy.savedmodel.unpacking import Unpacked
from dlth_tf.deploy.serving import SIGNATURE, Served, Serving
from dlth_tf.errors import BadInput
from dlth_tf.masking import named_weights

VALUES = ("float32", "float16")
ALIGNED = 64  # bytes of a row: TensorFlow hands out rows that follow one another without copying them


@dataclass(frozen=True)
class Place:
    """Where a tensor lies: it is `vector[start : start + size]` in the shape of `value`."""

    name: str
    start: int
    value: np.ndarray


@dataclass(frozen=True)
class PackedVector:
    """The tensors of one dtype, as one vector.

    Args:
      places: one per tensor, in order; between them are zeros up to the next multiple of ALIGNED bytes.
    """

    places: tuple[Place, ...]

    @property
    def dtype(self) -> np.dtype:
        """Of all tensors."""
        return self.places[0].value.dtype

    @property
    def row(self) -> int:
        """Numbers in ALIGNED bytes: every tensor begins at a multiple of them."""
        return ALIGNED // self.dtype.itemsize

    def vector(self) -> np.ndarray:
        """The numbers, one tensor after another, up to the end of the last row."""
        last = self.places[-1]
        vector = np.zeros(-(-(last.start + last.value.size) // self.row) * self.row, self.dtype)
        for place in self.places:
            vector[place.start : place.start + place.value.size] = place.value.ravel()
        return vector


def save_packed(model: tf_keras.Model, path: Path, serving: Serving, values: str = "float32") -> dict[str, Any]:
    """Writes the SavedModel.

    Args:
      model: gives logits.
      path: the folder to write.
      serving: what stands before and after the network.
      values: "float16" rounds kernels and biases to what float16 can hold; all is computed in float32 still. The bits that are
        zero then take no space.

    Returns:
      folded: normalisations that became part of a kernel; places: ticket name -> (vector, start) of the weights that are
      still there, for whoever checks their zeros.

    Raises:
      BadInput: a kernel's number is beyond float16's range, or the network holds something that is no variable.
    """
    frozen = freeze(Served(model, serving), "packed")
    constants = _constants_of_weights(frozen, model)
    folded = fold_batch_norms(frozen)
    frozen.constants = {name: without_signed_zeros(value) for name, value in frozen.constants.items()}
    if values == "float16":
        _round(frozen)
    groups = grouped(frozen.constants)
    module, signature = build(frozen, groups, serving.images(model))
    options = tf.saved_model.SaveOptions(save_debug_info=False)
    tf.saved_model.save(module, os.fspath(path), signatures={SIGNATURE: signature}, options=options)
    slim(path)
    return {"folded": folded, "places": _places(groups, constants)}


def build(frozen: Frozen, groups: tuple[PackedVector, ...], spec: tf.TensorSpec) -> tuple[tf.Module, Any]:
    """The module that is saved, with attributes weights0, weights1, ..., and its signature."""
    module, packed = tf.Module(), [pack(group.vector()) for group in groups]
    identity = hashlib.blake2b(repr(packed).encode(), digest_size=16).hexdigest()
    for index, streams in enumerate(packed):
        bytes_ = tf.Variable([streams.gaps, *streams.planes], trainable=False)
        setattr(module, f"streams{index}", bytes_)
        setattr(module, f"weights{index}", Unpacked(bytes_, streams, f"{identity}-{index}"))
    graph, new = shortened(frozen)

    @tf.function(input_signature=[spec])
    def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
        inputs = {new[frozen.images]: images}
        for index, group in enumerate(groups):
            parts = _parts(getattr(module, f"weights{index}").read(), group)
            inputs |= {new[name]: part for name, part in parts.items()}
        return imported(frozen, graph, new, inputs)

    return module, serve.get_concrete_function()


def grouped(constants: Mapping[str, np.ndarray]) -> tuple[PackedVector, ...]:
    """The constants by dtype, each in the order of the graph, tensors with one axis last."""
    found: dict[str, list[Place]] = {}
    for name, value in sorted(constants.items(), key=lambda item: item[1].ndim == 1):
        places = found.setdefault(str(value.dtype), [])
        step = ALIGNED // value.dtype.itemsize
        end = places[-1].start + places[-1].value.size if places else 0
        places.append(Place(name, -(-end // step) * step, value))
    return tuple(PackedVector(tuple(places)) for places in found.values())


def without_signed_zeros(value: np.ndarray) -> np.ndarray:
    """The same numbers with 0.0 for -0.0, which masks make of negative weights: half of what was removed would be stored."""
    return np.where(value == 0, np.zeros((), value.dtype), value)


def _round(frozen: Frozen) -> None:
    """Rounds float32 kernels and biases; other vectors and scalars (of the preprocessing, say) stay as they are."""
    biases = {node.input[1] for node in frozen.nodes.values() if node.op == "BiasAdd"}
    for name, value in frozen.constants.items():
        if value.dtype == np.float32 and (value.ndim > 1 or name in biases):
            frozen.constants[name] = rounded(name, value)


def rounded(name: str, value: np.ndarray) -> np.ndarray:
    """float32 with the nearest numbers that float16 can hold.

    Raises:
      BadInput: a number is too large for float16.
    """
    with np.errstate(over="ignore"):
        half = value.astype(np.float16)
    if np.any(np.isinf(half) & np.isfinite(value)):
        largest = np.max(np.abs(value[np.isfinite(value)]))
        raise BadInput("values", "float16", f"cannot hold a number as large as {largest:g}, which {name} has")
    return half.astype(np.float32)


def _parts(vector: tf.Tensor, group: PackedVector) -> dict[str, tf.Tensor]:
    """The tensors of the vector.

    Of the kernels whole rows are handed out and nothing is copied, except where the last numbers do not fill a row. Tensors with
    one axis stand at the end (`grouped`): they are small, and copying them takes fewer operations than handing out rows.
    """
    kernels = [place for place in group.places if place.value.ndim != 1]
    rows = [-(-place.value.size // group.row) for place in kernels]
    *parts, rest = tf.split(tf.reshape(vector, [-1, group.row]), [*rows, -1]) if kernels else [vector]
    flat = tf.constant([-1], tf.int32)
    shapes = {shape: tf.constant(shape, tf.int32) for shape in dict.fromkeys(place.value.shape for place in kernels)}
    found = {}
    for place, part in zip(kernels, parts, strict=True):
        if place.value.size % group.row:
            part = tf.slice(tf.reshape(part, flat), [0], [place.value.size])
        found[place.name] = tf.reshape(part, shapes[place.value.shape])
    return found | _vectors(tf.reshape(rest, flat), group.places[len(kernels) :], group.row)


def _vectors(rest: tf.Tensor, places: tuple[Place, ...], row: int) -> dict[str, tf.Tensor]:
    """The tensors with one axis, of the part of the vector that holds them; between them are zeros up to the end of a row."""
    if not places:
        return {}
    sizes = [size for place in places for size in (place.value.size, -place.value.size % row)]
    parts = tf.split(rest, [size for size in sizes if size])
    found, following = {}, iter(parts)
    for place in places:
        found[place.name] = next(following)
        if place.value.size % row:
            next(following)
    return found


def _constants_of_weights(frozen: Frozen, model: tf_keras.Model) -> dict[str, str]:
    """Ticket name -> constant, by their bytes: equal weights have equal zeros, so any of their constants will do."""
    constants = {value.tobytes(): name for name, value in frozen.constants.items()}
    weights = {name: variable.numpy().tobytes() for name, variable in named_weights(model).items()}
    return {name: constants[value] for name, value in weights.items() if value in constants}


def _places(groups: tuple[PackedVector, ...], constants: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    found = {place.name: (index, place.start) for index, group in enumerate(groups) for place in group.places}
    return {name: found[constant] for name, constant in constants.items() if constant in found}
