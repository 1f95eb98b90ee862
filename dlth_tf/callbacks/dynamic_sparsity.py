"""DynamicSparsity: SET and RigL inside `fit`."""

from __future__ import annotations

import logging

import numpy as np

from dlth_tf import masking
from dlth_tf.callbacks.mask_updating import ChangingMask, positive
from dlth_tf.core import drop_fraction
from dlth_tf.errors import BadInput
from dlth_tf.masking.changing import DropAndGrow, MaskUpdate
from dlth_tf.masking.graph_groups import GraphGroups
from dlth_tf.randomness import stateless_seed

GROWTH = ("gradient", "random")
STOP = 0.75  # of the training: Evci et al., ICML 2020, section 3


class DynamicSparsity(ChangingMask):
    """Exchanges weights while a sparse network trains: the smallest are dropped, as many grow elsewhere.

    Every `every` steps up to `stop`, in each tensor, k = int(f(t) * active) groups of smallest |w| are dropped and k of
    those that are not kept grow, with f(t) = fraction / 2 * (1 + cos(pi t / stop)). `grow="gradient"` takes the largest
    |gradient| (RigL, Evci et al., ICML 2020, arXiv:1911.11134), `grow="random"` any (SET, Mocanu et al., Nature
    Communications 2018). Grown weights start at zero with zero optimizer slots; a step that exchanges updates nothing else
    (but Keras' decoupled weight decay, of AdamW for one, acts before every step). The number of weights of every tensor
    never changes. `core.drop_and_grow` is the same in NumPy.

    Args:
      grow: "gradient" or "random".
      seed: of random growth; with `jit_compile` XLA draws other numbers from it.
      fraction: of the active weights, exchanged at the first time; above 0, at most 1.
      every: optimizer steps from one exchange to the next.
      stop: exchanges end before this optimizer step; None: after three quarters of this `fit`.
      granularity: what is exchanged as one piece: the granularity of the ticket that is there.

    Raises:
      BadInput: at construction for a value out of range; at the start of `fit` when nothing is removed yet (put
        `RandomMask(remove=True)` before it), or `stop` is not given and the data's length is unknown.

    Example:
      model.fit(data, callbacks=[RandomMask(.9, remove=True), DynamicSparsity(grow="gradient")])
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
        if not 0 < fraction <= 1:
            raise BadInput("fraction", fraction, "must be above 0 and at most 1")
        self.grow, self.seed, self.fraction, self.every = grow, seed, fraction, positive("every", every)
        self.stop, self.granularity = stop if stop is None else positive("stop", stop), granularity

    def changes(self) -> list[MaskUpdate]:
        """See ChangingMask."""
        stop = self.stop or int(STOP * self._known_length())
        entries = [entry for entry in masking.prunable_weights(self.model).values() if not entry.kept().all()]
        if not entries:
            raise BadInput(
                "model",
                self.model.name,
                "has nothing removed that could be exchanged: put RandomMask(remove=True) before DynamicSparsity",
            )
        if self.every >= stop:
            logging.getLogger("dlth_tf").warning(
                "no weight is exchanged: the first time would be step %d, and they end at %d", self.every, stop
            )
        fractions = [drop_fraction(step, stop, self.fraction) for step in range(self.every, stop, self.every)]
        return [self._change(entry, fractions) for entry in entries]

    def _known_length(self) -> int:
        total = self.total_steps()
        if total is None:
            raise BadInput("stop", None, "must be given in steps, since the length of the data is not known")
        return total

    def _change(self, entry: masking.PrunableWeight, fractions: list[float]) -> DropAndGrow:
        groups = GraphGroups(entry, self.granularity)
        active = groups.kept(entry)
        dropped = np.array([int(fraction * active) for fraction in fractions], np.int32)
        seed = stateless_seed(self.seed, "growth", entry.name) if self.grow == "random" else None
        return DropAndGrow(entry, groups, self.every, dropped, seed)
