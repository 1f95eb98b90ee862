"""The hook in the optimizer's own update, on every backend of Keras 3: the penalty before it, the mask after it.

    g += lambda(step) * (1 - ticket) * w;   the optimizer's own update;   w = where(mask, w, 0)

It stands where gradients are unscaled, accumulated and clipped already, and before moving averages are taken:

    TensorFlow     update_step           per variable, after the sum over replicas
    JAX, PyTorch   _backend_update_step  all variables at once (PyTorch's fused optimizers never call update_step)

What the hook reads are variables of the optimizer, so that JAX gets them as arguments of the compiled step instead of
constants in it. They are gone after `uninstall`, and no file holds them. On TensorFlow, where a compiled step needs no
list of its variables, the optimizer does not even know them: a tracked list that has lost an element makes every later
SavedModel and checkpoint of the model fail.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from keras import ops

from dlth_tf.core import PenaltySchedule
from dlth_tf.masking.keras3.arrays import HostArray
from dlth_tf.masking.keras3.ops import BACKEND, apply_mask, branch, masked, on_host, outside_the_step, penalized
from dlth_tf.masking.protocol import MaskUpdate
from dlth_tf.masking.prunable import PrunableWeight
from dlth_tf.masking.weight_updates import PauseFn

COLLECTIVE = BACKEND != "tensorflow"


class StepUpdate(MaskUpdate, Protocol):
    """A mask update around the step of one variable."""

    pause: PauseFn | None  # from the optimizer to whether no other variable is updated in this step; None: never

    def install(self, hook: StepHook) -> None:
        """Gives the hook's optimizer what the update needs; every optimizer of the model has a hook."""

    def before(self, optimizer: Any, gradient: Any, variable: Any) -> Any:
        """Returns the gradient of the optimizer's step."""

    def after(self, optimizer: Any, variable: Any) -> None:
        """Does what follows the optimizer's step."""

    def instead(self, optimizer: Any, gradient: Any, variable: Any) -> None:
        """Does what a step does in which other variables pause."""


@dataclass
class _Target:
    """Penalty and mask of one weight: `squeeze` is 1 - ticket, `mask` None while nothing of it is removed."""

    entry: PrunableWeight
    squeeze: Any = None
    mask: Any = None


