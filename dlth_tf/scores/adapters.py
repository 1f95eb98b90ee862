"""Dispatch between the Keras versions: a model's own type decides what differentiates it. No TensorFlow at import."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, cast

import numpy as np

from dlth_tf.errors import BadInput

ADAPTERS = {"tf_keras": "dlth_tf.scores.keras2", "keras": "dlth_tf.scores.keras3"}


class Losses(Protocol):
    """Derivatives of the mean cross-entropy of logits / temperature."""

    def gradients(self, images: Any, labels: Any) -> list[np.ndarray]:
        """Returns the gradients of one batch, one array per weight."""

    def products(self, images: Any, labels: Any, direction: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Returns the products of the Hessian of one batch with a direction, one array per weight."""

    def restore(self) -> None:
        """Restores running statistics."""


class Flow(Protocol):
    """Derivatives of the sum of the outputs for one image of ones, with batch norm in inference mode."""

    def products(self, values: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Returns weight * gradient of every scored weight, for the values of all weights in the model's order."""


class Adapter(Protocol):
    """Derivatives of a model of one version of Keras."""

    def Losses(self, model: Any, weights: Iterable[Any], training: bool, temperature: float = 1.0) -> Losses:
        """Makes derivatives of the loss with respect to weights."""

    def Flow(self, model: Any, weights: Mapping[str, Any], image_shape: tuple[int, ...]) -> Flow:
        """Makes derivatives of the synaptic flow with respect to weights."""


def of(model: Any) -> Adapter:
    """Returns the adapter for a model's Keras, which is read off its class.

    Raises:
      BadInput: If it is not a Keras model.
    """
    packages = (base.__module__.partition(".")[0] for base in type(model).__mro__)
    package = next((package for package in packages if package in ADAPTERS), None)
    if package is None:
        raise BadInput("model", type(model).__name__, "is not a Keras model: build it with keras (Keras 3) or tf_keras")
    return cast(Adapter, importlib.import_module(ADAPTERS[package]))
