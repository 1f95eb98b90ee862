"""The order in which the runs of a sweep begin: the longest first, so that no long one is left for a single worker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlth_tf import data
from dlth_tf.errors import BadInput
from dlth_tf.methods import METHODS, Phase
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.plan import make_phases, make_recipe

NOMINAL = 10_000  # training examples of a data set whose size is not known before it is read


def longest_first(todo: Sequence[RunConfig]) -> list[RunConfig]:
    """Returns the configurations by the images that their phases train on, most first; equal ones keep their order.

    Of several runs that begin with the same training, the first counts in full, and the others without it: they begin
    later, when it is there.

    Args:
      todo: Configurations of one sweep, which have the network and the data in common.
    """
    plans = [(config, _phases(config)) for config in todo]
    costs: dict[int, float] = {}
    begun: set[Any] = set()
    for config, phases in sorted(plans, key=lambda plan: -_cost(*plan)):
        start = shared_start(config, phases[0]) if phases else None
        costs[id(config)] = _cost(config, phases[1:] if start in begun else phases)
        begun |= {start} - {None}
    return sorted(todo, key=lambda config: -costs[id(config)])


def shared_start(config: RunConfig, first: Phase) -> Any:
    """Returns a key of the training that a run begins with; None if it is not shared with other runs of its sweep.

    Args:
      config: Configuration of the run.
      first: Its first phase.
    """
    if not config.shared_dir or not first.shareable or METHODS.load(config.method).narrows:
        return None
    return config.seed, config.model_args, first.name, first.steps, first.batch_size, first.learning_rate


def _phases(config: RunConfig) -> Sequence[Phase]:
    """Returns the phases of a run; none if it will be refused once the size of its data is known."""
    try:
        return make_phases(config.method, make_recipe(config, data.known_examples(config.dataset) or NOMINAL))
    except BadInput:
        return ()


def _cost(config: RunConfig, phases: Sequence[Phase]) -> float:
    """Returns the images of phases, each as a share of the work that it is in the whole network."""
    images = sum(phase.steps * phase.batch_size for phase in phases)
    return images * (1 - config.sparsity if METHODS.load(config.method).narrows else 1)
