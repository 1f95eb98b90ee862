"""Error type for invalid input."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any


class BadInput(ValueError):
    """Raised for an invalid value from the user; the message states the name, the value and what is allowed.

    Args:
      thing: Name of the flag or argument ("sparsity").
      value: The invalid value.
      allowed: What is allowed, as the rest of one sentence ("must be below 1").
    """

    def __init__(self, thing: str, value: object, allowed: str) -> None:
        super().__init__(thing, value, allowed)

    def __str__(self) -> str:
        return f"{self.thing}={self.value}: {self.allowed}"

    @property
    def thing(self) -> str:
        """Name of the flag or argument."""
        return self.args[0]

    @property
    def value(self) -> Any:
        """The invalid value."""
        return self.args[1]

    @property
    def allowed(self) -> str:
        """The allowed values, as the rest of one sentence."""
        return self.args[2]


@contextlib.contextmanager
def renamed(names: Mapping[str, str]) -> Iterator[None]:
    """Raises a BadInput of the code inside about the argument that the user gave, where that has another name.

    Args:
      names: Name inside -> name that the user knows.
    """
    try:
        yield
    except BadInput as refused:
        if refused.thing not in names:
            raise
        raise BadInput(names[refused.thing], refused.value, refused.allowed) from None
