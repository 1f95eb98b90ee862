"""report.html: a sweep's verdict, tables, pictures and settings on one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from dlth_tf.analysis.costs import HEADER as COST_HEADER
from dlth_tf.analysis.costs import NOTES as COST_NOTES
from dlth_tf.analysis.costs import cost_rows
from dlth_tf.analysis.html import bullets, page, pairs, paragraph, picture, table
from dlth_tf.analysis.planned_runs import MissingRun
from dlth_tf.analysis.plots import medians
from dlth_tf.analysis.results import setting
from dlth_tf.analysis.settings import Setup
from dlth_tf.analysis.tables import grid, percent

_SPARSITY_CAPTION = (
    "Test accuracy after the last epoch against the share of weights removed. Both axes are logarithmic, in what is kept and in the "
    "error: halving the error is the same step everywhere, and no seed is cut off. Lines go through the medians over seeds, the table "
    "above gives means."
)
_COST_CAPTION = (
    "Median test accuracy against what training took, above in images, below in multiply-adds if a removed weight cost nothing. "
    "Up and to the left is better; methods of the same cost stand beside each other."
)


def sweep_page(
    results: pd.DataFrame,
    sentences: Sequence[str],
    remarks: Sequence[str],
    missing: Sequence[MissingRun],
    setup: Setup,
    pictures: Mapping[str, bytes],
) -> str:
    """The whole page.

    Args:
      results: what `read_results` gives.
      sentences: the verdict in words.
      remarks: how to read it.
      missing: planned runs without a result.
      setup: what the runs were set up with.
      pictures: PNGs by file name.
    """
    dataset, model, seeds = setting(results)
    shown = grid(results)
    return page(
        f"Sparse training compared: {dataset}, {model}, {seeds}",
        [
            ("Verdict", [bullets(sentences), *(paragraph(remark, soft=True) for remark in remarks)]),
            ("Runs without a result", [bullets(f"{run.run_dir}: {run.state}" for run in missing)] if missing else []),
            (
                "Test accuracy, %",
                [
                    table("test accuracy by method and sparsity", shown.header, shown.rows),
                    paragraph(shown.notes, soft=True),
                ],
            ),
            ("", [picture(pictures["accuracy_vs_sparsity.png"], _in_words(results), _SPARSITY_CAPTION)]),
            ("Cost", [_cost_table(results), paragraph(COST_NOTES, soft=True)]),
            ("", [picture(pictures["accuracy_vs_cost.png"], _cost_in_words(results), _COST_CAPTION)]),
            ("Configuration", _configuration(setup)),
            ("Environment", _environment(setup)),
        ],
    )


def _cost_table(results: pd.DataFrame) -> str:
    rows = [(method, [(text, False) for text in cells]) for method, *cells in cost_rows(results)]
    return table("cost by method and sparsity", COST_HEADER, rows)


def _in_words(results: pd.DataFrame) -> str:
    lines = [
        f"{method}: "
        + ", ".join(f"{row.accuracy:.1f} % at {percent(row.sparsity)} removed" for row in cells.itertuples())
        for method, cells in medians(results).groupby("method", sort=False)
    ]
    return f"Line plot of median test accuracy against sparsity. {'; '.join(lines)}."


def _cost_in_words(results: pd.DataFrame) -> str:
    images = medians(results).groupby("method", sort=False)["images_seen"].mean()
    return f"Scatter plot of median test accuracy against cost. Images seen: {', '.join(f'{name} {n:,.0f}' for name, n in images.items())}."


def _configuration(setup: Setup) -> list[str]:
    if not setup.shared and not setup.differing:
        return [paragraph("No run has a config.json.")]
    found = [paragraph("All runs:"), pairs(setup.shared)]
    differing = {name: values for name, values in setup.differing.items() if name != "run_dir"}
    return [*found, paragraph("From run to run:"), pairs(differing)] if differing else found


def _environment(setup: Setup) -> list[str]:
    known = {**setup.versions, "git commit": ", ".join(setup.commits), "command": "; ".join(setup.commands)}
    known = {name: value for name, value in known.items() if value}
    return [pairs(known)] if known else []
