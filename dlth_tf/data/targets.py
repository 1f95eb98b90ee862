"""Targets: what the labels of a data set are taken for."""

from __future__ import annotations

from dataclasses import dataclass

from dlth_tf.errors import BadInput
from dlth_tf.measures import CLASSIFICATION, TASKS


@dataclass(frozen=True)
class Targets:
    """Task of a network, and where its labels are.

    Attributes:
      task: "classification" (labels are classes) or "regression" (labels are numbers).
      column: Name of the column of a CSV file that holds the labels; None: "label" if there is one, else the last.

    Raises:
      BadInput: If the task is unknown, or the column is no text.
    """

    task: str = CLASSIFICATION
    column: str | None = None

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise BadInput("task", self.task, f"must be one of {', '.join(TASKS)}")
        if not isinstance(self.column, str | None):
            raise BadInput("label_column", self.column, "must be the name of a column, a text")


CLASSES = Targets()
