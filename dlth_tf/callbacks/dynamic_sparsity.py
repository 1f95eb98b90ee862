"""DynamicSparsity: SET and RigL inside `fit`."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np

from dlth_tf import masking
from dlth_tf.callbacks.mask_updating import MaskUpdating
from dlth_tf.core import drop_fraction
from dlth_tf.core.pruning_spec import exchangeable
from dlth_tf.errors import BadInput
from dlth_tf.masking.exchange_times import ExchangeTimes
from dlth_tf.masking.graph_groups import GraphGroups
from dlth_tf.masking.prunable import PrunableWeight
from dlth_tf.plain_numbers import Interval, real_number, whole_number, whole_or_none
from dlth_tf.randomness import stateless_seed

log = logging.getLogger("dlth_tf")
GROWTH = ("gradient", "random")
STOP = 0.75  # of the training: Evci et al., ICML 2020, section 3


class DynamicSparsity(MaskUpdating):
    """Exchanges weights while a sparse network trains: drops the smallest and grows as many elsewhere.

    Every `every` steps up to `stop`, in each tensor, k = int(f(t) * active) groups of smallest |w| are dropped and k of
    those that are not kept grow, with f(t) = fraction / 2 * (1 + cos(pi t / stop)). `grow="gradient"` takes the largest
    |gradient| (RigL, Evci et al., ICML 2020, arXiv:1911.11134), `grow="random"` random ones (SET, Mocanu et al., Nature
    Communications 2018). Grown weights start at zero with zero optimizer slots; a step that exchanges weights updates
    nothing else (except Keras' decoupled weight decay, of AdamW for one, which acts before every step). The number of
    weights of every tensor never changes.

    Args:
      grow: "gradient" or "random".
      seed: Seed of random growth; with `jit_compile` XLA draws other numbers from it.
      fraction: Fraction of the active weights that the first update exchanges; above 0, at most 1.
      every: Optimizer steps from one update to the next.
      stop: Updates end before this optimizer step; None: after three quarters of this `fit`.
      granularity: Groups that are exchanged as one piece: the granularity of the ticket in the model.

    Raises:
      BadInput: At construction for an invalid value; at the start of `fit` if nothing is removed yet (put
        `RandomMask(remove=True)` before it), or `stop` is not given and the length of the data is unknown.

    Example:
      ```python
      model.fit(data, callbacks=[RandomMask(.9, remove=True), DynamicSparsity(grow="gradient")])
      ```
    """

    def __init__(
        self,
        grow: str = "gradient",
        *,
        seed: int = 0,
        fraction: float = 0.3,
        every: int = 100,
        stop: int | None = None,
        granularity: str = "weight",
    ) -> None:
        super().__init__()
        if grow not in GROWTH:
            raise BadInput("grow", grow, f"must be one of {', '.join(GROWTH)}")
        self.granularity = exchangeable(granularity, "DynamicSparsity")
        self.grow = grow
        self.seed = whole_number("seed", seed)
        self.fraction = real_number("fraction", fraction, Interval(above=0, most=1))
        self.every = whole_number("every", every, least=1)
        self.stop = whole_or_none("stop", stop, least=1)
        self._planned: list[int] = []
        self._wanted: dict[str, int] = {}

    def updates(self) -> list[masking.MaskUpdate]:
        """Returns a `DropAndGrow` for every weight of which something is removed."""
        start, stop = self._span()
        entries = [e for e in masking.prunable_weights(self.model).values() if not (e.kept().all() or e.frozen)]
        if not entries:
            allowed = "has no removed weights to exchange: put RandomMask(remove=True) before DynamicSparsity"
            raise BadInput("model", self.model.name, allowed)
        steps = range(self.every, stop - start, self.every)
        if not steps:
            log.warning(
                "no mask update will happen: the first is due at step %d, after the last allowed step %d",
                start + self.every,
                stop,
            )
        self._planned = [start + step for step in steps]
        self._wanted = {entry.name: int(entry.kept().sum()) for entry in entries}
        fractions = [drop_fraction(step, stop - start, self.fraction) for step in steps]
        return [self._update(entry, fractions, start) for entry in entries]

    def _span(self) -> tuple[int, int]:
        """Optimizer steps from which exchanges are counted and before which they end."""
        if self.stop is not None:
            return 0, self.stop
        end = self.end_of_fit()
        if end is None:
            raise BadInput("stop", None, "must be given in steps, since the length of the data is unknown")
        return self._start, self._start + int(STOP * (end - self._start))

    def wanted(self) -> Mapping[str, int]:
        """Returns how many weights of each tensor are active."""
        return self._wanted

    def on_fit_end(self) -> None:
        """Also says how many exchanges were made, if not all."""
        super().on_fit_end()
        made = sum(step < self._steps for step in self._planned)
        if made < len(self._planned):
            log.warning(
                "DynamicSparsity: training ended after %d optimizer steps, with %d of %d exchanges made; the last was "
                "due at step %d: train on, or pass an earlier stop",
                self._steps,
                made,
                len(self._planned),
                self._planned[-1],
            )

    def _update(self, entry: PrunableWeight, fractions: list[float], start: int) -> masking.MaskUpdate:
        kinds = masking.mask_updates(self.model)
        groups = GraphGroups(entry, self.granularity, kinds.ops)
        active = groups.kept(entry)
        dropped = np.array([int(fraction * active) for fraction in fractions], np.int32)
        seed = stateless_seed(self.seed, "growth", entry.name) if self.grow == "random" else None
        return kinds.DropAndGrow(entry, groups, ExchangeTimes(self.every, len(dropped), start), dropped, seed)
