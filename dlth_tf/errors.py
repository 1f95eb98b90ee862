"""Error type for invalid input."""

from __future__ import annotations


class BadInput(ValueError):
    """Raised for an invalid value from the user; the message states the name, the value and what is allowed.

    Args:
      thing: Name of the flag or argument ("sparsity").
      value: The invalid value.
      allowed: What is allowed, as the rest of one sentence ("must be below 1").
    """

    def __init__(self, thing: str, value: object, allowed: str) -> None:
        super().__init__(f"{thing}={value}: {allowed}")
        self.thing = thing
        self.value = value
        self.allowed = allowed

    def __reduce__(self) -> tuple[type[BadInput], tuple[str, object, str]]:
        return type(self), (self.thing, self.value, self.allowed)
