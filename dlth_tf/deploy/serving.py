"""The signature that every form serves: inputs of the network, or raw images, in; its outputs out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from dlth_tf.data.normalize import Normalization
from dlth_tf.deploy.copied_layers import lookup_tables
from dlth_tf.deploy.interface import IMAGES, Interface, interface_of
from dlth_tf.deploy.savedmodel.leaky_relu import without_fusion
from dlth_tf.errors import BadInput
from dlth_tf.masking import named_weights

SIGNATURE = "serving_default"
IMAGE_BYTES = "image_bytes"  # name of a second signature, and of its input
MOST_PIXEL = 255  # largest value of a pixel in a JPEG or PNG file
BATCH = 256  # examples per call when the reference outputs are computed
FEW = 4  # examples that are computed twice
ROUNDING = 1e-5  # of the largest number, at least 1, by which two calls may differ
CLASSIFIER = "classifier"
PROBABILITIES = "probabilities"
RAW = "raw"
Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Serving:
    """The preprocessing and the outputs around a served network.

    Args:
      normalization: Normalization applied to raw values, of its dtype `raw`; None serves the model's own inputs.
      label_names: One name per class, in the order of the logits, for the output `label`; None omits that output.
      task: "classifier": float32 logits [batch, classes] in, and out come logits, probabilities and class;
        "probabilities": the same for a network that ends in softmax, without logits; "raw": the network's outputs.
      batch: Number of examples in every call; None leaves it free.
      image_bytes: Whether SavedModels have a second signature that takes encoded images.
      value_range: Largest possible pixel value of the images that the network was trained on, as they are stored.
    """

    normalization: Normalization | None = None
    label_names: tuple[str, ...] | None = None
    task: str = CLASSIFIER
    batch: int | None = None
    image_bytes: bool = False
    value_range: int = MOST_PIXEL

    def inputs(self, model: tf_keras.Model) -> dict[str, tf.TensorSpec]:
        """Returns shape and dtype of what a client sends, by name.

        Raises:
          BadInput: If there is a normalization, and the network does not take images alone.
        """
        specs = dict(interface_of(model).inputs)
        if self.normalization is not None:
            if len(specs) > 1:
                raise BadInput("normalization", "given", f"needs one input, and this network takes {', '.join(specs)}")
            specs = {
                name: tf.TensorSpec(spec.shape, tf.as_dtype(self.normalization.raw), name)
                for name, spec in specs.items()
            }
        if self.batch is None:
            return specs
        return {name: tf.TensorSpec((self.batch, *spec.shape[1:]), spec.dtype, name) for name, spec in specs.items()}

    def check_image_bytes(self, model: tf_keras.Model) -> None:
        """Checks that encoded images can be served, if they are to be.

        Raises:
          BadInput: If the network is no classifier of images of one size, or the batch size is fixed.
        """
        if not self.image_bytes:
            return
        specs = list(self.inputs(model).values())
        shape = specs[0].shape
        raw = self.normalization is None or self.normalization.raw == "uint8"
        if (
            self.task == RAW
            or len(specs) > 1
            or shape.rank != 4
            or None in shape[1:]
            or shape[3] not in (1, 3, 4)
            or not raw
        ):
            found = ", ".join(f"{spec.dtype.name} {spec.shape.as_list()}" for spec in specs)
            allowed = "is for classifiers of images of one size and 1, 3 or 4 channels"
            raise BadInput(IMAGE_BYTES, True, f"{allowed}, and this network is served as {self.task} of {found}")
        if self.batch is not None:
            raise BadInput(IMAGE_BYTES, True, f"needs a free batch size, and that of this export is {self.batch}")

    @property
    def compared(self) -> tuple[str, ...]:
        """Names of the outputs that are compared with the Keras model's; none named: all."""
        return {CLASSIFIER: ("logits",), PROBABILITIES: ("probabilities",)}.get(self.task, ())

    def reference(
        self, model: tf_keras.Model, tensors: Mapping[str, tf.Tensor], interface: Interface | None = None
    ) -> dict[str, tf.Tensor]:
        """Computes the outputs that are compared: half precision becomes float32."""
        interface = interface or interface_of(model)
        if self.normalization is not None:
            dtype = interface.inputs[IMAGES].dtype
            tensors = {name: self.normalization(images, dtype=dtype) for name, images in tensors.items()}
        outputs = {name: _at_least_float32(value) for name, value in interface.call(model, tensors).items()}
        if self.task == CLASSIFIER:
            return {"logits": tf.cast(next(iter(outputs.values())), tf.float32)}
        return {PROBABILITIES: next(iter(outputs.values()))} if self.task == PROBABILITIES else outputs

    def outputs(
        self, model: tf_keras.Model, tensors: Mapping[str, tf.Tensor], interface: Interface | None = None
    ) -> dict[str, tf.Tensor]:
        """Computes all outputs of the signature, by name."""
        outputs = self.reference(model, tensors, interface)
        if self.task == RAW:
            return outputs | _dense_logits(outputs, interface or interface_of(model))
        if self.task == CLASSIFIER:
            outputs |= {PROBABILITIES: tf.nn.softmax(outputs["logits"])}
        outputs["class"] = tf.argmax(outputs[self.compared[0]], -1)
        if self.label_names is None:
            return outputs
        return {**outputs, "label": tf.gather(tf.constant(self.label_names), outputs["class"])}

    def output_specs(self, interface: Interface) -> dict[str, tf.TensorSpec]:
        """Returns shape and dtype of all outputs of the signature, by name."""
        specs = {
            name: tf.TensorSpec([self.batch, *spec.shape[1:]], _wide(spec.dtype)) if spec.shape.rank else spec
            for name, spec in interface.outputs.items()
        }
        if self.task == RAW:
            return specs | _dense_logits(specs, interface)
        only = next(iter(specs.values()))
        dtype = tf.float32 if self.task == CLASSIFIER else only.dtype
        names = ("logits", PROBABILITIES) if self.task == CLASSIFIER else (PROBABILITIES,)
        specs = {name: tf.TensorSpec(only.shape, dtype) for name in names}
        specs["class"] = tf.TensorSpec([self.batch], tf.int64)
        return specs if self.label_names is None else {**specs, "label": tf.TensorSpec([self.batch], tf.string)}


