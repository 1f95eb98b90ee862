"""SynFlow: synaptic flow without data.

Tanaka et al., Pruning Neural Networks Without Any Data, NeurIPS 2020, arXiv:2006.05467.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dlth_tf.plain_numbers import whole_numbers
from dlth_tf.scores.adapters import of


class SynapticFlow:
    """Computes |w * dR/dw| of the network with every parameter and buffer replaced by its absolute value.

    R is the sum of the outputs for one image of ones, with batch norm in inference mode. The network computes in
    float64, since R is a product over layers and leaves the range of float32 in deep networks. A subclassed model of
    tf_keras, or one that contains such a model or constants of another dtype, cannot be copied this way: each scoring
    uses the model itself and restores its weights.

    Args:
      model: Model that returns logits, of tf_keras, wrapped or not, or of Keras 3.
      weights: Variables of the model to score, by tensor name.
      image_shape: Shape of an input, without the batch axis.

    Raises:
      BadInput: If the shape does not consist of whole numbers.
      FloatingPointError: From `score`, if the flow is not finite or has vanished.
    """

    def __init__(self, model: Any, weights: Mapping[str, Any], image_shape: tuple[int, ...]) -> None:
        shape = whole_numbers("image_shape", image_shape)
        place = {id(variable): index for index, variable in enumerate(model.weights)}
        self.full = [np.abs(variable.numpy()) for variable in model.weights]
        self.places = {name: place[id(weight)] for name, weight in weights.items()}
        self._flow = of(model).Flow(model, weights, shape)

    def score(self, masks: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the scores with masks applied (True = kept; other tensors are whole); removed weights score 0."""
        values = list(self.full)
        for name, mask in masks.items():
            values[self.places[name]] = self.full[self.places[name]] * mask
        scores = {name: np.abs(product) for name, product in zip(self.places, self._flow.products(values), strict=True)}
        if not all(np.isfinite(score).all() for score in scores.values()):
            raise FloatingPointError("the synaptic flow leaves the range of floating-point numbers in this network")
        if not any(score.any() for score in scores.values()):
            raise FloatingPointError("no synaptic flow is left: a layer has lost every connection")
        return scores
