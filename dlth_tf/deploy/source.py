"""The two values of an export: the network that is exported, and the options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
import tf_keras

from dlth_tf.core import Ticket
from dlth_tf.data.normalize import Normalization
from dlth_tf.deploy.examples import Examples
from dlth_tf.deploy.serving import Serving


class Known(TypedDict, total=False):
    """Keywords of `dlth_tf.export` beyond its parameters; see `Source`."""

    ticket: Ticket | None
    calibration: np.ndarray | None
    origin: Mapping[str, Any] | None


@dataclass(frozen=True)
class Source:
    """A network to export, with everything that is known about it.

    Args:
      model: Stripped Keras model that returns logits.
      normalization: Normalization put in front of the network, so that clients send raw uint8 images; None serves the
        model's own inputs.
      label_names: One name per class, in the order of the logits; None omits the output `label`.
      ticket: Ticket whose removed weights must be zero in the export; None skips that check.
      examples: Images on which outputs are compared; None uses 256 random images.
      calibration: Raw training images [n, H, W, C] for forms that need activation ranges; None skips these forms.
      origin: Provenance of the network as JSON values, for export.json.
    """

    model: tf_keras.Model
    normalization: Normalization | None = None
    label_names: tuple[str, ...] | None = None
    ticket: Ticket | None = None
    examples: Examples | None = None
    calibration: np.ndarray | None = None
    origin: Mapping[str, Any] | None = None

    @property
    def serving(self) -> Serving:
        """Preprocessing and outputs around the network."""
        return Serving(self.normalization, self.label_names)


@dataclass(frozen=True)
class ExportOptions:
    """The options of an export.

    Args:
      formats: Forms to write, of plain, packed, compact and tflite.
      values: Precision in which the packed form stores weights, "float32" or "float16".
      overwrite: Whether an existing export of the same form is replaced.
      measure_latency: Whether each form and its dense counterpart are timed.
    """

    formats: Sequence[str] = ("plain",)
    values: str = "float32"
    overwrite: bool = False
    measure_latency: bool = True
