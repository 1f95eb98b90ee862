"""Inputs and outputs of a network by name, and the task that it is served for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
import tf_keras

from dlth_tf.errors import BadInput
from dlth_tf.masking.keras2.graph import exit_layer, input_names, input_shape, is_operation

IMAGES = "images"  # name of the only input of a network
LINEAR = "linear"
NORMALIZING = (tf_keras.layers.UnitNormalization, tf_keras.layers.LayerNormalization)


@dataclass(frozen=True)
class Interface:
    """Inputs and outputs of a network, in Keras' order.

    Attributes:
      inputs: Name -> shape, with the batch axis, and dtype of what the network takes.
      outputs: Name -> shape and dtype of what it returns.
      structure: Nested structure of the inputs, as the network takes them.
      ending: Activation of the only output ("linear", "softmax", ...); "" if it is not known.
    """

    inputs: Mapping[str, tf.TensorSpec]
    outputs: Mapping[str, tf.TensorSpec]
    structure: Any
    ending: str

    def call(self, model: tf_keras.Model, tensors: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        """Computes the outputs in inference mode, by name."""
        inputs = tf.nest.pack_sequence_as(self.structure, [tensors[name] for name in self.inputs])
        return dict(zip(self.outputs, tf.nest.flatten(model(inputs, training=False)), strict=True))

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
    ending = _ending(model) if len(outputs) == 1 else ""
    return Interface(inputs, dict(zip(output_names, outputs, strict=True)), structure, ending)


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


def _ending(model: tf_keras.Model) -> str:
    """Name of the activation that computes the only output."""
    if not model.inputs:
        return ""
    layer = exit_layer(tf.nest.flatten(model.output)[0])
    if isinstance(known := getattr(layer, "ending", None), str):  # of a whole network of Keras 3
        return known
    if isinstance(layer, tf_keras.layers.Softmax):
        return "softmax"
    if isinstance(layer, NORMALIZING):
        return "normalized"
    if is_operation(layer):
        return layer.name.split(".")[-1].rstrip("_0123456789")
    activation = getattr(layer, "activation", None)
    return LINEAR if activation is None else getattr(activation, "__name__", type(activation).__name__)


OPERATIONS_OF_LOGITS = {"add", "__operators__", "truediv", "multiply", "subtract", "reshape", "cast", "reduce_mean"}


def decide_task(interface: Interface, task: str, labels: bool) -> tuple[str, str]:
    """Decides how a network is served.

    Args:
      interface: Inputs and outputs of the network.
      task: "classifier", "raw", or "auto": a classifier if the only output is [batch, classes] logits or softmax.
      labels: Whether label names were given.

    Returns:
      The task: "classifier" (of logits), "probabilities" (a classifier that ends in softmax) or "raw"; and one sentence
      that says what was decided and why.

    Raises:
      BadInput: If the task is "classifier", or there are label names, for an output that is not [batch, classes].
    """
    shapes = ", ".join(f"{name} {spec.shape.as_list()}" for name, spec in interface.outputs.items())
    linear = interface.ending in ("", LINEAR) or interface.ending in OPERATIONS_OF_LOGITS
    if interface.classes is None:
        if task == "classifier" or labels:
            given = ("task", task) if task == "classifier" else ("label_names", "given")
            raise BadInput(*given, f"needs one output of shape [batch, classes], and this network returns {shapes}")
        return "raw", f"task: raw, since the network returns {shapes}: outputs are served under their own names."
    if task == "raw":
        return "raw", "task: raw, as asked: outputs are served under their own names."
    if interface.ending == "softmax":
        return (
            "probabilities",
            "task: classifier that ends in softmax: its output is served as `probabilities` as it is.",
        )
    if linear or task == "classifier" or labels:
        return "classifier", f"task: classifier of {interface.classes} classes: the output is taken for logits."
    reason = f"the network ends in {interface.ending}, so its output is neither logits nor a softmax"
    return "raw", f"task: raw, since {reason}: it is served under its own name as it is."