class StepHook:
    """The additions to an optimizer's update of each prunable weight, until `uninstall`.

    Args:
      entries: The prunable weights.
      optimizer: Its update is replaced on the instance.
      penalty: lambda over the steps of this optimizer (`optimizer.iterations`, from 0), or None.
      block_loss_grad: The official option: prunable weights get no gradient of the loss, only of penalty and weight
        decay.
      updates: Replacements of the step of some variables. In a step in which one of them pauses the others, no other
        variable is updated either, as in RigL.
      always_mask: Whether masks that are still whole are applied too, because they will change between two steps.
    """

    def __init__(
        self,
        entries: Iterable[PrunableWeight],
        optimizer: Any,
        penalty: PenaltySchedule | None = None,
        *,
        block_loss_grad: bool = False,
        updates: Iterable[StepUpdate] = (),
        always_mask: bool = False,
    ) -> None:
        self.optimizer = optimizer
        self.penalty = penalty
        self.block_loss_grad = block_loss_grad
        self.always_mask = always_mask
        self.entries = list(entries)
        self.targets: dict[Any, _Target] = {optimizer._var_key(each.weight): _Target(each) for each in self.entries}
        self.updates = {optimizer._var_key(update.variable): update for update in updates}
        self._pauses = list(dict.fromkeys(update.pause for update in self.updates.values() if update.pause))
        self.dtype = self.entries[0].dtype if self.entries else "float32"
        self.stepped: set[Any] = set()  # keys of the variables that the optimizer has been seen to update
        self._own: list[Any] = []
        self._attached: list[HostArray] = []
        self._stock: dict[str, Any] = {}  # the optimizer's own methods
        if optimizer.built:
            self._make_variables()
        else:
            self._replace("build", self._build)
        if COLLECTIVE:
            self._replace("_backend_update_step", self.step_all)
        else:
            self._replace("update_step", self.step_one)
        self._replace("apply", self.apply)
        self._replace("finalize_variable_values", self.finalize)
        self._replace("save_own_variables", self.save)
        self._replace("load_own_variables", self.load)

    def _replace(self, name: str, method: Any) -> None:
        """Puts another method in the place of the optimizer's own."""
        self._stock[name] = getattr(self.optimizer, name)
        setattr(self.optimizer, name, method)

    def _build(self, variables: Sequence[Any]) -> None:
        self._stock["build"](variables)
        with outside_the_step():  # an optimizer that is an attribute of the model may be built in its first step
            self._make_variables()

    def _make_variables(self) -> None:
        own = self.optimizer._trainable_variables_indices
        for key, target in self.targets.items():
            if key not in own:
                continue  # frozen, or updated by another optimizer
            entry = target.entry
            if self.penalty is not None and not entry.chosen().all():
                target.squeeze = self.add(entry.weight, "squeeze", ~entry.chosen())
            if self.always_mask or key in self.updates or not entry.kept().all():
                target.mask = self.attach(entry.weight, "mask", entry.mask)
        for key, update in self.updates.items():
            if key in own:
                update.install(self)

    def add(self, weight: Any, name: str, value: np.ndarray) -> Any:
        """Returns a new variable of the optimizer, of the weight's shape and dtype."""

        def initial(shape: Any, dtype: Any = None) -> Any:
            return ops.convert_to_tensor(np.asarray(value).astype("float32"), dtype)

        with contextlib.nullcontext() if COLLECTIVE else _untracked(self.optimizer):
            made = self.optimizer.add_variable_from_reference(weight, name=f"dlth_{name}", initializer=initial)
        self._own.append(made)
        return made

    def attach(self, weight: Any, name: str, array: HostArray) -> Any:
        """Returns the variable in which an array lives while the hook is on.

        It is one of this optimizer, unless the hook of another one came first (that of the model's own optimizer does).
        """
        if array.variable is not None:
            return array.variable
        made = self.add(weight, name, np.zeros(array.shape, bool))
        array.attach(made)
        self._attached.append(array)
        return made

    def key(self, variable: Any) -> Any:
        """Returns the optimizer's key of a variable."""
        return self.optimizer._var_key(variable)

    # The step.

    def step_one(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates one variable (TensorFlow)."""

        def step(gradients: list[Any], variables: list[Any]) -> None:
            self._stock["update_step"](gradients[0], variables[0], learning_rate)

        self._step(step, [gradient], [variable])

    def step_all(self, gradients: list[Any], variables: list[Any], learning_rate: Any) -> None:
        """Updates all variables (JAX, PyTorch)."""
        self._step(
            lambda new, each: self._stock["_backend_update_step"](new, each, learning_rate), gradients, variables
        )

    def _step(self, step: Callable[[list[Any], list[Any]], None], gradients: list[Any], variables: list[Any]) -> None:
        keys = [self.optimizer._var_key(variable) for variable in variables]
        self.stepped.update(keys)
        both = list(zip(keys, gradients, variables, strict=True))

        def ordinary() -> None:
            strength = None if self.penalty is None else on_host(self.strength(self.dtype))
            step([self._before(*each, strength) for each in both], variables)
            for key, _, variable in both:
                self._after(key, variable)

        def exchange() -> None:
            for key, gradient, variable in both:
                if key in self.updates:
                    self.updates[key].instead(self.optimizer, gradient, variable)

        if not self._pauses:
            ordinary()
            return
        paused = functools.reduce(ops.logical_or, [pause(self.optimizer) for pause in self._pauses])
        branch(paused, exchange, ordinary, [*self.optimizer.variables, *variables])

    def _before(self, key: Any, gradient: Any, variable: Any, strength: Any) -> Any:
        if key in self.updates:
            return self.updates[key].before(self.optimizer, gradient, variable)
        target = self.targets.get(key)
        if target is None:
            return gradient
        if self.block_loss_grad:
            gradient = ops.zeros_like(ops.convert_to_tensor(gradient))
        if target.squeeze is None:
            return gradient
        return penalized(gradient, strength, target.squeeze, variable)

    def _after(self, key: Any, variable: Any) -> None:
        if key in self.updates:
            self.updates[key].after(self.optimizer, variable)
            return
        target = self.targets.get(key)
        if target is not None and target.mask is not None:
            apply_mask(self.optimizer, variable, target.mask)

    def strength(self, dtype: Any, step: Any = None) -> Any:
        """lambda at `step`, by default the optimizer's present one, as a scalar of `dtype`.

        Raises:
          ValueError: If the hook has no penalty.
        """
        if self.penalty is None:
            raise ValueError("this hook has no penalty")
        step = self.optimizer.iterations if step is None else step
        values = ops.convert_to_tensor(self.penalty.values)
        stair = ops.minimum(ops.cast(step, "int32") // self.penalty.every, len(self.penalty.values) - 1)
        return ops.cast(ops.take(values, stair), dtype)

    # What Keras does to the weights besides the step.

    def apply(self, gradients: Any, trainable_variables: Any = None) -> Any:
        """Applies gradients; then the masks to moving averages, and again where Keras constrains or overwrites weights.

        Averages are masked here, since SwapEMAWeights has them evaluated and saved in place of the weights.
        """
        result = self._stock["apply"](gradients, trainable_variables)
        self._mask_averages()
        averaged = self.optimizer.use_ema and self.optimizer.ema_overwrite_frequency
        self._mask_again(
            [each for each in self.targets.values() if averaged or each.entry.weight.constraint is not None]
        )
        return result

    def finalize(self, variables: Any) -> None:
        """Lets Keras write moving averages at the end of `fit`; then applies the masks again."""
        self._stock["finalize_variable_values"](variables)
        if self.optimizer.use_ema:
            self._mask_again(self.targets.values())

    def _mask_averages(self) -> None:
        for key, target in self.targets.items() if self.optimizer.use_ema else ():
            if target.mask is not None:
                average = self.optimizer._model_variables_moving_average[
                    self.optimizer._trainable_variables_indices[key]
                ]
                average.assign(masked(average, target.mask))

    def _mask_again(self, targets: Iterable[_Target]) -> None:
        for target in targets:
            if target.mask is not None:
                target.entry.weight.assign(masked(target.entry.weight, target.mask))

    # Files: an optimizer is saved and restored without the hook's variables.

    def _stock_variables(self) -> list[Any]:
        own = {id(variable) for variable in self._own}
        return [variable for variable in self.optimizer.variables if id(variable) not in own]

    def save(self, store: Any) -> None:
        """Writes what is the optimizer's own."""
        for number, variable in enumerate(self._stock_variables()):
            store[str(number)] = variable.numpy()

    def load(self, store: Any) -> None:
        """Reads what is the optimizer's own; a file of another optimizer is refused by Keras' own rule and words."""
        variables = self._stock_variables()
        if len(store.keys()) != len(variables):
            self._stock["load_own_variables"](store)
            return
        for number, variable in enumerate(variables):
            variable.assign(store[str(number)])

    def uninstall(self) -> None:
        """Gives the optimizer its own methods and variables back."""
        for array in self._attached:
            array.detach()
        for name in self._stock:
            delattr(self.optimizer, name)
        for variable in self._own if COLLECTIVE else ():
            self.optimizer._untrack_variable(variable)


@contextlib.contextmanager
def _untracked(optimizer: Any) -> Iterator[None]:
    """Lets an optimizer make variables that are not in its list."""
    optimizer._track_variable = lambda variable: None
    try:
        yield
    finally:
        del optimizer._track_variable
