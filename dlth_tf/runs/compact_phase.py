"""A phase that trains the compact network (--finetune=compact), and the way of its weights back to their places."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tf_keras

from dlth_tf import masking
from dlth_tf.deploy.compaction import Places, compact_by_masks
from dlth_tf.errors import BadInput
from dlth_tf.masking.keras2.execution import random_states
from dlth_tf.masking.keras2.graph import is_graph_network
from dlth_tf.methods import Phase
from dlth_tf.runs.config_checks import COMPACT
from dlth_tf.runs.evaluation import Evaluator
from dlth_tf.runs.training_run import Run

log = logging.getLogger("dlth_tf")


class CompactNetwork:
    """The network without what its masks remove, which a phase trains in the place of the whole one.

    It is a function of masks and weights of the whole network, so that a checkpoint holds the whole network as ever,
    with the weights of this one in their places.

    Args:
      whole: The wrapped model.
      small: The compact model, not wrapped.
      places: The places of its weights in the whole model.
    """

    def __init__(self, whole: tf_keras.Model, small: tf_keras.Model, places: Places) -> None:
        self.whole = whole
        self.model = masking.wrap(small)
        self.places = places
        self._generators = list(zip(random_states(self.model), random_states(whole), strict=True))
        weights = masking.named_weights(whole)
        self._pairs = [
            (mine, weights[name], places.indices[name]) for name, mine in masking.named_weights(self.model).items()
        ]
        entries = masking.prunable_weights(whole)
        for name, entry in masking.prunable_weights(self.model).items():
            entry.mask.assign(_at(entries[name].mask, places.indices[name]))
            entry.ticket.assign(_at(entries[name].ticket, places.indices[name]))
        self.read()

    @property
    def has_masks(self) -> bool:
        """True if weights are removed from layers that stay."""
        return not all(entry.kept().all() for entry in masking.prunable_weights(self.model).values())

    def read(self) -> None:
        """Takes the weights of the whole network."""
        for mine, whole, index in self._pairs:
            mine.assign(_at(whole, index))
        for state, of_whole in self._generators:
            state.assign(of_whole)

    def write_back(self) -> None:
        """Gives the weights to the whole network; the others there stay what they are."""
        for mine, whole, index in self._pairs:
            values = np.array(whole.numpy())
            values.reshape(-1)[index] = mine.numpy()
            whole.assign(values)
        for state, of_whole in self._generators:
            of_whole.assign(state)

    def silence(self) -> None:
        """Sets biases, offsets and running means of the channels that are taken out to zero in the whole network."""
        weights = masking.named_weights(self.whole)
        for name, silent in self.places.offsets.items():
            weights[name].assign(np.where(silent, 0, weights[name].numpy()))

    def decay(self, factor: float) -> None:
        """Multiplies the trainable weights of the whole network that are not in this one."""
        trained = {id(weight) for weight in self.whole.trainable_weights}
        for _, whole, index in self._pairs:
            if id(whole) in trained and index.size < whole.shape.num_elements():
                values = np.array(whole.numpy())
                others = np.ones(values.size, bool)
                others[index.reshape(-1)] = False
                values.reshape(-1)[others] *= values.dtype.type(factor)
                whole.assign(values)


def _at(variable: Any, index: np.ndarray) -> np.ndarray:
    return variable.numpy().reshape(-1)[index]


def weight_decay_alone(rates: Sequence[float], momentum: float, weight_decay: float) -> float:
    """Returns what the published SGD multiplies a weight by that only weight decay acts on.

    Args:
      rates: Learning rate of every step.
      momentum: mu.
      weight_decay: Coefficient of the coupled L2.

    >>> round(weight_decay_alone([0.1, 0.1], momentum=0.9, weight_decay=0.5), 6)
    0.8575
    """
    weight, velocity = 1.0, 0.0
    for rate in rates:
        velocity = momentum * velocity + weight_decay * weight
        weight -= rate * velocity
    return weight


@contextlib.contextmanager
def compact_phase(run: Run, phase: Phase) -> Iterator[None]:
    """Puts the compact network in the place of the whole one for the steps of a phase, if the run is to do so.

    Args:
      run: The run; its network has been restored, if the phase resumes.
      phase: The phase, after its start actions.
    """
    compact = _compact_network(run, phase) if run.config.finetune == COMPACT and phase.compactable else None
    if compact is None:
        yield
        return
    network = run.network
    evaluate: Callable[[], dict[str, float]] = network.evaluate
    network.compact = compact
    network.evaluate = Evaluator(compact.model, run.inputs.evaluation(), run.config.measure)
    try:
        yield
    finally:
        network.compact = None
        network.evaluate = evaluate
    compact.write_back()
    rates = [phase.learning_rate.at(step) for step in range(phase.steps)]
    compact.decay(weight_decay_alone(rates, network.recipe.momentum, network.recipe.weight_decay))


def _compact_network(run: Run, phase: Phase) -> CompactNetwork | None:
    """Returns the compact network of the present masks; None, with a warning, if it would be the whole one."""
    whole = run.network.model
    small, places = compact_by_masks(
        masking.strip(whole), {name: entry.kept() for name, entry in masking.prunable_weights(whole).items()}
    )
    if places.left == places.whole:
        log.warning(
            "--finetune=compact: nothing can be taken out of the network in phase %s, which trains it with its masks",
            phase.name,
        )
        return None
    compact = CompactNetwork(whole, small, places)
    compact.silence()
    sizes = f"{places.left:,} of {places.whole:,} weights"
    log.info("phase %s trains the compact network, %s", phase.name, sizes)
    return compact


def check_compactable(phases: Sequence[Phase], model: tf_keras.Model) -> None:
    """Checks before a run with --finetune=compact begins that its phases can train the compact network.

    Args:
      phases: The phases of its method; without one that can train a compact network, a warning says so.
      model: The wrapped model.

    Raises:
      BadInput: If a phase would, and the network cannot be built anew from its layers.
    """
    if not any(phase.compactable for phase in phases):
        names = ", ".join(phase.name for phase in phases)
        log.warning("--finetune=compact has no effect: no phase begins after all has been removed (phases: %s)", names)
        return
    reasons = {
        "has no known graph: it must be a Functional or Sequential model": not is_graph_network(model),
        "has a train_step of its own": type(model).train_step is not tf_keras.Model.train_step,
        "has regularizers or losses of its own": bool(model.losses),
    }
    for reason, applies in reasons.items():
        if applies:
            raise BadInput("finetune", COMPACT, f"cannot be used with the model {model.name}, which {reason}")
