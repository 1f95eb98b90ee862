"""The network that is exported, with everything that is known about it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tf_keras

from dlth_tf.core import Ticket
from dlth_tf.data.normalize import Normalization
from dlth_tf.deploy.examples import Examples, check_examples, random_examples
from dlth_tf.deploy.interface import Interface, decide_task, interface_of
from dlth_tf.deploy.serving import MOST_PIXEL, RAW, Serving, expected_outputs
from dlth_tf.errors import BadInput
from dlth_tf.export_options import OptionKeywords, ServingOptions
from dlth_tf.measures import ACCURACY
from dlth_tf.plain_numbers import whole_number, whole_or_none

SIGMOID = "sigmoid"
FEW = 16  # examples whose outputs help to decide on the task


class Keywords(OptionKeywords, total=False):
    """Keywords of `dlth_tf.export` beyond its parameters; see `ExportOptions` and `Source`."""

    task: str
    batch: int | None
    image_bytes: bool
    ticket: Ticket | None
    calibration: np.ndarray | Mapping[str, np.ndarray] | None
    validation: Examples | None
    image_size: tuple[int, int] | None
    value_range: int
    origin: Mapping[str, Any] | None


@dataclass(frozen=True)
class Source:
    """A network to export, with everything that is known about it.

    Args:
      model: Keras model; the export takes it out of its wrappers.
      normalization: Normalization put in front of the network, so that clients send raw uint8 images; None serves the
        model's own inputs.
      label_names: One name per class, in the order of the logits; None omits the output `label`.
      ticket: Ticket whose removed weights must be zero in the export; None skips that check.
      examples: Images on which outputs are compared; None uses the first 256 of `calibration`, or 256 random images.
      calibration: Raw training images [n, H, W, C] for forms that need activation ranges, or input name -> array; None
        skips these forms.
      validation: Examples on which rounded forms are judged: int8's agreement and accuracy, and `min_agreement` of
        every form. Choosing by test images would spoil them; None uses `examples`.
      origin: Provenance of the network as JSON values, for export.json.
      task: "classifier" of [batch, classes] logits or softmax, "raw", or "auto" (`interface.decide_task`).
      batch: Number of examples in every call; None leaves it free, except for a network that was built for one.
      image_bytes: Whether SavedModels have a second signature, `image_bytes`, that takes encoded images.
      image_size: Height and width of all images, for a network that takes any; `at_image_size` builds it.
      value_range: Largest possible pixel value of the images that the network was trained on, as they are stored;
        encoded images, whose pixels are 0 to 255, are scaled to it.
    """

    model: tf_keras.Model
    normalization: Normalization | None = None
    label_names: tuple[str, ...] | None = None
    ticket: Ticket | None = None
    examples: Examples | None = None
    calibration: np.ndarray | Mapping[str, np.ndarray] | None = None
    validation: Examples | None = None
    origin: Mapping[str, Any] | None = None
    task: str = "auto"
    batch: int | None = None
    image_bytes: bool = False
    image_size: tuple[int, int] | None = None
    value_range: int = MOST_PIXEL

    @functools.cached_property
    def interface(self) -> Interface:
        """Inputs and outputs of the network."""
        return interface_of(self.model)

    @functools.cached_property
    def decision(self) -> tuple[str, str]:
        """The task that the network is served for, and the sentence about it."""
        return decide_task(self.interface, self.task, self.label_names is not None, self._few_outputs)

    @functools.cached_property
    def threshold(self) -> float | None:
        """Output of one number above which an example is of class 1; None unless it has whole numbers as labels."""
        shapes = [spec.shape.as_list() for spec in self.interface.outputs.values() if spec.shape.rank is not None]
        labeled = any(given is not None and given.measure is ACCURACY for given in (self.examples, self.validation))
        binary = labeled and len(shapes) == 1 and shapes[0][1:] == [1] and self.interface.ending == SIGMOID
        return 0.5 if binary else None

    def _few_outputs(self) -> np.ndarray:
        """The only output for a few of the examples, or for random ones."""
        raw = Serving(self.normalization, None, RAW, self._batch)
        examples = self.examples or random_examples(self.model, raw, raw.batch or FEW)
        specs = raw.inputs(self.model)
        check_examples(examples, specs)
        few = {name: array[: raw.batch or FEW] for name, array in examples.inputs(specs).items()}
        (outputs,) = expected_outputs(self.model, raw, few).values()
        return outputs

    @functools.cached_property
    def _batch(self) -> int | None:
        """Number of examples in every call; None if it is free."""
        ServingOptions(self.task, self.batch).check()
        fixed = {spec.shape[0] for spec in self.interface.inputs.values()} - {None}
        batch = whole_or_none("batch", self.batch, least=1)
        if batch is not None and fixed and fixed != {batch}:
            raise BadInput("batch", batch, f"must be {min(fixed)}, which the network was built for")
        return batch if batch is not None else min(fixed, default=None)

    @functools.cached_property
    def serving(self) -> Serving:
        """Preprocessing and outputs around the network.

        Raises:
          BadInput: If the task does not fit the network, the batch size is below 1 or not that of its inputs, encoded
            images cannot be served, or `value_range` is no whole number, at least 1.
        """
        batch = self._batch
        most = whole_number("value_range", self.value_range, least=1)
        serving = Serving(self.normalization, self.label_names, self.decision[0], batch, self.image_bytes, most)
        serving.check_image_bytes(self.model)
        return serving
