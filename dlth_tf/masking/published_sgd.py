"""Arguments of SGD with the published update, the same in both Kerases."""

from __future__ import annotations

from typing import Any, NamedTuple

from dlth_tf.errors import BadInput
from dlth_tf.plain_numbers import AT_LEAST_0, BELOW_1, real_number


class PublishedSgd(NamedTuple):
    """Checked arguments of SGD.

    Attributes:
      learning_rate: A number, or a schedule or callable as it was given.
      momentum: mu, at least 0 and below 1.
      nesterov: Whether to use Nesterov's form.
      l2: Coupled weight decay, at least 0.
    """

    learning_rate: Any
    momentum: float
    nesterov: bool
    l2: float

    @classmethod
    def checked(cls, learning_rate: Any, momentum: Any, nesterov: Any, weight_decay: Any) -> PublishedSgd:
        """Checks the arguments.

        Raises:
          BadInput: If a value is out of its range.
        """
        if not callable(learning_rate):  # as schedules are
            learning_rate = float(real_number("learning_rate", learning_rate, AT_LEAST_0))
        momentum = float(real_number("momentum", momentum, BELOW_1))
        if nesterov and not momentum:
            raise BadInput("nesterov", nesterov, "needs a momentum above 0")
        return cls(
            learning_rate, momentum, bool(nesterov), float(real_number("weight_decay", weight_decay, AT_LEAST_0))
        )
