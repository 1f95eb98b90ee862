"""State of a callback of a Keras 3 model that belongs to one `fit`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from dlth_tf.masking.fit_session import begin_fit
from dlth_tf.masking.keras3.arrays import HostArray
from dlth_tf.masking.keras3.tickets import take_over, tickets_of


class FitState:
    """State of a callback that belongs to a `fit`: part of the model's files while the `fit` lasts.

    Args:
      model: The model that is trained.
      name: Name of the callback.
      values: Name -> value of each array at the beginning, of any shape.
    """

    def __init__(self, model: Any, name: str, values: Mapping[str, ArrayLike]) -> None:
        self._arrays = {key: HostArray(value) for key, value in {"begun": np.int64(0), **values}.items()}
        held = tickets_of(model)
        held.states[name] = self._arrays
        take_over(name, self._arrays, held.waiting.pop(name, {}))
        begin_fit(model).callback(held.states.pop, name, None)

    @property
    def restored(self) -> bool:
        """Returns whether the state comes from a file of an interrupted `fit`, or its first epoch has begun."""
        return bool(self._arrays["begun"].numpy())

    def begin(self) -> None:
        """Notes that the first epoch has begun: a file from here on is one of this `fit`."""
        self._arrays["begun"].assign(1)

    def __getitem__(self, name: str) -> np.ndarray:
        return self._arrays[name].numpy()

    def __setitem__(self, name: str, value: Any) -> None:
        self._arrays[name].assign(value)

    def variable(self, name: str) -> HostArray:
        """Returns an array of the state."""
        return self._arrays[name]
