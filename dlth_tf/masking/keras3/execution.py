"""The training loop of a Keras 3 model: where its state is, its strategy, and the optimizer steps of one execution."""

from __future__ import annotations

import contextlib
import inspect
from typing import Any

from dlth_tf.errors import BadInput


def sync(model: Any) -> None:
    """Lets the model's variables have their present values; on JAX the training loop keeps those to itself."""
    if hasattr(model, "jax_state_sync"):
        model.jax_state_sync()


def scope(model: Any) -> contextlib.AbstractContextManager[Any]:
    """Returns the scope of the model's distribution strategy, which only the TensorFlow backend has."""
    strategy = getattr(model, "distribute_strategy", None)
    return contextlib.nullcontext() if strategy is None else strategy.scope()


def steps_per_execution(model: Any) -> int:
    """Returns the optimizer steps per execution, as compiled."""
    return int(model.steps_per_execution)


def execution_ends_with_epoch(model: Any) -> bool:
    """Returns whether the last execution of an epoch ends with it in the `fit` that calls now.

    It does where the data end there. With `steps_per_epoch` they may go on, and then Keras 3 makes a whole execution
    that goes beyond the epoch. Keras gives a callback no access to the data, so they are looked for among the callers.
    """
    frame = inspect.currentframe()
    while frame is not None:
        found = frame.f_locals
        if found.get("self") is model and "epoch_iterator" in found:
            batches = found["epoch_iterator"]
            return batches.steps_per_epoch in (None, batches.data_adapter.num_batches)
        frame = frame.f_back
    return True


def set_steps_per_execution(model: Any, steps: int) -> None:
    """Refuses to change the steps of an execution: in Keras 3 they are compiled into it.

    Raises:
      BadInput: If `steps` is not the present number.
    """
    if steps != steps_per_execution(model):
        allowed = f"cannot become {steps} for one execution, since Keras 3 compiles the number into its training loop"
        raise BadInput("steps_per_execution", steps_per_execution(model), allowed)
