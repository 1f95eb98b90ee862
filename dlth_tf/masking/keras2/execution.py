"""The training loop of a Keras 2 model: strategy, optimizer steps of one execution, random generators."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
import tf_keras

from dlth_tf.errors import BadInput
from dlth_tf.masking.structure.layer_paths import all_sublayers


def scope(model: tf_keras.Model) -> contextlib.AbstractContextManager[Any]:
    """Returns the scope of the model's distribution strategy."""
    return model.distribute_strategy.scope()


def steps_per_execution(model: tf_keras.Model) -> int:
    """Returns the optimizer steps per execution, as compiled or as last set.

    Raises:
      BadInput: If Keras tunes the number itself.
    """
    if model.autotune_steps_per_execution:
        allowed = "must be a number here, since Keras would change it while the steps are counted"
        raise BadInput("steps_per_execution", "auto", allowed)
    counter = model._steps_per_execution
    return 1 if counter is None else int(counter.numpy())


def set_steps_per_execution(model: tf_keras.Model, steps: int) -> None:
    """Changes the optimizer steps of the next execution. Keras reads the number before each, so call it between two."""
    model._steps_per_execution.assign(steps)


@contextlib.contextmanager
def lstm_as_loop(model: tf_keras.Model) -> Iterator[None]:
    """Lets LSTM layers compute by ordinary operations in a loop, not by one function, for the duration of the block.

    LiteRT's converter makes one operation of that function, and this operation begins every call with the state in
    which the last one ended.
    """
    layers = [layer for layer in all_sublayers(model) if isinstance(layer, tf_keras.layers.LSTM)]
    before = [layer._could_use_gpu_kernel for layer in layers]
    for layer in layers:
        layer._could_use_gpu_kernel = False
    try:
        yield
    finally:
        for layer, value in zip(layers, before, strict=True):
            layer._could_use_gpu_kernel = value


def random_states(model: tf_keras.Model) -> list[tf.Variable]:
    """Returns the states of the random generators of dropout and noise layers, including layers inside layers."""
    generators = [getattr(getattr(layer, "_random_generator", None), "_generator", None) for layer in model.submodules]
    return [generator.state for generator in generators if generator is not None]
