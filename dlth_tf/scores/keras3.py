"""Gradients of a Keras 3 model with respect to some of its weights, on every backend.

The model is a function of the weights' values: it runs in a scope that gives it those, and that keeps what it assigns
(running statistics, states of random generators) to itself. It fulfills `scores.adapters.Adapter`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from keras.src.backend.common import dtypes as promotion

BACKEND = keras.config.backend()
STEP = 1e-6  # of the difference of gradients, by the length of all weights: 1e-9 of the product in float64
Values = Sequence[Any]  # tensors


class Losses:
    """Derivatives of the mean cross-entropy of logits / `temperature`, or for floating targets of the squared error.

    Args:
      model: Model that returns logits.
      weights: Variables by which the loss is differentiated.
      training: Whether batch norm is in training mode.
      temperature: Number by which logits are divided, above 0.
    """

    def __init__(self, model: Any, weights: Iterable[Any], training: bool, temperature: float = 1.0) -> None:
        self._model = model
        self._weights = list(weights)
        self._scored = {id(weight) for weight in self._weights}
        self._training = training
        self._temperature = temperature

    def _loss(self, images: Any, labels: Any) -> Callable[[Values], Any]:
        def loss(values: Values) -> Any:
            others = [each for each in self._model.weights if id(each) not in self._scored]
            wide = [ops.cast(each.value, ops.dtype(values[0])) for each in others]
            with _with_values([*self._weights, *others], [*values, *wide]):
                logits = self._model(images, training=self._training)
            logits = ops.cast(logits, ops.dtype(values[0]))
            if "float" in str(ops.dtype(labels)):
                return ops.mean(ops.square(logits - ops.cast(labels, ops.dtype(logits))))
            logits = logits / self._temperature
            return ops.mean(ops.sparse_categorical_crossentropy(labels, logits, from_logits=True))

        images, labels = ops.convert_to_tensor(images), ops.convert_to_tensor(labels)
        return loss

    def gradients(self, images: Any, labels: Any) -> list[np.ndarray]:
        """Returns the gradients of one batch."""
        return gradients(self._loss(images, labels), [weight.numpy() for weight in self._weights])

    def products(self, images: Any, labels: Any, direction: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Returns the products of the Hessian of one batch with a direction, one array per weight."""
        values = [weight.numpy() for weight in self._weights]
        loss = self._loss(images, labels)
        if BACKEND != "tensorflow":
            return products(loss, values, direction)
        # `tf.nn.moments`, in the normalization layers of Keras 3, stops the gradient of the mean: first derivatives are
        # right, but second ones are not, whichever way they are computed.
        with _in_float64(self._model):
            return difference(loss, values, direction)

    def restore(self) -> None:
        """Does nothing: the model has not changed."""