def _wide(dtype: tf.DType) -> tf.DType:
    return tf.float32 if dtype in (tf.float16, tf.bfloat16) else dtype


def _at_least_float32(value: tf.Tensor) -> tf.Tensor:
    return tf.cast(value, _wide(value.dtype))


def _dense_logits(outputs: Mapping[str, Any], interface: Interface) -> dict[str, Any]:
    """The only output a second time as `logits`, if it is one for each class at every position (segmentation)."""
    name, *others = outputs
    dense = not others and interface.ending == "linear" and (outputs[name].shape.rank or 0) > 2
    return {"logits": outputs[name]} if dense else {}


class Served(tf.Module):
    """The object that is saved: the network's variables, its lookup tables and one signature, without Keras objects.

    Args:
      model: Stripped Keras model.
      serving: Preprocessing and outputs around the network.
    """

    def __init__(self, model: tf_keras.Model, serving: Serving) -> None:
        super().__init__()
        self.network_variables = list(named_weights(model).values())
        self.tables = list(lookup_tables(model))
        self.specs = serving.inputs(model)
        interface = interface_of(model)

        def serve(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
            return serving.outputs(model, dict(zip(self.specs, tensors, strict=True)), interface)

        self.serve = tf.function(serve, input_signature=list(self.specs.values()))


def expected_outputs(model: tf_keras.Model, serving: Serving, inputs: Arrays) -> dict[str, np.ndarray]:
    """Computes the Keras model's own outputs for all examples, by name: for a classifier float32 logits [N, classes].

    They are computed on the CPU, because GPUs round some products to fewer bits.

    Raises:
      BadInput: If two calls on the same examples give different outputs, or an output does not have a row for each
        example.
    """
    specs = serving.inputs(model)
    with tf.device("/CPU:0"), without_fusion():
        compute = tf.function(
            lambda *tensors: serving.reference(model, dict(zip(specs, tensors, strict=True))),
            input_signature=list(specs.values()),
        )
        parts = [compute(*(tf.constant(batch[name]) for name in specs)) for batch in batches(inputs, serving.batch)]
        few = [tf.constant(array[: serving.batch or FEW]) for array in (inputs[name] for name in specs)]
        first, again = compute(*few), compute(*few)
    _check_repeatable(model, first, again)
    _check_rows(model, first, len(few[0]), serving.batch)
    _check_rows(model, parts[0], len(next(iter(inputs.values()))[: serving.batch or BATCH]), serving.batch)
    return {name: np.concatenate([_array(part[name]) for part in parts]) for name in parts[0]}


def _array(value: tf.Tensor) -> np.ndarray:
    """Returns a tensor as an array; texts as one of bytes."""
    array = value.numpy()
    return array.astype(np.bytes_) if value.dtype == tf.string else array


def _check_repeatable(model: tf_keras.Model, first: Mapping[str, tf.Tensor], again: Mapping[str, tf.Tensor]) -> None:
    """Checks that the outputs of two calls on the same examples are the same, up to rounding."""
    for name, value in first.items():
        one, other = value.numpy(), again[name].numpy()
        if value.dtype.is_floating:
            scale = max(1.0, float(np.max(np.abs(one), initial=0, where=np.isfinite(one))))
            same = np.allclose(one, other, rtol=0, atol=ROUNDING * scale, equal_nan=True)
        else:
            same = np.array_equal(one, other)
        if not same:
            allowed = f"has a random output, {name}: two calls on the same examples differ; export a model without it"
            raise BadInput("model", model.name, allowed)


def _check_rows(model: tf_keras.Model, outputs: Mapping[str, tf.Tensor], count: int, batch: int | None) -> None:
    """Checks that the first axis of every output is that of the examples; if their number is fixed, that it has one."""
    for name, value in outputs.items():
        shape = value.shape.as_list()
        if not shape or (batch is None and shape[0] != count):
            allowed = f"has an output without a row for each example, {name}: of {count}, its shape is {shape}"
            raise BadInput("model", model.name, f"{allowed}; export a model without it")


def batches(inputs: Arrays, size: int | None = None) -> Sequence[dict[str, np.ndarray]]:
    """Splits examples into batches of at most BATCH, or of exactly `size` examples; a smaller rest is left out then."""
    count = len(next(iter(inputs.values())))
    starts = range(0, count - count % size, size) if size else range(0, count, BATCH)
    return [{name: array[start : start + (size or BATCH)] for name, array in inputs.items()} for start in starts]
