"""weights.html: the weights of one run over time, and its masks."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

from dlth_tf import files
from dlth_tf.analysis.pages.html import bullets, page, picture, table
from dlth_tf.analysis.plotting.run_plots import mask_pictures, weights_over_time
from dlth_tf.analysis.report import write_all
from dlth_tf.analysis.run_record import MAGNITUDES, RunRecord, read_run
from dlth_tf.analysis.tables import percent
from dlth_tf.errors import BadInput

_CURVES_CAPTION = (
    "At the end of every evaluated epoch: mean magnitude of the weights that the ticket keeps and of the others (if "
    "the run recorded them; removed weights are zero, outside the logarithmic axis), the penalty on the latter, and "
    "{}. Dashed lines separate the phases."
)
_MASKS_CAPTION = "Masks of the first pruned tensors: a dark dot is a kept weight, a column is an output unit."


@dataclass(frozen=True)
class RunReport:
    """Report written by `write_run_report`.

    Attributes:
      page: Path of the HTML page.
      sentences: Sentences on the page.
    """

    page: Path
    sentences: tuple[str, ...]


def write_run_report(run_dir: str | os.PathLike[str]) -> RunReport:
    """Writes `weights.html`, `weights.png` and, if weights were removed, `masks.png` into the folder `report` of a run.

    Args:
      run_dir: Directory of a complete run.

    Raises:
      BadInput: If the run is incomplete or invalid (nothing is written then), or if its directory cannot be written to.
    """
    record = read_run(run_dir)
    folder = files.own_folder(Path(run_dir) / "report", "run_dir", run_dir)
    curves = weights_over_time(record)
    masks = mask_pictures(record)
    contents: dict[str, str | bytes] = {"weights.png": curves, "weights.html": _run_page(record, curves, masks)}
    if masks:
        contents["masks.png"] = masks
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise BadInput("run_dir", run_dir, f"cannot be written to ({error.strerror})") from None
    write_all(folder, contents, "run_dir")
    return RunReport(folder / "weights.html", tuple(sentences(record)))


def sentences(record: RunRecord) -> list[str]:
    """Returns the sentences on the weights of a run."""
    return [_outcome(record), *_squeezing(record), *_removal(record)]


def _outcome(record: RunRecord) -> str:
    result = record.result
    value = _value(record, "test_{}_last")
    prunable, kernels = (_share(result[name]) for name in ("sparsity_prunable", "sparsity_global"))
    return (
        f"{result['method']} with seed {result['seed']}: {prunable} of the prunable weights and {kernels} of all "
        f"kernel weights are removed; the test {record.measure.words} after the last epoch is {value}."
    )


def _squeezing(record: RunRecord) -> list[str]:
    """Returns the sentence on information extrusion (Bai et al., ICLR 2022, section 3.3), as seen in the history."""
    if not (record.history["penalty"] > 0).any():
        return [
            "No penalty was active in this run at the end of any evaluated epoch, so history.csv shows no squeezing of "
            "weights."
        ]
    if not record.has_magnitudes:
        columns = " and ".join(MAGNITUDES)
        return [f"history.csv has no columns {columns}, so the effect of the penalty on the magnitudes is unknown."]
    rows = record.transformed
    if len(rows) < 2:
        return [
            "The penalty was active at the end of fewer than two evaluated epochs, too few to show a change of the "
            "magnitudes."
        ]
    kept, removed = (_change(rows[column].iloc[0], rows[column].iloc[-1]) for column in MAGNITUDES)
    return [
        "While the penalty was active, from the end of its first evaluated epoch to that of its last, the mean "
        f"magnitude of the weights to be removed changed {removed}, and that of the kept weights {kept}."
    ]


def _removal(record: RunRecord) -> list[str]:
    names = [f"{{}}_{when}_removal" for when in ("before", "after")]
    if any(math.isnan(record.result[name.format(record.measure.name)]) for name in names):
        return []  # nothing was removed between two phases
    before, after = (_value(record, name) for name in names)
    return [f"Test {record.measure.words} immediately before the removal: {before}; immediately after: {after}."]


def _value(record: RunRecord, column: str) -> str:
    value = record.result[column.format(record.measure.name)]
    return _share(value) if record.measure.percentage else record.measure.text(value)


def _change(first: float, last: float) -> str:
    factor = last / first
    ratio = f"{100 * factor:.2g} % of" if factor < 1 else f"{factor:.3g} times"
    return f"from {first:.3g} to {last:.3g} ({ratio} the initial value)"


def _share(fraction: float) -> str:
    return percent(round(fraction, 4))


def _run_page(record: RunRecord, curves: bytes, masks: bytes | None) -> str:
    result = record.result
    texts = sentences(record)
    caption = _CURVES_CAPTION.format(record.measure.words)
    run = f"{result['method']}, {percent(result['sparsity'])} sparsity, seed {result['seed']}"
    return page(
        f"Weights of one run: {run}, {result['dataset']}, {result['model']}",
        [
            ("Summary", [bullets(texts)]),
            (
                "Over time",
                [picture(curves, f"Line plots over the steps of the run. {' '.join(texts)}", caption)],
            ),
            ("Tensors", [_tensors(record)]),
            ("Masks", [picture(masks, _masks_in_words(record), _MASKS_CAPTION)] if masks else []),
        ],
    )


def _tensors(record: RunRecord) -> str:
    rows = []
    for name, mask in record.ticket.items():
        kept = int(mask.sum())
        removed = (mask.size - kept) / max(1, mask.size)
        texts = (" × ".join(map(str, mask.shape)), f"{mask.size:,}", f"{kept:,}", _share(removed))
        rows.append((name, [(text, False) for text in texts]))
    return table("kept weights by tensor", ("tensor", "shape", "weights", "kept", "removed"), rows)


def _masks_in_words(record: RunRecord) -> str:
    pruned = [f"{name} {_share(1 - mask.mean())} removed" for name, mask in record.ticket.items() if not mask.all()]
    return f"Images of masks. {', '.join(pruned)}."
