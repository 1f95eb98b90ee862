"""Durations: 160ep, 500it, or a plain number in the flag's own unit."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dlth_tf.errors import BadInput

_FORM = re.compile(r"\s*(\d{1,12})\s*(ep|it)?\s*")


@dataclass(frozen=True)
class Duration:
    """A length of training in epochs or in optimizer steps ("iterations").

    >>> str(Duration.parse("160ep")), Duration.parse(3, unit="ep").steps(100), Duration.parse("500it").steps(100)
    ('160ep', 300, 500)
    """

    count: int
    unit: str

    @classmethod
    def parse(cls, text: object, unit: str = "ep", *, name: str = "duration", least: int = 0) -> Duration:
        """Reads a duration; `unit` is that of a plain number, `least` the smallest count allowed.

        Raises:
          BadInput: not of the form, or less than allowed.
        """
        match = None if isinstance(text, bool) else _FORM.fullmatch(str(text))
        if match is None or int(match[1]) < least:
            kind = "positive whole number" if least else "whole number"
            raise BadInput(
                name,
                text,
                f"must be a {kind} of epochs (160ep) or steps (500it); a plain number means {'epochs' if unit == 'ep' else 'steps'}",
            )
        return cls(int(match[1]), match[2] or unit)

    def steps(self, steps_per_epoch: int) -> int:
        """The length in optimizer steps."""
        return self.count * (steps_per_epoch if self.unit == "ep" else 1)

    def __str__(self) -> str:
        return f"{self.count}{self.unit}"
