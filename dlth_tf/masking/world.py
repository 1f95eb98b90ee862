"""Dispatch between the Keras versions: a model's own type decides which adapter serves it.

The functions below take any supported model. Everything else in this package that is not in an adapter's folder
(`keras2/`) is written in terms of them, so a second adapter fulfills the protocol `World` and nothing else changes.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike

from dlth_tf.core import PenaltySchedule
from dlth_tf.core.removed_weights import not_zero
from dlth_tf.errors import BadInput
from dlth_tf.masking.protocol import FitState, MaskUpdates, World
from dlth_tf.masking.prunable import PrunableWeight
from dlth_tf.plain_numbers import whole_number

Model = TypeVar("Model")  # the class of a model: that of what `wrap` and `strip` take is that of what they return

ADAPTERS = {"tf_keras": "dlth_tf.masking.keras2", "keras": "dlth_tf.masking.keras3"}


def package_of(model: Any) -> str | None:
    """Returns the Keras that a model belongs to, "tf_keras" or "keras" (Keras 3), or None if to neither."""
    packages = (base.__module__.partition(".")[0] for base in type(model).__mro__)
    return next((package for package in packages if package in ADAPTERS), None)


def of(model: Any) -> World:
    """Returns the adapter for a model's Keras, which is read off its class; neither Keras is imported to find out.

    Raises:
      BadInput: If it is not a Keras model.
    """
    package = package_of(model)
    if package is not None:
        return cast(World, importlib.import_module(ADAPTERS[package]))
    raise BadInput("model", type(model).__name__, "is not a Keras model: build it with keras (Keras 3) or tf_keras")


def prepare(model: Any) -> None:
    """Lets files that are read from here on restore masks, tickets and the state of callbacks."""
    of(model).prepare(model)


def execution_changes(model: Any) -> bool:
    """Returns whether the steps of one execution may change within a `fit`."""
    return of(model).EXECUTION_CHANGES


def execution_ends_with_epoch(model: Any) -> bool:
    """Returns whether the last execution of an epoch ends with it in the `fit` that calls now."""
    return of(model).execution_ends_with_epoch(model)


def wrap(model: Model, *, skip: str | Sequence[str] = (), only: str | Sequence[str] = ()) -> Model:
    """Gives a model masks and tickets.

    A model of Keras 3 comes back itself, with masks beside it; nothing is wrapped, and layers inside the user's own
    layers count too.

    A tf_keras model gets tf-mot's wrapper (`MaskedLayer`) on every layer that has something to prune. Sequential and
    Functional models, nested models and shared layers are rebuilt around the same layers, so the weights are those of
    `model`; a subclassed model gets its layers replaced in place. Layers that tf-mot does not know stay dense:
    `layer_table` lists them with the reason. A model that was rebuilt is not compiled.

    A wrapped model that Keras has copied, or loaded from `.keras` or HDF5, comes back itself, and its `load_weights`
    then reads files of the plain network again.

    Args:
      model: A model of tf_keras or of Keras 3.
      skip: Layer names or patterns ("block1*") that are not wrapped.
      only: If given, only the layers with these names or patterns are wrapped.

    Returns:
      The wrapped model (for a subclassed model, and in Keras 3, `model` itself).

    Raises:
      BadInput: If it is not a Keras model, nothing in it can be pruned, a pattern matches no layer, it has stock
        tf-mot wrappers, or an attention layer was never called.
    """
    return cast(Model, of(model).wrap(model, skip=skip, only=only))


def strip(model: Model) -> Model:
    """Returns the ordinary model inside a wrapped one, with exact zeros for removed weights. Shares its weights.

    In Keras 3 this is the model itself.

    Args:
      model: A wrapped model.

    Raises:
      BadInput: If the model is not wrapped, the ticket was chosen but nothing is removed yet, or removed weights are
        not zero.
    """
    return cast(Model, of(model).strip(model))


def without_masks(model: Model) -> Model:
    """Returns what `strip` would of a model with masks, and any other model itself. `model` is not changed.

    Raises:
      BadInput: If a ticket was chosen but nothing is removed yet, or removed weights are not zero.
    """
    return cast(Model, of(model).stripped_copy(model)) if has_masks(model) else model


def has_masks(model: Any) -> bool:
    """Returns whether a model has masks and tickets: it is wrapped, or of Keras 3 and was given some."""
    return of(model).has_masks(model)


def leaf_layers(model: Any) -> Iterator[Any]:
    """Yields every layer of a model and of nested models, once each, in model order."""
    return of(model).leaf_layers(model)


def prunable_weights(model: Any) -> dict[str, PrunableWeight]:
    """Returns the prunable weights of a wrapped model: "layer_name/weight" -> PrunableWeight, in model order.

    Raises:
      BadInput: If the model is not wrapped or not built, or two of its layers share a name.
    """
    return of(model).prunable_weights(model)


def named_weights(model: Any) -> dict[str, Any]:
    """Returns every weight of the network, wrapped or not, without masks and tickets: "layer_name/weight" -> variable.

    Raises:
      BadInput: If two layers with weights share a name.
    """
    return of(model).named_weights(model)


def weight_arrays(model: Any) -> dict[str, np.ndarray]:
    """Returns the values of `named_weights`."""
    return {name: variable.numpy() for name, variable in named_weights(model).items()}


def inner_optimizer(model: Any) -> Any:
    """Returns the optimizer that updates the weights (the one inside a LossScaleOptimizer).

    Raises:
      BadInput: If the model is not compiled, or the optimizer's update step cannot carry the hook.
    """
    return of(model).inner_optimizer(model)


def steps_made(model: Any) -> int:
    """Returns the steps of the optimizer that updates the prunable weights; of several, those of the slowest."""
    return of(model).steps_made(model)


def batches_per_step(model: Any) -> int:
    """Returns how many batches one step of the model's optimizer takes: its gradient accumulation, otherwise 1."""
    return of(model).batches_per_step(model)


