"""report.html: short answers, verdict, tables, plots and settings of a sweep on one page."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from dlth_tf.analysis import costs
from dlth_tf.analysis.answers import QUESTION
from dlth_tf.analysis.findings import Findings
from dlth_tf.analysis.pages.html import bullets, page, pairs, paragraph, picture, table
from dlth_tf.analysis.plotting.plots import has_lines, medians, picture_names
from dlth_tf.analysis.results import headline, measure_of
from dlth_tf.analysis.settings import Settings
from dlth_tf.analysis.tables import grid, percent
from dlth_tf.measures import ACCURACY, Measure

_SPARSITY_CAPTION = (
    "Test accuracy after the last epoch against the share of weights removed. Both axes are logarithmic, in the share "
    "of weights kept and in the error: halving the error is the same distance everywhere, and every seed is visible. "
)
_COST_CAPTION = (
    "Median test accuracy against the cost of training: examples seen (top), and multiply-adds if a removed weight "
    "cost nothing (bottom). Up and to the left is better; methods of equal cost are drawn side by side."
)

_ERROR_SPARSITY_CAPTION = (
    "Test mean squared error after the last epoch against the share of weights removed; lower is better. Both axes are "
    "logarithmic, in the share of weights kept and in the error. "
)
_LINES = "Lines connect the medians over seeds; the table above lists means."
_MARKS = "Large marks are the medians over seeds, side by side; the table above lists means."
_ERROR_COST_CAPTION = (
    "Median test mean squared error against the cost of training: examples seen (top), and multiply-adds if a removed "
    "weight cost nothing (bottom). Down and to the left is better; methods of equal cost are drawn side by side."
)


def sweep_page(findings: Findings, pictures: Mapping[str, bytes]) -> str:
    """Returns the HTML of the page.

    Args:
      findings: Findings of the sweep.
      pictures: PNGs by file name, those of `picture_names`; without them the page has no figures.
    """
    results = findings.results
    dataset, model, seeds = headline(results)
    missing = [f"{run.run_dir}: {run.state}" for run in findings.missing]
    notes = [paragraph(note, soft=True) for note in [*findings.notes, findings.too_many_to_draw] if note]
    accuracies = grid(results)
    measure = measure_of(results)
    sparsity, cost, training = picture_names(results)
    return page(
        f"Sparse training compared: {dataset}, {model}, {seeds}",
        [
            (QUESTION, [bullets(findings.answers)] if findings.answers else []),
            ("Verdict", [bullets(findings.sentences), *notes]),
            ("Runs without a result", [bullets(missing)] if missing else []),
            (
                f"Test {measure.short}",
                [
                    table(f"test {measure.words} by method and sparsity", accuracies.header, accuracies.rows),
                    paragraph(accuracies.notes, soft=True),
                ],
            ),
            ("", _figure(pictures.get(sparsity), _sparsity_in_words(results), _sparsity_caption(results))),
            ("Cost", [_cost_table(results), paragraph(costs.notes(results), soft=True)]),
            ("", _figure(pictures.get(cost), _cost_in_words(results), _cost_caption(measure))),
            ("Training", _training(findings, pictures.get(training))),
            ("Configuration", _configuration(findings.settings)),
            ("Environment", _environment(findings.settings)),
        ],
    )


def _sparsity_caption(results: pd.DataFrame) -> str:
    start = _SPARSITY_CAPTION if measure_of(results) is ACCURACY else _ERROR_SPARSITY_CAPTION
    return start + (_LINES if has_lines(results) else _MARKS)


def _cost_caption(measure: Measure) -> str:
    return _COST_CAPTION if measure is ACCURACY else _ERROR_COST_CAPTION


def _in_words(value: float, measure: Measure) -> str:
    return f"{value:.1f} %" if measure.percentage else f"{value:.4g}"


def _figure(png: bytes | None, words: str, caption: str) -> list[str]:
    return [picture(png, words, caption)] if png else []


def _training(findings: Findings, png: bytes | None) -> list[str]:
    if png is None:
        return []
    curves, measure = findings.curves, measure_of(findings.results)
    caption = (
        f"Test {measure.words} after every evaluated epoch, medians over seeds, with {percent(curves.sparsity)} of the "
        "weights removed in the end. Where a method removes all at once between two phases, the hollow mark is before "
        "the removal and the filled one immediately after it: the distance is what the removal costs."
    )
    ends = [
        f"{curve.method}: {_in_words(curve.values[-1], measure)} after {curve.epochs[-1]:,.0f}"
        for curve in curves.curves
    ]
    words = f"Line plot of median test {measure.words} against epochs of training. {'; '.join(ends)} epochs."
    left_out = ", ".join(curves.left_out)
    note = [paragraph(f"Not in the plot, for want of a whole history.csv: {left_out}.", soft=True)] if left_out else []
    return [picture(png, words, caption), *note]


def _cost_table(results: pd.DataFrame) -> str:
    rows = [(method, [(text, False) for text in cells]) for method, *cells in costs.cost_rows(results)]
    return table("cost by method and sparsity", costs.header(results), rows)


def _sparsity_in_words(results: pd.DataFrame) -> str:
    measure = measure_of(results)
    lines = [
        f"{method}: "
        + ", ".join(f"{_in_words(row.value, measure)} at {percent(row.sparsity)} removed" for row in cells.itertuples())
        for method, cells in medians(results).groupby("method", sort=False)
    ]
    kind = "Line plot" if has_lines(results) else "Plot"
    return f"{kind} of median test {measure.words} against sparsity. {'; '.join(lines)}."


def _cost_in_words(results: pd.DataFrame) -> str:
    images = medians(results).groupby("method", sort=False)["images_seen"].mean()
    seen = ", ".join(f"{name} {number:,.0f}" for name, number in images.items())
    return f"Scatter plot of median test {measure_of(results).words} against cost. Examples seen: {seen}."


def _configuration(settings: Settings) -> list[str]:
    if not settings.shared and not settings.differing:
        return [paragraph("No run has a config.json.")]
    parts = [paragraph("Same in all runs:"), pairs(settings.shared)]
    differing = {name: values for name, values in settings.differing.items() if name != "run_dir"}
    return [*parts, paragraph("Different between runs:"), pairs(differing)] if differing else parts


def _environment(settings: Settings) -> list[str]:
    known = {
        **settings.versions,
        "git commit": ", ".join(settings.commits),
        "command": "; ".join(settings.commands),
    }
    known = {name: value for name, value in known.items() if value}
    return [pairs(known)] if known else []
