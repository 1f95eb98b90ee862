"""Hooks on all optimizers of a model: put on, seen to work in the first step, counted and taken off."""

from __future__ import annotations

import abc
import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from dlth_tf.core import PenaltySchedule
from dlth_tf.errors import BadInput
from dlth_tf.masking.fit_session import begin_fit, in_fit
from dlth_tf.masking.prunable import PrunableWeight
from dlth_tf.masking.stripping import check_no_addition

HOOKS = "_dlth_tf_hooks"
STEPPED: WeakKeyDictionary[Any, list[Any]] = WeakKeyDictionary()  # model -> what `Hooks.stepping` was at last
log = logging.getLogger("dlth_tf")


class OptimizerHook(Protocol):
    """The hook on one optimizer.

    Attributes:
      optimizer: The optimizer.
      targets: Its key of every prunable weight -> what is done to that weight.
      updates: Key -> replacement of the step of that variable.
      stepped: Keys of the variables that the optimizer has been seen to update.
    """

    optimizer: Any
    targets: dict[Any, Any]
    updates: dict[Any, Any]
    stepped: set[Any]

    def key(self, variable: Any) -> Any:
        """Returns the optimizer's key of a variable."""

    def uninstall(self) -> None:
        """Gives the optimizer its own update step back."""


class HookInstaller(abc.ABC):
    """Puts hooks on the optimizers of a model; the methods without a body are what differs between the Kerases."""

    @abc.abstractmethod
    def inner_optimizer(self, model: Any) -> Any:
        """Returns the optimizer that updates the weights (the one inside a LossScaleOptimizer).

        Raises:
          BadInput: If the model is not compiled, or the optimizer's update step cannot carry the hook.
        """

    @abc.abstractmethod
    def updating(self, value: Any) -> list[Any]:
        """Returns the optimizers that really update weights: a value, or those inside it; none if it is no optimizer.

        An optimizer that cannot carry the hook is left out.
        """

    @abc.abstractmethod
    def submodels(self, model: Any) -> list[Any]:
        """Returns the models inside a model."""

    @abc.abstractmethod
    def prunable_weights(self, model: Any) -> dict[str, PrunableWeight]:
        """Returns the prunable weights by name."""

    @abc.abstractmethod
    def holds(self, optimizer: Any, weight: Any) -> bool:
        """Returns whether an optimizer has slots for a weight."""

    @abc.abstractmethod
    def gradients(self, optimizer: Any) -> int:
        """Returns the number of gradients that an optimizer has been given."""

    @abc.abstractmethod
    def set_gradients(self, optimizer: Any, number: int) -> None:
        """Sets the number of gradients that an optimizer has been given."""

    @abc.abstractmethod
    def iterations(self, optimizer: Any) -> int:
        """Returns the number of steps that an optimizer has made."""

    @abc.abstractmethod
    def set_iterations(self, optimizer: Any, steps: int) -> None:
        """Sets the number of steps that an optimizer has made."""

    @abc.abstractmethod
    def sync(self, model: Any) -> None:
        """Lets the model's variables have their present values."""

    @abc.abstractmethod
    def scope(self, model: Any) -> AbstractContextManager[Any]:
        """Returns the scope in which variables of the model's strategy are created."""

    @abc.abstractmethod
    def prepare(self, model: Any, undo: ExitStack) -> None:
        """Does what has to be done before hooks are put on; `undo` is unwound when they are gone."""

    @abc.abstractmethod
    def hook(
        self, entries: Sequence[PrunableWeight], optimizer: Any, penalty: PenaltySchedule | None, **options: Any
    ) -> OptimizerHook:
        """Puts the hook on one optimizer."""

    @abc.abstractmethod
    def made_step(self, model: Any) -> Any:
        """Makes the model's training step anew, and returns it."""

    @abc.abstractmethod
    def first_step_shows_all(self, model: Any, hooks: Sequence[OptimizerHook]) -> bool:
        """Returns whether every weight that training updates is seen in the first step."""

    def optimizers_of(self, model: Any, nested: bool = True) -> list[Any]:
        """Returns the model's optimizer, and those that it or a nested model holds in other attributes, each once.

        Args:
          model: Compiled.
          nested: Whether those of nested models are among them.

        Raises:
          BadInput: As `inner_optimizer`.
        """
        found = [self.inner_optimizer(model)]

        def collect(value: Any) -> None:
            if isinstance(value, list | tuple):
                for item in value:
                    collect(item)
            elif isinstance(value, dict):
                collect(list(value.values()))
            else:
                found.extend(each for each in self.updating(value) if not any(each is other for other in found))

        collect(model.optimizer)
        for holder in [model, *(self.submodels(model) if nested else ())]:
            for value in list(vars(holder).values()):
                collect(value)
        return found

    def steps_made(self, model: Any) -> int:
        """Returns the steps of the optimizer that updates the prunable weights; of several, those of the slowest."""
        self.sync(model)
        return self.iterations(self._counting(model))

    def gradients_made(self, model: Any) -> int:
        """Returns the gradients that the optimizer of `steps_made` has been given: one or more for a step."""
        self.sync(model)
        return self.gradients(self._counting(model))

    def uncount_gradients(self, model: Any, number: int) -> None:
        """Takes gradients that were counted but not computed off the count of the optimizer of `steps_made`."""
        self.set_gradients(self._counting(model), self.gradients_made(model) - number)

    def _counting(self, model: Any) -> Any:
        """The slowest optimizer seen to update prunable weights; before the first step the model's furthest with slots.

        A nested model that was trained before still has the optimizer of that training, which says nothing about this
        one: it counts once it has been seen, and then also after the hooks are gone.
        """
        hooks = hooks_of(model)
        if used := hooks.stepping() if hooks else []:
            return min(used, key=self.iterations)
        if used := STEPPED.get(model, []):
            present = {id(each) for each in self.optimizers_of(model)}
            if all(id(each) in present for each in used):
                return min(used, key=self.iterations)
        first, *others = self.optimizers_of(model, nested=False)
        if not others:
            return first
        weights = [entry.weight for entry in self.prunable_weights(model).values()]
        ready = [each for each in (first, *others) if any(self.holds(each, weight) for weight in weights)]
        return max(ready or [first], key=self.iterations)

    def installed(self, model: Any) -> Any:
        """Returns the hook on the model's optimizer, or None."""
        hooks = hooks_of(model)
        inner = self.updating(getattr(model, "optimizer", None)) if hooks else []
        return hooks.each[0] if hooks and inner and hooks.each[0].optimizer is inner[0] else None

    def install(self, model: Any, penalty: PenaltySchedule | None = None, **options: Any) -> Any:
        """Puts the hook on the model's optimizers, replacing any other, and has the training step made anew.

        Masks and tickets are read now: install again after either changes, unless `updates` or `always_mask` of
        `StepHook` are given and only masks change. A hook that a callback installs ends with its `fit`; otherwise
        `uninstall` ends it.

        Returns:
          The hook on the model's own optimizer.
        """
        self.sync(model)
        optimizers = self.optimizers_of(model)
        entries = self.prunable_weights(model)  # raises before anything changes
        for entry in entries.values():
            check_no_addition(model, entry)
        self.uninstall(model)
        hooks = Hooks(self, entries, penalty, options.get("always_mask", False))
        self.prepare(model, hooks.undo)
        if penalty is not None or options.get("updates") or options.get("always_mask"):
            known = [*self.optimizers_of(model, nested=False), *STEPPED.get(model, [])]
            unknown = [each for each in optimizers if not any(each is other for other in known)]
            hooks.past = {id(each): self.iterations(each) for each in unknown}
        with self.scope(model):
            hooks.each = [self.hook(list(entries.values()), each, penalty, **options) for each in optimizers]
        hooks.watch_first_step(model)
        if in_fit(model):
            begin_fit(model).callback(self.uninstall, model)
        return hooks.each[0]

    def uninstall(self, model: Any) -> None:
        """Removes the hooks from the model's optimizers, if there are any; the next `fit` is made without them."""
        self.sync(model)
        hooks = vars(model).pop(HOOKS, None)
        if hooks is not None:
            if used := hooks.stepping():
                STEPPED[model] = used
            for hook in hooks.each:
                hook.uninstall()
            hooks.undo.close()
            model.train_function = None


