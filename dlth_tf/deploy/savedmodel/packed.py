"""The packed form: the smallest SavedModel that TensorFlow loads without this package.

All numbers of the network, including biases and the constants of the normalization, are stored one after another in one
vector per dtype. Each vector is compressed (`packing`) and filled once during loading by stock operations
(`unpacking`). The graph contains structure only.
"""

from __future__ import annotations

import dataclasses
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
from dlth_tf.deploy.savedmodel.frozen_graph import Frozen, freeze, shorten
from dlth_tf.deploy.savedmodel.image_bytes import signatures
from dlth_tf.deploy.savedmodel.packing import Packed, pack, pack_int8
from dlth_tf.deploy.savedmodel.rounding import Scales, flat, round_kernels
from dlth_tf.deploy.savedmodel.shrink import shrink_saved_model
from dlth_tf.deploy.savedmodel.unpacking import Unpacked
from dlth_tf.deploy.serving import Served, Serving
from dlth_tf.masking import weight_arrays

ALIGNMENT = 64  # bytes per row: TensorFlow returns consecutive rows without copying them


@dataclass(frozen=True)
class Place:
    """The place of a tensor in a vector.

    Args:
      name: Name of the tensor in the frozen graph.
      start: Index of its first number in the vector.
      value: The tensor, which is `vector[start : start + size]` reshaped.
      scales: Its scales, if it is int8.
    """

    name: str
    start: int
    value: np.ndarray
    scales: Scales | None = None

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the tensor once it is unpacked."""
        return self.value.dtype if self.scales is None else self.scales.values.dtype


@dataclass(frozen=True)
class PackedVector:
    """The tensors of one dtype, laid out as one vector for packing.

    Args:
      places: One place per tensor, in order. Gaps up to the next multiple of ALIGNMENT bytes are filled with zeros.
    """

    places: tuple[Place, ...]

    @property
    def dtype(self) -> np.dtype:
        """Dtype of all tensors once they are unpacked."""
        return self.places[0].dtype

    @property
    def row(self) -> int:
        """Numbers per row of ALIGNMENT bytes; every tensor begins at a row."""
        return ALIGNMENT // self.dtype.itemsize

    def vector(self) -> np.ndarray:
        """Builds the vector: one tensor after another, up to the end of the last row."""
        return self._laid_out(self.places, 0, self.dtype)

    def packed(self) -> Packed:
        """Packs the vector, whose first tensors may be int8."""
        whole = tuple(place for place in self.places if place.scales is not None)
        if not whole:
            return pack(self.vector())
        rest = self.places[len(whole) :]
        numbers = self._laid_out(whole, 0, np.dtype(np.int8))
        others = self._laid_out(rest, numbers.size, self.dtype)
        return pack_int8(numbers, others, *flat({place.start: place.scales for place in whole if place.scales}))

    def _laid_out(self, places: tuple[Place, ...], start: int, dtype: np.dtype) -> np.ndarray:
        """Lays out tensors in whole rows, the first of which begins at `start`."""
        end = places[-1].start + places[-1].value.size - start if places else 0
        vector = np.zeros(-(-end // self.row) * self.row, dtype)
        for place in places:
            vector[place.start - start : place.start - start + place.value.size] = place.value.ravel()
        return vector


def save_packed(model: tf_keras.Model, path: Path, serving: Serving, values: str = "float32") -> dict[str, Any]:
    """Writes the SavedModel.

    Args:
      model: Stripped Keras model that returns logits.
      path: Folder to write to.
      serving: Preprocessing and outputs around the network.
      values: "float32"; "float16" or "bfloat16" to round kernels and biases to numbers that these can represent, whose
        low bits take no space then; or "int8" to round kernels to 8 bits with a scale for each output channel.
        Computation is in float32 in all cases.

    Returns:
      folded: Number of batch norms that were folded into a kernel.
      places: Ticket name -> (vector, start) of the weights that are stored unchanged, for the check of their zeros.

    Raises:
      BadInput: If a kernel exceeds the range of `values`, or if the network contains something that is not a variable.
    """
    served = Served(model, serving)
    frozen = freeze(served, "packed")
    constants = _constants_of_weights(frozen, model)
    folded = fold_batch_norms(frozen)
    scales = {} if values == "float32" else round_kernels(frozen, values)
    frozen.constants = {name: without_signed_zeros(value) for name, value in frozen.constants.items()}
    vectors = by_dtype(frozen.constants, scales)
    module, signature = build(frozen, vectors, served.specs)
    options = tf.saved_model.SaveOptions(save_debug_info=False)
    functions = signatures(signature, serving, next(iter(served.specs.values())))
    tf.saved_model.save(module, os.fspath(path), signatures=functions, options=options)
    shrink_saved_model(path)
    return {"folded": folded, "places": _places(vectors, constants)}


def build(
    frozen: Frozen, vectors: tuple[PackedVector, ...], specs: Mapping[str, tf.TensorSpec]
) -> tuple[tf.Module, Any]:
    """Builds the module to save.

    Args:
      frozen: Graph of the network.
      vectors: All constants of the graph.
      specs: Shape and dtype of the inputs, by name.

    Returns:
      The module, with attributes weights0, weights1, ... for the vectors, and its signature.
    """
    module = tf.Module()
    packed = [vector.packed() for vector in vectors]
    identity = hashlib.blake2b(repr(packed).encode(), digest_size=16).hexdigest()
    for index, streams in enumerate(packed):
        variable = tf.Variable([streams.gaps, *streams.planes], trainable=False)
        setattr(module, f"streams{index}", variable)
        setattr(module, f"weights{index}", Unpacked(variable, streams, f"{identity}-{index}"))
    short = shorten(frozen)

    @tf.function(input_signature=list(specs.values()))
    def serve(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        inputs = dict(zip(frozen.inputs.values(), tensors, strict=True))
        for index, vector in enumerate(vectors):
            inputs |= _split(getattr(module, f"weights{index}").read(), vector)
        return short.outputs_for(inputs)

    return module, serve.get_concrete_function()


def by_dtype(
    constants: Mapping[str, np.ndarray], scales: Mapping[str, Scales] | None = None
) -> tuple[PackedVector, ...]:
    """Lays out the constants as one vector per dtype, in the graph's order but with one-dimensional tensors last.

    Args:
      constants: Name -> array.
      scales: Name -> scales of the arrays that are int8, which come first among those of float32.
    """
    scales = scales or {}
    places_of: dict[str, list[Place]] = {}
    for name, value in sorted(constants.items(), key=lambda item: (item[0] not in scales, item[1].ndim == 1)):
        place = Place(name, 0, value, scales.get(name))
        places = places_of.setdefault(str(place.dtype), [])
        row = ALIGNMENT // place.dtype.itemsize
        end = places[-1].start + places[-1].value.size if places else 0
        places.append(dataclasses.replace(place, start=-(-end // row) * row))
    return tuple(PackedVector(tuple(places)) for places in places_of.values())


def without_signed_zeros(value: np.ndarray) -> np.ndarray:
    """Replaces -0.0 by 0.0.

    Masks turn negative weights into -0.0, so that half of the removed weights would be stored.
    """
    return np.where(value == 0, np.zeros((), value.dtype), value)


def _split(vector: tf.Tensor, layout: PackedVector) -> dict[str, tf.Tensor]:
    """Splits a vector into its tensors, by name.

    Kernels are returned as whole rows without a copy, unless their last numbers do not fill a row. One-dimensional
    tensors are at the end (`by_dtype`): they are small, and copying them takes fewer operations than returning rows.
    """
    kernels = [place for place in layout.places if place.value.ndim != 1]
    rows = [-(-place.value.size // layout.row) for place in kernels]
    *parts, rest = tf.split(tf.reshape(vector, [-1, layout.row]), [*rows, -1]) if kernels else [vector]
    flat = tf.constant([-1], tf.int32)
    shapes = {shape: tf.constant(shape, tf.int32) for shape in dict.fromkeys(place.value.shape for place in kernels)}
    tensors = {}
    for place, part in zip(kernels, parts, strict=True):
        if place.value.size % layout.row:
            part = tf.slice(tf.reshape(part, flat), [0], [place.value.size])
        tensors[place.name] = tf.reshape(part, shapes[place.value.shape])
    return tensors | _split_vectors(tf.reshape(rest, flat), layout.places[len(kernels) :], layout.row)


def _split_vectors(rest: tf.Tensor, places: tuple[Place, ...], row: int) -> dict[str, tf.Tensor]:
    """Splits the last part of a vector into one-dimensional tensors and the zeros between them."""
    if not places:
        return {}
    sizes = [size for place in places for size in (place.value.size, -place.value.size % row)]
    parts = iter(tf.split(rest, [size for size in sizes if size]) if any(sizes) else [])
    tensors = {}
    for place in places:
        if not place.value.size:  # the empty mean and variance of a layer normalization
            tensors[place.name] = tf.zeros([0], place.dtype)
            continue
        tensors[place.name] = next(parts)
        if place.value.size % row:
            next(parts)
    return tensors


def _constants_of_weights(frozen: Frozen, model: tf_keras.Model) -> dict[str, str]:
    """Returns ticket name -> constant.

    They are matched by their bytes: equal weights have equal zeros, so any of their constants will do.
    """
    constants = {value.tobytes(): name for name, value in frozen.constants.items()}
    weights = {name: value.tobytes() for name, value in weight_arrays(model).items()}
    return {name: constants[value] for name, value in weights.items() if value in constants}


def _places(vectors: tuple[PackedVector, ...], constants: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    places = {place.name: (index, place.start) for index, vector in enumerate(vectors) for place in vector.places}
    return {name: places[constant] for name, constant in constants.items() if constant in places}
