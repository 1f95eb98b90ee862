"""The one error type for bad input."""

from __future__ import annotations


class BadInput(ValueError):
    """Something a user gave is not usable: names the thing, its value, and what is allowed.

    Args:
      thing: what was given, as its flag or argument is called ("sparsity").
      value: what it was.
      allowed: what would have been accepted, as the rest of one sentence.
    """

    def __init__(self, thing: str, value: object, allowed: str) -> None:
        self.thing, self.value, self.allowed = thing, value, allowed
        super().__init__(f"{thing}={value}: {allowed}")

    def __reduce__(self) -> tuple[type[BadInput], tuple[str, object, str]]:
        return type(self), (self.thing, self.value, self.allowed)