def hooks_of(model: Any) -> Hooks | None:
    """Returns the hooks of a model, or None."""
    return vars(model).get(HOOKS)


class Hooks:
    """The hooks of one model: on its own optimizer, and on the others that it holds (a GAN has two).

    Args:
      installer: What puts them on.
      entries: The prunable weights.
      penalty: As in `StepHook`.
      always_mask: As in `StepHook`.
    """

    def __init__(
        self,
        installer: HookInstaller,
        entries: Mapping[str, PrunableWeight],
        penalty: PenaltySchedule | None,
        always_mask: bool,
    ) -> None:
        self.installer = installer
        self.entries = entries
        self.each: list[Any] = []  # the first is on the model's own optimizer
        self.undo = ExitStack()
        self.past: dict[int, int] = {}  # steps of optimizers of nested models, by id, where steps count
        # Noted now: during a `fit` on JAX the model does not have its state.
        self._squeezed = {name for name, entry in entries.items() if penalty and not entry.chosen().all()}
        self._removed = {name for name, entry in entries.items() if always_mask or not entry.kept().all()}

    def stepping(self) -> list[Any]:
        """Returns the optimizers that have been seen to update prunable weights."""
        return [hook.optimizer for hook in self.each if hook.stepped & hook.targets.keys()]

    def watch_first_step(self, model: Any) -> None:
        """Has the training step made anew, and the weights checked that its first call updates."""
        vars(model)[HOOKS] = self
        step = self.installer.made_step(model)

        def first_step(*args: Any) -> Any:
            result = step(*args)
            if model.train_function is first_step:
                model.train_function = step
            self.check_stepped(model)
            return result

        model.train_function = first_step

    def check_stepped(self, model: Any) -> None:
        """Says so if no optimizer has updated a weight that is to be squeezed or to stay removed.

        Raises:
          BadInput: If the optimizer of a nested model makes the steps that were to be counted from 0.
          RuntimeError: If a weight is to be squeezed that was not updated.
        """
        if steps := max((self.past.get(id(optimizer), 0) for optimizer in self.stepping()), default=0):
            allowed = "is that of a nested model, whose steps count from the first on: compile that model again too"
            raise BadInput("optimizer", f"{steps} steps old", allowed)
        if not self.installer.first_step_shows_all(model, self.each):
            return
        missed: dict[str, list[str]] = {"squeezed": [], "kept removed": []}
        for name, entry in self.entries.items():
            keys = [(hook, hook.key(entry.weight)) for hook in self.each]
            if entry.frozen or any(key in hook.stepped for hook, key in keys):
                continue
            if name in self._squeezed:
                missed["squeezed"].append(name)
            elif name in self._removed or any(key in hook.updates for hook, key in keys):
                missed["kept removed"].append(name)
        reason = (
            "no optimizer of the model has updated {names} in the first step, so it cannot be {what}: train with "
            "model.optimizer or an optimizer that is an attribute of the model, and use every layer in the loss"
        )
        for what, names in missed.items():
            if names and what == "squeezed":
                raise RuntimeError(reason.format(names=", ".join(names), what=what))
            if names:
                log.warning(reason.format(names=", ".join(names), what=what))
