"""The protocol that the adapter for one version of Keras fulfills."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from dlth_tf.core import PenaltySchedule
from dlth_tf.masking.prunable import PrunableWeight
from dlth_tf.masking.structure.channel_graph import ChannelGraph


class FitState(Protocol):
    """State of a callback that is part of the model's checkpoints while its `fit` lasts."""

    @property
    def restored(self) -> bool:
        """Returns whether it comes from a checkpoint of an interrupted `fit`, or its first epoch has begun."""

    def begin(self) -> None:
        """Notes that the first epoch has begun."""

    def __getitem__(self, name: str) -> np.ndarray: ...

    def __setitem__(self, name: str, value: Any) -> None: ...

    def variable(self, name: str) -> Any:
        """Returns a variable of the state."""


class MaskUpdate(Protocol):
    """Replaces the optimizer step of one variable.

    Every update happens inside the graph, at steps and with counts from tables that were computed on the host, so there
    is no Python per batch and the results do not depend on `steps_per_execution` or the number of replicas.
    """

    variable: Any

    def densities(self, first: int, last: int) -> tuple[float, float]:
        """Returns mean densities over the steps first <= t < last: of the weight, and of the gradient it needs."""


class MaskUpdates(Protocol):
    """The kinds of mask updates of an adapter, and the operations that their groups are made with.

    Attributes:
      ops: Operations of the backend, for `GraphGroups`.
      GradualMask: Gradual pruning, from (entry, groups, begin, every, kept).
      DropAndGrow: Dynamic sparse training, from (entry, groups, times, dropped, seed).
      TopK: Top-k straight-through, from (entry, groups, kept, whole).
      SignPenalty: An L1 penalty, from (variable, strength).
      polynomial_decay: tf-mot's schedule, from (sparsity, begin, end, step) to the sparsity at that step.
    """

    ops: Any
    GradualMask: Callable[..., Any]
    DropAndGrow: Callable[..., Any]
    TopK: Callable[..., Any]
    SignPenalty: Callable[..., Any]
    polynomial_decay: Callable[[float, int, int, int], float]


class World(Protocol):
    """The operations that an adapter for one version of Keras provides; see the functions of this module."""

    updates: MaskUpdates
    CAN_BE_PRUNED: str  # what the layer table says of a layer without masks
    IN_TENSORFLOW: bool  # whether the model computes with TensorFlow
    EXECUTION_CHANGES: bool  # whether the steps of one execution may change within a `fit`

    def prepare(self, model: Any) -> None:
        """Lets files that are read from here on restore masks, tickets and the state of callbacks."""

    def wrap(self, model: Any, *, skip: str | Sequence[str] = (), only: str | Sequence[str] = ()) -> Any:
        """Makes a model maskable."""

    def strip(self, model: Any) -> Any:
        """Returns the ordinary model inside a wrapped one."""

    def stripped_copy(self, model: Any) -> Any:
        """Returns what `strip` would, and leaves the wrapped model as it is."""

    def leaf_layers(self, model: Any) -> Iterator[Any]:
        """Yields every layer of a model and of nested models."""

    def inner_layer(self, layer: Any) -> Any:
        """Returns the layer inside a wrapper, or the layer itself."""

    def has_masks(self, model: Any) -> bool:
        """Returns whether a model has masks and tickets."""

    def why_dense(self, layer: Any) -> str | None:
        """Returns why a layer cannot be pruned, or None if it can."""

    def is_batch_norm(self, layer: Any) -> bool:
        """Returns whether a layer is a batch normalization."""

    def channel_graph(self, model: Any) -> ChannelGraph:
        """Builds the graph of layers."""

    def prunable_weights(self, model: Any) -> dict[str, PrunableWeight]:
        """Returns the prunable weights by name."""

    def named_weights(self, model: Any) -> dict[str, Any]:
        """Returns every weight of the network by name."""

    def weights_on_paths(self, model: Any, masks: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
        """Returns which kept weights lie on a path from the input to the output; None if that is not known."""

    def inner_optimizer(self, model: Any) -> Any:
        """Returns the optimizer that updates the weights."""

    def optimizers_of(self, model: Any) -> list[Any]:
        """Returns the model's optimizer and the others that it holds."""

    def steps_made(self, model: Any) -> int:
        """Returns the steps of the optimizer that updates the prunable weights."""

    def set_iterations(self, optimizer: Any, steps: int) -> None:
        """Sets the number of steps that an optimizer has made."""

    def gradients_made(self, model: Any) -> int:
        """Returns the gradients that the optimizer of `steps_made` has been given."""

    def uncount_gradients(self, model: Any, number: int) -> None:
        """Takes gradients that were counted but not computed off the count of the optimizer of `steps_made`."""

    def fit_state(self, model: Any, name: str, values: Mapping[str, ArrayLike]) -> FitState:
        """Adds state of a callback to the model's checkpoints."""

    def batches_per_step(self, model: Any) -> int:
        """Returns how many batches one step of the model's optimizer takes."""

    def averages_weights(self, model: Any) -> bool:
        """Returns whether the optimizer replaces the weights by moving averages at the end of `fit`."""

    def copies_of(self, optimizer: Any) -> list[tuple[Any, Any]]:
        """Returns the variables of an unused optimizer that begin as the weights, each with its weight."""

    def accept_restored(self, model: Any) -> None:
        """Lets the masks follow weights that another callback has restored."""

    def state_of(self, optimizer: Any) -> list[Any]:
        """Returns the variables of an optimizer except its step count and its learning rate."""

    def install(self, model: Any, penalty: PenaltySchedule | None = None, **options: Any) -> Any:
        """Puts the hook on the model's optimizer."""

    def installed(self, model: Any) -> Any:
        """Returns the hook on the model's optimizer, or None."""

    def uninstall(self, model: Any) -> None:
        """Removes the hook from the model's optimizer."""

    def scope(self, model: Any) -> contextlib.AbstractContextManager[Any]:
        """Returns the scope in which variables of the model's strategy are created."""

    def execution_ends_with_epoch(self, model: Any) -> bool:
        """Returns whether the last execution of an epoch ends with it in the `fit` that calls now."""

    def steps_per_execution(self, model: Any) -> int:
        """Returns the optimizer steps per call into the backend."""

    def set_steps_per_execution(self, model: Any, steps: int) -> None:
        """Changes the optimizer steps of the next call into the backend."""
