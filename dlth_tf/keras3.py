"""The names that belong to Keras 3 alone; everything else in `dlth_tf` takes models of both Kerases."""

from __future__ import annotations

from dlth_tf.masking.keras3.optimizers import SGD
from dlth_tf.masking.keras3.tickets import load_model

__all__ = ["SGD", "load_model"]
