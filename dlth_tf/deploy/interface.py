"""Inputs and outputs of a network by name, and the task that it is served for."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from dlth_tf.deploy.ending import LINEAR, SOFTMAX, UNKNOWN, ending_of
from dlth_tf.errors import BadInput
from dlth_tf.masking.keras2.graph import input_names, input_shape

IMAGES = "images"  # name of the only input of a network
HALF = (tf.float16, tf.bfloat16)


@dataclass(frozen=True)
class Interface:
    """Inputs and outputs of a network, in Keras' order.

    Attributes:
      inputs: Name -> shape, with the batch axis, and dtype of what the network takes.
      outputs: Name -> shape and dtype of what it returns.
      structure: Nested structure of the inputs, as the network takes them.
      model: The network.
    """

    inputs: Mapping[str, tf.TensorSpec]
    outputs: Mapping[str, tf.TensorSpec]
    structure: Any
    model: tf_keras.Model

    @functools.cached_property
    def ending(self) -> str:
        """Activation of the only output ("linear", "softmax", ...); "" if it is not known."""
        if len(self.outputs) > 1:
            return UNKNOWN

        def compute(*tensors: tf.Tensor) -> tf.Tensor:
            (output,) = self.call(self.model, dict(zip(self.inputs, tensors, strict=True))).values()
            return output

        return ending_of(self.model, lambda: tf.function(compute).get_concrete_function(*self.inputs.values()))

    def call(self, model: tf_keras.Model, tensors: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        """Computes the outputs in inference mode, by name."""
        inputs = tf.nest.pack_sequence_as(self.structure, [tensors[name] for name in self.inputs])
        return dict(zip(self.outputs, tf.nest.flatten(model(inputs, training=False)), strict=True))

    @property
    def ragged(self) -> list[str]:
        """Names of the inputs that are ragged tensors in the network; they are served as dense ones."""
        given = [each.type_spec for each in self.model.inputs] if self.model.inputs else tf.nest.flatten(self.structure)
        pairs = zip(self.inputs, given, strict=True)
        return [name for name, spec in pairs if isinstance(spec, tf.RaggedTensorSpec)]

    @property
    def classes(self) -> int | None:
        """Number of classes, if there is one output of shape [batch, classes] with two classes or more."""
        shapes = [spec.shape for spec in self.outputs.values()]
        if len(shapes) != 1 or shapes[0].rank != 2 or (shapes[0][1] or 0) < 2:
            return None
        return int(shapes[0][1])


def interface_of(model: tf_keras.Model) -> Interface:
    """Reads inputs and outputs off a network.

    A single input is called "images"; several, and all outputs, have the names that Keras gives them: those of the
    layers, or the keys of a dictionary.

    Raises:
      BadInput: If a network without a graph was never called, so that its inputs are not known.
    """
    structure, specs = _inputs(model)
    flat = tf.nest.flatten(specs)
    names = [IMAGES] if len(flat) == 1 else _names(structure, [spec.name for spec in flat])
    inputs = {name: tf.TensorSpec(spec.shape, spec.dtype, name) for name, spec in zip(names, flat, strict=True)}
    if model.inputs:
        nested = model.output
        outputs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in tf.nest.flatten(nested)]
        output_names = _names(nested, list(model.output_names))
    else:
        nested = tf.function(lambda tensors: model(tensors, training=False)).get_concrete_function(specs)
        nested = nested.structured_outputs
        outputs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in tf.nest.flatten(nested)]
        numbered = [f"output_{index}" for index in range(len(outputs))] if len(outputs) > 1 else ["output"]
        output_names = _names(nested, numbered)
    return Interface(inputs, dict(zip(output_names, outputs, strict=True)), structure, model)


def _inputs(model: tf_keras.Model) -> tuple[Any, Any]:
    """The nested inputs of a network, and their shapes and dtypes in the same structure; the batch size is free."""
    if model.inputs:
        named = zip(model.inputs, input_names(model), strict=True)
        specs = [tf.TensorSpec(tensor.shape, tensor.dtype, name) for tensor, name in named]
        return model.input, tf.nest.pack_sequence_as(model.input, specs)
    saved = model.save_spec()
    if saved is None:
        if not model.built:
            raise BadInput(
                "model", model.name, "was never called, so its inputs are not known: call it once on a batch"
            )
        shape = input_shape(model)
        specs = tf.TensorSpec((None, *shape[1:]), tf.float32, IMAGES)
        return specs, specs
    args, _ = saved
    return args[0], args[0]


def _names(structure: Any, given: list[str]) -> list[str]:
    """Names of nested tensors: the keys of a dictionary, otherwise those that are given."""
    if isinstance(structure, Mapping) and all(not tf.nest.is_nested(value) for value in structure.values()):
        given = sorted(structure)  # the order of tf.nest
    names = [re.sub(r"[^\w./-]", "_", str(name)) for name in given]
    return [name if names.count(name) == 1 else f"{name}_{index}" for index, name in enumerate(names)]


def decide_task(interface: Interface, task: str, labels: bool, outputs: Callable[[], np.ndarray]) -> tuple[str, str]:
    """Decides how a network is served.

    Args:
      interface: Inputs and outputs of the network.
      task: "classifier", "raw", or "auto": a classifier if the only output is [batch, classes] logits or softmax.
      labels: Whether label names were given.
      outputs: Computes the only output [n, classes] of a few examples; called if the decision depends on it.

    Returns:
      The task: "classifier" (of logits), "probabilities" (a classifier that returns them) or "raw"; and one sentence
      that says what was decided and why.

    Raises:
      BadInput: If the task is "classifier", or there are label names, for an output that is not [batch, classes].
    """
    shapes = ", ".join(f"{name} {spec.shape.as_list()}" for name, spec in interface.outputs.items())
    if interface.classes is None:
        if task == "classifier" or labels:
            given = ("task", task) if task == "classifier" else ("label_names", "given")
            raise BadInput(*given, f"needs one output of shape [batch, classes], and this network returns {shapes}")
        return "raw", f"task: raw, since the network returns {shapes}: outputs are served under their own names."
    if task == "raw":
        return "raw", "task: raw, as asked: outputs are served under their own names."
    ending = interface.ending
    if ending == SOFTMAX:
        return (
            "probabilities",
            "task: classifier that ends in softmax: its output is served as `probabilities` as it is.",
        )
    rows = outputs()
    rows = rows[np.isfinite(rows).all(-1)]
    (dtype,) = (spec.dtype for spec in interface.outputs.values())
    if _are_probabilities(rows, 1e-2 if dtype in HALF else 1e-4):
        found = f"its output on {len(rows)} examples is probabilities, at least 0 and of sum 1"
        return "probabilities", f"task: classifier, and {found}: it is served as `probabilities` as it is."
    reason = "" if ending in (LINEAR, UNKNOWN) else f"the network ends in {ending}"
    if ending == UNKNOWN and len(rows) and (bounds := _bounds(rows)):
        reason = f"its output on {len(rows)} examples is {bounds}"
    if not reason or task == "classifier" or labels:
        return "classifier", f"task: classifier of {interface.classes} classes: the output is taken for logits."
    return "raw", (
        f"task: raw, since {reason}, so the output is neither logits nor a softmax: it is served under its own name as "
        "it is."
    )


def _are_probabilities(rows: np.ndarray, rounding: float) -> bool:
    """Returns whether all numbers are at least 0, and the sum of every row is 1."""
    sums = rows.sum(-1, dtype=np.float64)
    return bool(len(rows) and np.all(rows >= 0) and np.all(np.abs(sums - 1) <= rounding))


def _bounds(rows: np.ndarray) -> str:
    """Returns the bounds that all rows keep to, in words; empty for those of logits, which have none."""
    if np.allclose(np.linalg.norm(rows.astype(np.float64), axis=-1), 1, rtol=0, atol=1e-3):
        return "of length 1"
    return "from -1 to 1" if np.all(np.abs(rows) <= 1) else ""
