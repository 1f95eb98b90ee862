"""Durations: 160ep, 500it, or a plain number in the default unit of a flag."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dlth_tf.errors import BadInput
from dlth_tf.plain_numbers import scalar, whole_number

_FORM = re.compile(r"\s*(\d{1,12})\s*(ep|it)?\s*")


@dataclass(frozen=True)
class Duration:
    """A length of training in epochs or in optimizer steps.

    Attributes:
      count: Number of epochs or steps, at least 0.
      unit: "ep" for epochs or "it" (iterations) for optimizer steps.

    >>> str(Duration.parse("160ep")), Duration.parse(3, unit="ep").steps(100), Duration.parse("500it").steps(100)
    ('160ep', 300, 500)
    """

    count: int
    unit: str

    @classmethod
    def parse(cls, text: object, unit: str = "ep", *, name: str = "duration", least: int = 0) -> Duration:
        """Parses a duration.

        Args:
          text: A number with or without a unit, as text or as a whole number.
          unit: Unit of a number that has none.
          name: Name of the flag in error messages.
          least: Smallest allowed count.

        Raises:
          BadInput: If `text` is not a duration or its count is below `least`.
        """
        text = scalar(text)
        match = None if isinstance(text, bool) else _FORM.fullmatch(str(text))
        if match is None or int(match[1]) < least:
            kind = "positive whole number" if least else "whole number"
            plain = "epochs" if unit == "ep" else "steps"
            raise BadInput(
                name, text, f"must be a {kind} of epochs (160ep) or steps (500it); a plain number means {plain}"
            )
        return cls(int(match[1]), match[2] or unit)

    def steps(self, steps_per_epoch: int) -> int:
        """Returns the length in optimizer steps."""
        steps_per_epoch = whole_number("steps_per_epoch", steps_per_epoch, least=1)
        return self.count * (steps_per_epoch if self.unit == "ep" else 1)

    def __str__(self) -> str:
        return f"{self.count}{self.unit}"
