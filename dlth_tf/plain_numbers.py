"""Plain numbers: the checked int or float of a number that the user gave, whatever its type.

NumPy's numbers, 0-d arrays and tensors are numbers as Python's own are; booleans and text are not. What is stored is
plain, so that equality, JSON files and the provenance of tickets do not depend on the type that was given.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np

from dlth_tf.errors import BadInput

MOST_LETTERS = 80  # of a value that is not a number, in a message


@dataclass(frozen=True)
class Interval:
    """A range of finite numbers; a bound that is None does not bound.

    Attributes:
      least: Smallest number allowed.
      above: Largest number below all that are allowed.
      most: Largest number allowed.
      below: Smallest number above all that are allowed.

    >>> str(Interval(above=0)), str(Interval(least=0, below=1)), 1 in Interval(least=0, below=1)
    ('a finite number above 0', 'a number, at least 0 and below 1', False)
    """

    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None

    def __contains__(self, value: float) -> bool:
        return (
            -math.inf < value < math.inf
            and (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
            and (self.most is None or value <= self.most)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        if self.least is not None and self.most is not None:
            return f"a number from {self.least} to {self.most}"
        named = {"at least": self.least, "above": self.above, "at most": self.most, "below": self.below}
        bounds = [f"{word} {bound}" for word, bound in named.items() if bound is not None]
        kind = "number" if len(bounds) == 2 else "finite number"
        comma = "," if self.least is not None else ""
        return f"a {kind}{comma} {' and '.join(bounds)}".rstrip()


FINITE = Interval()
ABOVE_0 = Interval(above=0)
AT_LEAST_0 = Interval(least=0)
BELOW_1 = Interval(least=0, below=1)
FRACTION = Interval(least=0, most=1)


def whole_number(name: str, value: Any, least: int | None = None, most: int | None = None) -> int:
    """Returns a whole number of any type as a Python int.

    Args:
      name: Name of the argument that the user gave.
      value: Its value: an int, a NumPy integer, or a 0-d array or tensor of integers.
      least: Smallest number allowed; None for any.
      most: Largest number allowed, with `least`; None for any.

    Raises:
      BadInput: If it is another value, such as 3.0, True or "3".

    >>> whole_number("every", np.int32(5), least=1)
    5
    """
    number = _index(scalar(value))
    if number is None or (least is not None and number < least) or (most is not None and number > most):
        bounds = "" if least is None else f", at least {least}" if most is None else f" from {least} to {most}"
        raise _refusal(name, value, f"a whole number{bounds}")
    return number


def whole_or_none(name: str, value: Any, least: int | None = None, most: int | None = None) -> int | None:
    """Returns a whole number as `whole_number` does, and None, for an argument that is not given, as it is."""
    return None if value is None else whole_number(name, value, least, most)


def real_number(name: str, value: Any, allowed: Interval = FINITE) -> float:
    """Returns a number of any type as a Python float, or as an int if it is one.

    A number of less than double precision is read as the decimal that it prints: np.float32(.1) is .1, as it is for a
    sparsity, and not 0.10000000149.

    Args:
      name: Name of the argument that the user gave.
      value: Its value: a number of Python or NumPy, or a 0-d array or tensor.
      allowed: The numbers that are allowed.

    Raises:
      BadInput: If it is another value, NaN or infinite.

    >>> real_number("fraction", np.float32(.3), FRACTION), real_number("momentum", 0, BELOW_1)
    (0.3, 0)
    """
    number = _real(scalar(value))
    if number is None or number not in allowed:
        raise _refusal(name, value, str(allowed))
    return number


def whole_numbers(name: str, values: Any) -> tuple[int, ...]:
    """Returns the whole numbers of a sequence, such as a shape, as Python's.

    Raises:
      BadInput: If it is no sequence of whole numbers.
    """
    try:
        return tuple(whole_number(name, value) for value in values)
    except (TypeError, BadInput):
        raise _refusal(name, values, "whole numbers") from None


def shape_with_unknowns(name: str, shape: Any) -> tuple[Any, ...]:
    """Returns a shape in Python's numbers, with None where a size is not known.

    Raises:
      BadInput: If it is no shape.
    """
    if not isinstance(shape, Iterable):
        raise _refusal(name, shape, "whole numbers")
    return tuple(size if size is None else whole_numbers(name, [size])[0] for size in shape)


def scalar(value: Any) -> Any:
    """Returns the number that a 0-d array or a tensor holds, and any other value as it is."""
    value = value.numpy() if callable(getattr(value, "numpy", None)) else value
    return value[()] if isinstance(value, np.ndarray) and value.ndim == 0 else value


def plain(value: Any) -> Any:
    """Returns the Python value of a NumPy scalar, a 0-d array or a tensor, and any other value as it is.

    >>> plain(np.int64(3)), plain(np.float32(.1)), plain(np.array(True)), plain("text")
    (3, 0.1, True, 'text')
    """
    value = scalar(value)
    if isinstance(value, np.floating):
        return _real(value)
    return value.item() if isinstance(value, np.generic) else value


def shortest(value: float) -> str:
    """Returns the shortest text that stands for exactly this number: no two numbers have the same.

    >>> shortest(0.98), shortest(0.9800001), shortest(1e-9), shortest(0.0)
    ('0.98', '0.9800001', '1e-09', '0')
    """
    return f"{value:g}" if float(f"{value:g}") == value else repr(float(value))


def json_value(value: Any) -> Any:
    """Returns the plain number that JSON stores for a number of another type; for `default` of `json.dumps`.

    Raises:
      TypeError: If JSON has no such value.
    """
    if isinstance(scalar(value), np.bool_ | np.str_):
        return plain(value)
    number = _real(scalar(value))
    if number is None:
        raise TypeError(f"{type(value).__name__} is not a JSON value")
    return number


def store(owner: Any, **values: Any) -> None:
    """Sets fields of a frozen dataclass that is being constructed, to their checked values."""
    for name, value in values.items():
        object.__setattr__(owner, name, value)


def _index(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def _real(value: Any) -> float | None:
    number = _index(value)
    if number is None and (isinstance(value, bool | np.timedelta64) or not isinstance(value, Real | Decimal)):
        return None
    try:
        as_float = float(str(value) if isinstance(value, np.floating) else value)
    except (OverflowError, ValueError):  # larger than any float, or a signaling NaN
        return math.nan
    return as_float if number is None else number


def _refusal(name: str, value: Any, allowed: str) -> BadInput:
    held = scalar(value)
    if _real(held) is None:
        return BadInput(name, " ".join(repr(value).split())[:MOST_LETTERS], f"must be {allowed}")
    return BadInput(name, held, f"must be {allowed.removeprefix('a number').lstrip(', ')}")
