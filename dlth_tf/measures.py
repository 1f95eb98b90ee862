"""Measures: the number that a task is judged by, its name in files, and its form in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

CLASSIFICATION = "classification"
REGRESSION = "regression"


@dataclass(frozen=True)
class Measure:
    """The number that the runs of one task are compared by.

    Attributes:
      name: Name in columns and keys, as in "test_accuracy" and "accuracy_last".
      words: Name in sentences.
      short: Name in labels and table titles, with its unit.
      higher_is_better: Whether larger values are better.
      percentage: Whether it is a fraction that is shown in percent.
    """

    name: str
    words: str
    short: str
    higher_is_better: bool
    percentage: bool

    def text(self, value: float) -> str:
        """Formats a value with its unit.

        >>> ACCURACY.text(.9721), MSE.text(.031234)
        ('97.21%', '0.03123')
        """
        return f"{value:.2%}" if self.percentage else f"{value:.4g}"

    def number(self, value: float) -> str:
        """Formats a value for a table whose title states the unit.

        >>> ACCURACY.number(.9721), MSE.number(.031234)
        ('97.2', '0.03123')
        """
        return f"{100 * value:.1f}" if self.percentage else f"{value:.4g}"

    def shown(self, value: Any) -> Any:
        """Returns a number, or a series of numbers, in the unit of tables and plots: percent, or as it is."""
        return 100 * value if self.percentage else value

    def best(self, values: Iterable[float]) -> float:
        """Returns the best of some values."""
        return max(values) if self.higher_is_better else min(values)


ACCURACY = Measure("accuracy", "accuracy", "accuracy, %", higher_is_better=True, percentage=True)
MSE = Measure("mse", "mean squared error", "mean squared error", higher_is_better=False, percentage=False)
MEASURES = {CLASSIFICATION: ACCURACY, REGRESSION: MSE}
TASKS = tuple(MEASURES)


def measure_in(names: Iterable[str], form: str = "test_{}_last") -> Measure:
    """Returns the measure whose name is among names of columns or keys; accuracy if none is.

    Args:
      names: Names of columns or keys.
      form: Form of the name, with "{}" for that of the measure.

    >>> measure_in(["test_mse_last"]).name, measure_in(["accuracy_last"], "{}_last").name
    ('mse', 'accuracy')
    """
    known = set(names)
    return next((measure for measure in MEASURES.values() if form.format(measure.name) in known), ACCURACY)
