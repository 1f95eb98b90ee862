"""Error type for invalid input."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

MOST_LETTERS = 400  # of a value in a message
MOST_SENTENCE = 4000


def shown(text: str, most: int = MOST_SENTENCE) -> str:
    r"""Returns text for a terminal or a log: without control characters, and shortened in the middle.

    Text from files may contain escape sequences that a terminal obeys. They are shown as Python writes them; ends of
    lines and tabs stay.

    >>> shown("\x1b[31mred"), shown("a" * 20, 9)
    ('\\x1b[31mred', 'aaa...aaa')
    """
    if len(text) > most:
        half = (most - 3) // 2
        text = f"{text[:half]}...{text[-half:]}"
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter in "\n\t" else _escaped(letter) for letter in text)


def _text(value: object) -> str:
    try:
        return str(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, a list in itself
        return f"a {type(value).__name__}"


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode()


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
        return f"{self.thing}={shown(_text(self.value), MOST_LETTERS)}: {shown(self.allowed, MOST_SENTENCE)}"

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
