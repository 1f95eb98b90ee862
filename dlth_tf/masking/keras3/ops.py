"""Operations of Keras' backend for `masking.mask_arithmetic`: `keras.ops`, and what it lacks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

BACKEND = keras.config.backend()

abs = ops.abs
argsort = ops.argsort  # stable on every backend: equal values keep their order
cast = ops.cast
convert_to_numpy = ops.convert_to_numpy
convert_to_tensor = ops.convert_to_tensor
reshape = ops.reshape
sign = ops.sign
size = ops.size
take = ops.take
zeros_like = ops.zeros_like
where = ops.where


def outside_the_step() -> contextlib.AbstractContextManager[Any]:
    """Returns a scope in which arrays are read and assigned at once, also while TensorFlow traces a compiled step."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.init_scope()
    return contextlib.nullcontext()


def inverse_permutation(order: Any) -> Any:
    """Returns the inverse of a permutation of 0 to n - 1."""
    return ops.argsort(order)


def constant(values: np.ndarray) -> Any:
    """Returns an array that a compiled step captures."""
    return ops.convert_to_tensor(values)


def segment_sum(values: Any, segments: Any, number: int) -> Any:
    """Returns the sums over segments, which need not be sorted."""
    return ops.segment_sum(values, segments, num_segments=number)


def masked(weight: Any, mask: Any) -> Any:
    """where(mask, weight, 0): a removed weight is 0.0 whatever it was, NaN, infinite or negative.

    Args:
      weight: Tensor or variable of any shape.
      mask: The same shape and dtype, 1 = kept, 0 = removed.
    """
    weight, mask = ops.convert_to_tensor(weight), ops.convert_to_tensor(mask)
    if BACKEND == "tensorflow":  # without XLA 2 to 5 times faster than where
        import tensorflow as tf

        return tf.math.multiply_no_nan(weight, mask)
    return ops.where(mask != 0, weight, ops.zeros_like(weight))


def apply_mask(optimizer: Any, variable: Any, mask: Any) -> None:
    """Assigns zero to the weights that a mask removes, inside the optimizer's step."""
    if BACKEND == "torch":
        _mask_in_place(ops.convert_to_tensor(variable).detach(), ops.convert_to_tensor(mask))
    else:
        optimizer.assign(variable, masked(variable, mask))


def _mask_in_place(weight: Any, mask: Any) -> None:
    """The same on PyTorch, where a product on a CPU takes a tenth of the time of `where` and of `masked_fill_`."""
    if weight.device.type == "cpu" and not _torch_compiles():
        weight.mul_(mask).add_(0.0)  # no -0.0
        if bool(weight.sum().isfinite()):  # otherwise a removed weight may be 0 * inf
            return
    weight.masked_fill_(mask == 0, 0)


def _torch_compiles() -> bool:
    """Returns whether torch.compile reads this call, which a number on the host would cut in two."""
    import torch

    return torch.compiler.is_compiling()


def on_host(value: Any) -> Any:
    """Returns a scalar as a number where PyTorch runs at once: one wait for the device, and not one for each weight."""
    return float(value) if BACKEND == "torch" and not _torch_compiles() else value


def penalized(gradient: Any, strength: Any, squeeze: Any, weight: Any) -> Any:
    """Returns gradient + strength * squeeze * weight.

    Args:
      gradient: Tensor of the weight's shape and dtype.
      strength: Scalar tensor, or a number (`on_host`).
      squeeze: 1 = penalized, 0 = not.
      weight: The weight.
    """
    gradient, weight = ops.convert_to_tensor(gradient), ops.convert_to_tensor(weight)
    squeeze = ops.convert_to_tensor(squeeze)
    if BACKEND == "torch" and not _torch_compiles():
        import torch

        return torch.addcmul(gradient, squeeze, weight.detach(), value=float(strength))
    return gradient + ops.cast(strength, weight.dtype) * squeeze * weight


def uniform(number: int, seed: tuple[int, int], event: Any, dtype: str) -> Any:
    """Returns random numbers [number] in [0, 1): a pure function of seed and event, another one on every backend.

    Args:
      number: How many.
      seed: Two int32 numbers.
      event: Integer scalar tensor, added to the seed.
      dtype: Floating dtype.
    """
    if BACKEND == "jax":
        import jax

        key = jax.random.fold_in(jax.random.key(np.uint32(seed[0])), np.uint32(seed[1]))
        return jax.random.uniform(jax.random.fold_in(key, event), (number,), dtype)
    if BACKEND == "torch":
        import torch

        generator = torch.Generator().manual_seed((seed[0] << 32) + seed[1] + int(event))
        return ops.convert_to_tensor(torch.rand(number, generator=generator, dtype=getattr(torch, dtype)))
    import tensorflow as tf

    pair = tf.stack([tf.constant(seed[0], tf.int64), tf.constant(seed[1], tf.int64) + tf.cast(event, tf.int64)])
    return tf.random.stateless_uniform([number], pair, dtype=dtype, alg="philox")


def choose(condition: Any, yes: Callable[[], Any], no: Callable[[], Any]) -> Any:
    """Returns the result of one of two functions, inside a compiled step.

    On PyTorch Python decides, as it does in `ops.cond`. That function names each of its calls anew, so that
    `torch.compile` would compile it again in every step.
    """
    if BACKEND == "torch":
        return yes() if condition else no()
    return ops.cond(condition, yes, no)


def branch(condition: Any, yes: Callable[[], None], no: Callable[[], None], variables: Sequence[Any]) -> None:
    """Runs one of two functions that assign to variables, inside a compiled step.

    On JAX assignments in a branch would be lost, so there both become functions of the variables' values.

    Args:
      condition: Boolean scalar tensor.
      yes: Runs where it is true.
      no: Runs where it is false.
      variables: Every variable that the functions read or assign.
    """
    if BACKEND != "jax":
        choose(condition, lambda: _then_true(yes), lambda: _then_true(no))
        return
    before = [ops.convert_to_tensor(variable) for variable in variables]

    def after(function: Callable[[], None]) -> list[Any]:
        with keras.StatelessScope(state_mapping=list(zip(variables, before, strict=True))) as scope:
            function()
        return [scope.get_current_value(variable) for variable in variables]

    new = choose(condition, lambda: after(yes), lambda: after(no))
    for variable, value in zip(variables, new, strict=True):
        variable.assign(value)


def _then_true(function: Callable[[], None]) -> Any:
    function()
    return ops.convert_to_tensor(True)
