"""HostArray: an array beside a model that looks like a variable."""

from __future__ import annotations

from typing import Any

import numpy as np


class HostArray:
    """A NumPy array with the `numpy` and `assign` of a variable; while a hook is on, a variable of the optimizer.

    Compiled steps read and write that variable, which the optimizer holds, so on JAX it is an argument of the step.

    Args:
      value: Initial value; shape and dtype stay.
    """

    def __init__(self, value: Any) -> None:
        self._value = np.array(value)
        self.variable: Any = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self._value.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the array."""
        return self._value.dtype

    def numpy(self) -> np.ndarray:
        """Returns the present value."""
        if self.variable is not None:
            self._value = np.asarray(self.variable.numpy()).astype(self._value.dtype)
        return self._value

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.numpy(), dtype, copy=copy)

    def assign(self, value: Any) -> None:
        """Replaces the value by another that can be broadcast to the shape."""
        new = np.broadcast_to(np.asarray(value), self.shape).astype(self._value.dtype)
        self._value = new
        if self.variable is not None:
            self.variable.assign(new.astype(str(self.variable.dtype)))

    def attach(self, variable: Any) -> None:
        """Lets the value live in a variable from here on, instead of any other, and writes it there."""
        value = self.numpy()
        self.variable = variable
        self.assign(value)

    def detach(self) -> None:
        """Takes the value back from its variable."""
        self.numpy()
        self.variable = None