class Flow:
    """Derivatives of the sum of the outputs for one image of ones, in float64, with batch norm in inference mode.

    Args:
      model: Model that returns logits.
      weights: Variables of the model by which the flow is differentiated.
      image_shape: Shape of an input, without the batch axis.
    """

    def __init__(self, model: Any, weights: Mapping[str, Any], image_shape: tuple[int, ...]) -> None:
        self._model = model
        self._shape = image_shape
        places = {id(variable): place for place, variable in enumerate(model.weights)}
        self._scored = [places[id(weight)] for weight in weights.values()]

    def products(self, values: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Returns weight * gradient of every scored weight, for the values of all weights in the model's order."""
        wide = [value.astype("float64") for value in values]
        scored = [wide[place] for place in self._scored]
        with _in_float64(self._model):

            def flow(new: Values) -> Any:
                full: list[Any] = list(wide)
                for place, value in zip(self._scored, new, strict=True):
                    full[place] = value
                with _with_values(self._model.weights, [ops.convert_to_tensor(value) for value in full]):
                    return ops.sum(self._model(ops.ones((1, *self._shape), "float64"), training=False))

            found = gradients(flow, scored)
        return [value * gradient for value, gradient in zip(scored, found, strict=True)]


def _with_values(variables: Sequence[Any], values: Values) -> keras.StatelessScope:
    """Returns a scope in which variables have other values, also of another dtype, and assignments do not last."""
    scope = keras.StatelessScope()
    scope.state_mapping.update({id(variable): value for variable, value in zip(variables, values, strict=True)})
    return scope


@contextlib.contextmanager
def _in_float64(model: Any) -> Iterator[None]:
    """Lets a model compute in float64 for the duration of the block; its variables do not change."""
    layers = list(model._flatten_layers())
    models = [layer for layer in layers if isinstance(layer, keras.Model)]
    graphs = [getattr(each, "_functional", None) or each for each in models]
    inputs = [tensor for graph in graphs for tensor in getattr(graph, "_inputs", None) or ()]
    inputs = [tensor for tensor in inputs if "float" in str(tensor.dtype)]
    policies = [(layer, layer.dtype_policy) for layer in layers]
    narrowing = promotion.BIT64_TO_BIT32_DTYPE  # by which operations round to float32 on JAX and PyTorch
    narrow = narrowing["float64"]
    dtypes = [(tensor, tensor.dtype) for tensor in inputs]
    with contextlib.ExitStack() as stack:
        if BACKEND == "jax":
            import jax

            stack.enter_context(jax.enable_x64(True))
        try:
            narrowing["float64"] = "float64"
            for layer in layers:
                layer.dtype_policy = "float64"
            for tensor in inputs:
                tensor._dtype = "float64"
            yield
        finally:
            narrowing["float64"] = narrow
            for layer, policy in policies:
                layer.dtype_policy = policy
            for tensor, dtype in dtypes:
                tensor._dtype = dtype


def gradients(function: Callable[[Values], Any], values: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Returns the gradients of a scalar function of tensors; zeros where it does not depend on one."""
    if BACKEND == "jax":
        import jax

        return [np.asarray(each) for each in jax.jit(jax.grad(function))(list(map(jax.numpy.asarray, values)))]
    if BACKEND == "torch":
        tensors = _torch_tensors(values)
        return _torch_arrays(_torch_gradients(function(tensors), tensors))
    import tensorflow as tf

    return [each.numpy() for each in _tape_gradients(function, [tf.constant(value) for value in values])]


def products(
    function: Callable[[Values], Any], values: Sequence[np.ndarray], direction: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """Returns the products of the Hessian of a scalar function with a direction, on JAX and PyTorch."""
    if BACKEND == "jax":
        import jax

        def product(at: Values, along: Values) -> Any:
            return jax.jvp(jax.grad(function), (at,), (along,))[1]

        both = list(map(jax.numpy.asarray, values)), list(map(jax.numpy.asarray, direction))
        return [np.asarray(each) for each in jax.jit(product)(*both)]
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    tensors = _torch_tensors(values)
    along = [torch.as_tensor(part, device=each.device) for part, each in zip(direction, tensors, strict=True)]
    with sdpa_kernel(SDPBackend.MATH):  # the other kernels of attention have no second derivative
        current = _torch_gradients(function(tensors), tensors, create_graph=True)
        flow = sum((part * gradient).sum() for part, gradient in zip(along, current, strict=True))
        return _torch_arrays(_torch_gradients(flow, tensors))


def difference(
    function: Callable[[Values], Any], values: Sequence[np.ndarray], direction: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """Returns the products of the Hessian with a direction, as the central difference of two gradients in float64."""
    at = [value.astype("float64") for value in values]
    along = [part.astype("float64") for part in direction]
    length = np.sqrt(sum(np.sum(part**2) for part in along))
    if not length:
        return [np.zeros_like(value) for value in values]
    step = STEP * np.sqrt(sum(np.sum(value**2) for value in at)) / length
    ahead, behind = (
        gradients(function, [value + sign * step * part for value, part in zip(at, along, strict=True)])
        for sign in (1, -1)
    )
    return [
        ((one - other) / (2 * step)).astype(value.dtype)
        for one, other, value in zip(ahead, behind, values, strict=True)
    ]


def _tape_gradients(function: Callable[[Values], Any], tensors: Values) -> list[Any]:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = function(tensors)
    return [tf.convert_to_tensor(each) for each in tape.gradient(value, tensors, unconnected_gradients="zero")]


def _torch_tensors(values: Sequence[np.ndarray]) -> list[Any]:
    return [ops.convert_to_tensor(value).detach().clone().requires_grad_() for value in values]


def _torch_gradients(value: Any, tensors: Values, **options: Any) -> list[Any]:
    import torch

    if not value.requires_grad:  # it depends on none of them
        return [torch.zeros_like(each) for each in tensors]
    return list(torch.autograd.grad(value, tensors, allow_unused=True, materialize_grads=True, **options))


def _torch_arrays(tensors: Values) -> list[np.ndarray]:
    return [each.detach().cpu().numpy() for each in tensors]