def averages_weights(model: Any) -> bool:
    """Returns whether the optimizer replaces the weights by moving averages at the end of `fit`."""
    return of(model).averages_weights(model)


def accept_restored(model: Any) -> None:
    """Lets the masks follow weights that another callback has restored from an earlier epoch.

    In tf_keras masks are weights of the model and restored with the others; in Keras 3 they are not, so a removed
    weight that came back is one that its mask keeps again. Callers then say what sparsity is left.
    """
    of(model).accept_restored(model)


def gradients_made(model: Any) -> int:
    """Returns the gradients that the optimizer of `steps_made` has been given: one or more for a step."""
    return of(model).gradients_made(model)


def uncount_gradients(model: Any, number: int) -> None:
    """Takes gradients that were counted but not computed off the count of the optimizer of `steps_made`."""
    of(model).uncount_gradients(model, whole_number("number", number, least=0))


def mask_updates(model: Any) -> MaskUpdates:
    """Returns the kinds of mask updates for a model."""
    return of(model).updates


def fit_state(model: Any, name: str, values: Mapping[str, ArrayLike]) -> FitState:
    """Adds state of a callback to the model's checkpoints until the present `fit` ends.

    Args:
      model: The model that is trained.
      name: Name of the callback.
      values: Name -> value of each variable at the beginning, of any shape.
    """
    return of(model).fit_state(model, name, values)


def install(model: Any, penalty: PenaltySchedule | None = None, **options: Any) -> Any:
    """Puts the hook on the model's optimizer, replacing any other, and has the train function traced again.

    Masks and tickets are read now: install again after either changes, unless `updates` or `always_mask` are given and
    only masks change.

    Args:
      model: Wrapped and compiled.
      penalty: lambda over the steps of this optimizer, or None.
      **options: `block_loss_grad`, `updates` and `always_mask` of `StepHook`.

    Returns:
      The hook.
    """
    return of(model).install(model, penalty, **options)


def installed(model: Any) -> Any:
    """Returns the hook on the model's optimizer, or None."""
    return of(model).installed(model)


def uninstall(model: Any) -> None:
    """Removes the hook from the model's optimizer, if there is one; the next `fit` is traced without it."""
    of(model).uninstall(model)


def scope(model: Any) -> contextlib.AbstractContextManager[Any]:
    """Returns the scope in which variables of the model's distribution strategy are created."""
    return of(model).scope(model)


def steps_per_execution(model: Any) -> int:
    """Returns the optimizer steps per call into the backend, as compiled.

    Raises:
      BadInput: If Keras tunes the number itself.
    """
    return of(model).steps_per_execution(model)


def set_steps_per_execution(model: Any, steps: int) -> None:
    """Changes the optimizer steps of the next call into the backend; has an effect only between two executions."""
    of(model).set_steps_per_execution(model, whole_number("steps", steps, least=1))


def check_removed(model: Any) -> None:
    """Checks that every weight that the masks remove is zero.

    Raises:
      RuntimeError: If one is not; the message names the tensor.
    """
    for name, entry in prunable_weights(model).items():
        weight, kept = entry.weight.numpy(), entry.kept()
        if observed := not_zero(weight, kept):
            what = "NaN" if np.isnan(weight[~kept]).any() else "not zero"
            raise RuntimeError(
                f"removed weights of {name} are {what}: something outside the optimizer's step may have changed them, "
                f"such as a constraint, an assignment or another optimizer ({observed})"
            )
