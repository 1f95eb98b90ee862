"""Findings of a sweep: everything that its report states, in one value."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dlth_tf.analysis.answers import answers
from dlth_tf.analysis.planned_runs import MissingRun, missing_runs
from dlth_tf.analysis.plotting.looks import MOST_METHODS
from dlth_tf.analysis.plotting.plots import picture_names
from dlth_tf.analysis.plotting.training_curves import Curves, read_curves
from dlth_tf.analysis.results import read_results
from dlth_tf.analysis.sentences import conclusions, notes
from dlth_tf.analysis.settings import Settings, read_settings
from dlth_tf.analysis.verdict import Verdict, check_margin, judge


@dataclass(frozen=True)
class Findings:
    """Results of a sweep and the conclusions drawn from them.

    Attributes:
      root: Directory of the sweep.
      results: Table returned by `read_results`.
      missing: Planned runs without a result.
      settings: Settings of the runs.
      margin: Largest difference that counts as equivalent, in points of test accuracy.
      verdicts: Verdict on every transformed ticket at every sparsity.
      curves: Training of every method at the highest sparsity.
    """

    root: Path
    results: pd.DataFrame
    missing: tuple[MissingRun, ...]
    settings: Settings
    margin: float
    verdicts: tuple[Verdict, ...]
    curves: Curves

    @property
    def too_many_to_draw(self) -> str:
        """Sentence on why there are no pictures; empty if there are at most as many methods as can look different."""
        methods = self.results["method"].nunique()
        if methods <= MOST_METHODS:
            return ""
        looks = f"{methods:,} methods, and {MOST_METHODS} can look different"
        return f"There are no pictures, since colors would repeat: {looks}."

    @property
    def picture_names(self) -> tuple[str, ...]:
        """File names of the pictures of the report."""
        if self.too_many_to_draw:
            return ()
        names = picture_names(self.results)
        return names if self.curves.curves else names[:2]

    @property
    def answers(self) -> list[str]:
        """Answers to `answers.QUESTION`, a sentence per transformed ticket and sparsity."""
        return answers(self.verdicts, len(self.missing))

    @property
    def sentences(self) -> list[str]:
        """Verdicts in words, a paragraph per transformed ticket and sparsity."""
        return conclusions(self.verdicts)

    @property
    def notes(self) -> list[str]:
        """Notes on how to read the sentences."""
        return notes(self.verdicts, self.margin, self.settings, len(self.missing))

    @property
    def missing_sentence(self) -> str:
        """Sentence that names the missing runs; empty if no run is missing."""
        if not self.missing:
            return ""
        runs = ", ".join(f"{run.run_dir} ({run.state})" for run in self.missing)
        return f"Missing ({len(self.missing)}): {runs}."


def read_findings(sweep_dir: str | os.PathLike[str], margin: float) -> Findings:
    """Reads the files of a sweep and judges its results.

    Args:
      sweep_dir: Directory of the sweep; at least one of its runs must be complete.
      margin: Largest difference that counts as equivalent, in points of test accuracy, above 0.

    Raises:
      BadInput: If the margin or a file in `sweep_dir` is invalid.
    """
    margin = check_margin(margin)
    root = Path(sweep_dir)
    results = read_results(root)
    missing = missing_runs(root)
    settings = read_settings(root, results["run_dir"])
    verdicts = judge(results, margin, settings.test_images, settings.classes)
    return Findings(root, results, missing, settings, margin, verdicts, read_curves(root, results))
