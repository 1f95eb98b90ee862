"""SynFlow: synaptic flow without data.

Tanaka et al., Pruning Neural Networks Without Any Data, NeurIPS 2020, arXiv:2006.05467.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from dlth_tf.plain_numbers import whole_numbers
from dlth_tf.scores.snip import first_replica

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras


class SynapticFlow:
    """Computes |w * dR/dw| of the network with every parameter and buffer replaced by its absolute value.

    R is the sum of the outputs for one image of ones, with batch norm in inference mode. The network is copied in
    float64, since R is a product over layers and leaves the range of float32 in deep networks. A subclassed model, or
    one that contains such a model or constants of another dtype, cannot be copied this way: each scoring uses the model
    itself and restores its weights.

    Args:
      model: Model that returns logits, wrapped or not.
      weights: Variables of the model to score, by tensor name.
      image_shape: Shape of an input, without the batch axis.

    Raises:
      BadInput: If the shape does not consist of whole numbers.
      FloatingPointError: From `score`, if the flow is not finite or has vanished.
    """

    def __init__(self, model: tf_keras.Model, weights: Mapping[str, tf.Variable], image_shape: tuple[int, ...]) -> None:
        import tensorflow as tf

        shape = whole_numbers("image_shape", image_shape)
        copied = can_be_copied(model)
        self.network, twins = in_float64(model) if copied else (model, {})
        place = {id(variable): index for index, variable in enumerate(model.weights)}
        self.variables = [twins.get(id(variable), variable) for variable in model.weights]
        self.full = [np.abs(variable.numpy()) for variable in model.weights]
        self.places = {name: place[id(weight)] for name, weight in weights.items()}
        ones = tf.ones((1, *shape), "float64" if copied else model.compute_dtype)

        @tf.function
        def gradients() -> list[tf.Tensor]:
            scored = first_replica(self.variables[index] for index in self.places.values())
            with tf.GradientTape() as tape:
                flow = tf.reduce_sum(self.network(ones, training=False))
            return [
                tf.convert_to_tensor(gradient) for gradient in tape.gradient(flow, scored, unconnected_gradients="zero")
            ]

        self._gradients = gradients

    def score(self, masks: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the scores with masks applied (True = kept; other tensors are whole); removed weights score 0."""
        before = [variable.numpy() for variable in self.variables]
        for variable, value in zip(self.variables, self.full, strict=True):
            variable.assign(value)
        for name, mask in masks.items():
            self.variables[self.places[name]].assign(self.full[self.places[name]] * mask)
        flows = {name: gradient.numpy() for name, gradient in zip(self.places, self._gradients(), strict=True)}
        scores = {name: np.abs(self.variables[place].numpy() * flows[name]) for name, place in self.places.items()}
        for variable, value in zip(self.variables, before, strict=True):
            variable.assign(value)
        if not all(np.isfinite(score).all() for score in scores.values()):
            raise FloatingPointError("the synaptic flow leaves the range of floating-point numbers in this network")
        if not any(score.any() for score in scores.values()):
            raise FloatingPointError("no synaptic flow is left: a layer has lost every connection")
        return scores


def can_be_copied(model: tf_keras.Model) -> bool:
    """Returns whether the graph of a model and of nested models is known, without constants ("2.0 * x")."""
    import tensorflow as tf
    import tf_keras

    def fits(layer: tf_keras.layers.Layer) -> bool:
        if isinstance(layer, tf_keras.Model):
            return can_be_copied(layer)
        calls = layer._inbound_nodes if type(layer).__name__ == "TFOpLambda" else []
        constants = tf.nest.flatten([(node.call_args, node.call_kwargs) for node in calls])
        return not any(isinstance(value, tf.Tensor) and value.dtype.is_floating for value in constants)

    return (isinstance(model, tf_keras.Sequential) or model._is_graph_network) and all(map(fits, model.layers))


def in_float64(model: tf_keras.Model) -> tuple[tf_keras.Model, dict[int, tf.Variable]]:
    """Copies a Sequential or Functional model, wrapped or not, with its own weights in float64.

    Returns:
      The copy, and the id of every variable of `model` -> its counterpart in the copy.
    """
    import tf_keras

    copies: dict[int, tuple[tf_keras.layers.Layer, tf_keras.layers.Layer]] = {}  # one per layer, wherever it is shared

    def once(layer: tf_keras.layers.Layer) -> tf_keras.layers.Layer:
        if id(layer) not in copies:
            copies[id(layer)] = layer, rebuilt(layer) if isinstance(layer, tf_keras.Model) else _float64_layer(layer)
        return copies[id(layer)][1]

    def rebuilt(inner: tf_keras.Model) -> tf_keras.Model:
        inputs = [tf_keras.Input(tensor.shape[1:], dtype="float64") for tensor in inner.inputs]
        return tf_keras.models.clone_model(inner, inputs[0] if len(inputs) == 1 else inputs, clone_function=once)

    network = rebuilt(model)
    leaves = [pair for pair in copies.values() if not isinstance(pair[0], tf_keras.Model)]
    return network, {
        id(old): new for layer, copy in leaves for old, new in zip(layer.weights, copy.weights, strict=True)
    }


def _float64_layer(layer: tf_keras.layers.Layer) -> tf_keras.layers.Layer:
    config = layer.get_config()
    inner = config.get("layer")
    if isinstance(inner, dict) and "config" in inner:  # a wrapper's
        config = {**config, "layer": {**inner, "config": {**inner["config"], "dtype": "float64"}}}
    return type(layer).from_config({**config, "dtype": "float64"} if "dtype" in config else config)
