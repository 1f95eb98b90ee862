"""Gradients of a tf_keras model with respect to some of its weights; it fulfills `scores.adapters.Adapter`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import tensorflow as tf
import tf_keras


class Losses:
    """Derivatives of the mean cross-entropy of logits / `temperature`, or for floating targets of the squared error.

    Args:
      model: Model that returns logits.
      weights: Variables by which the loss is differentiated.
      training: Whether batch norm is in training mode; its running statistics change then, until `restore`.
      temperature: Number by which logits are divided, above 0.
    """

    def __init__(
        self, model: tf_keras.Model, weights: Iterable[tf.Variable], training: bool, temperature: float = 1.0
    ) -> None:
        self._variables = first_replica(weights)
        self._before = [(variable, variable.numpy()) for variable in model.non_trainable_variables]
        dtype = self._variables[0].dtype

        def gradients(images: tf.Tensor, labels: tf.Tensor) -> list[tf.Tensor]:
            with tf.GradientTape() as tape:
                logits = tf.cast(model(images, training=training), dtype)
                if labels.dtype.is_floating:
                    loss = tf.reduce_mean(tf.math.squared_difference(tf.cast(labels, dtype), logits))
                else:
                    logits = logits if temperature == 1 else logits / temperature
                    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
            return self._of(tape, loss)

        @tf.function
        def products(images: tf.Tensor, labels: tf.Tensor, direction: list[tf.Tensor]) -> list[tf.Tensor]:
            with tf.GradientTape() as tape:
                current = gradients(images, labels)
                pairs = zip(direction, current, strict=True)
                flow = tf.add_n([tf.reduce_sum(along * gradient) for along, gradient in pairs])
            return self._of(tape, flow)

        self._gradients = tf.function(gradients)
        self._products = products

    def _of(self, tape: tf.GradientTape, value: tf.Tensor) -> list[tf.Tensor]:
        found = tape.gradient(value, self._variables, unconnected_gradients="zero")
        return [tf.convert_to_tensor(gradient) for gradient in found]

    def gradients(self, images: tf.Tensor, labels: tf.Tensor) -> list[np.ndarray]:
        """Returns the gradients of one batch."""
        return [gradient.numpy() for gradient in self._gradients(images, labels)]

    def products(self, images: tf.Tensor, labels: tf.Tensor, direction: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Returns the products of the Hessian of one batch with a direction, one array per weight."""
        along = [tf.convert_to_tensor(part) for part in direction]
        return [product.numpy() for product in self._products(images, labels, along)]

    def restore(self) -> None:
        """Restores running statistics."""
        for variable, value in self._before:
            variable.assign(value)


class Flow:
    """Derivatives of the sum of the outputs for one image of ones, with batch norm in inference mode.

    The network is copied in float64. A subclassed model, or one that contains such a model or constants of another
    dtype, cannot be copied this way: each call uses the model itself and restores its weights.

    Args:
      model: Model that returns logits, wrapped or not.
      weights: Variables of the model by which the flow is differentiated.
      image_shape: Shape of an input, without the batch axis.
    """

    def __init__(self, model: tf_keras.Model, weights: Mapping[str, tf.Variable], image_shape: tuple[int, ...]) -> None:
        copied = can_be_copied(model)
        self.network, twins = in_float64(model) if copied else (model, {})
        self.variables = [twins.get(id(variable), variable) for variable in model.weights]
        scored = {id(weight) for weight in weights.values()}
        places = {id(variable): index for index, variable in enumerate(model.weights) if id(variable) in scored}
        self._scored = [places[id(weight)] for weight in weights.values()]
        ones = tf.ones((1, *image_shape), "float64" if copied else model.compute_dtype)

        @tf.function
        def gradients() -> list[tf.Tensor]:
            scored = first_replica(self.variables[index] for index in self._scored)
            with tf.GradientTape() as tape:
                flow = tf.reduce_sum(self.network(ones, training=False))
            return [
                tf.convert_to_tensor(gradient) for gradient in tape.gradient(flow, scored, unconnected_gradients="zero")
            ]

        self._gradients = gradients

    def products(self, values: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Returns weight * gradient of every scored weight, for the values of all weights in the model's order."""
        before = [variable.numpy() for variable in self.variables]
        for variable, value in zip(self.variables, values, strict=True):
            variable.assign(value)
        pairs = zip(self._scored, self._gradients(), strict=True)
        found = [self.variables[place].numpy() * gradient.numpy() for place, gradient in pairs]
        for variable, value in zip(self.variables, before, strict=True):
            variable.assign(value)
        return found


def first_replica(weights: Iterable[tf.Variable]) -> list[tf.Variable]:
    """Returns the variables, or under a strategy of several replicas those of the first, which have gradients."""
    return [tf.distribute.get_strategy().experimental_local_results(weight)[0] for weight in weights]


def can_be_copied(model: tf_keras.Model) -> bool:
    """Returns whether the graph of a model and of nested models is known, without constants ("2.0 * x")."""

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
