"""weights.html: what happened to the weights of one run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from dlth_tf.analysis.html import bullets, page, picture, table
from dlth_tf.analysis.report import write_all
from dlth_tf.analysis.run_plots import mask_pictures, weights_over_time
from dlth_tf.analysis.run_record import MAGNITUDES, RunRecord, read_run
from dlth_tf.analysis.tables import percent
from dlth_tf.errors import BadInput

_CURVES_CAPTION = (
    "At the end of every epoch: mean magnitude of the weights that the ticket keeps and of those that it does not (where the run recorded "
    "them; once removed they are zero and leave the logarithmic axis), the penalty on the latter, and accuracy. Dashed lines: phases."
)
_MASKS_CAPTION = "Masks of the first pruned tensors: a dark dot is a kept weight, a column is an output unit."


@dataclass(frozen=True)
class RunReport:
    """What `write_run_report` wrote: the page, and its sentences."""

    page: Path
    sentences: tuple[str, ...]


def write_run_report(run_dir: str | os.PathLike[str]) -> RunReport:
    """Writes `report/weights.html`, `report/weights.png`, and `report/masks.png` if something was removed, into a run's directory.

    Raises:
      BadInput: the run is not complete or cannot be used, and nothing was written; or its directory cannot be written to.
    """
    record = read_run(run_dir)
    folder, found = Path(run_dir) / "report", sentences(record)
    curves, masks = weights_over_time(record), mask_pictures(record)
    contents: dict[str, str | bytes] = {"weights.png": curves, "weights.html": _run_page(record, found, curves, masks)}
    if masks:
        contents["masks.png"] = masks
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise BadInput("run_dir", run_dir, f"cannot be written to ({error.strerror})") from None
    write_all(folder, contents, "run_dir")
    return RunReport(folder / "weights.html", tuple(found))


def sentences(record: RunRecord) -> list[str]:
    """What can be said about the run's weights, plainly."""
    return [_outcome(record), *_squeezing(record), *_removal(record)]


def _outcome(record: RunRecord) -> str:
    result = record.result
    prunable, kernels, accuracy = (
        _share(result[name]) for name in ("sparsity_prunable", "sparsity_global", "test_accuracy_last")
    )
    return (
        f"{result['method']} with seed {result['seed']}: {prunable} of the prunable weights, and {kernels} of all kernels' weights, are "
        f"removed; the test accuracy after the last epoch is {accuracy}."
    )


def _squeezing(record: RunRecord) -> list[str]:
    """Information extrusion (Bai et al., ICLR 2022, section 3.3), as far as the history shows it."""
    if not (record.history["penalty"] > 0).any():
        return ["No penalty acted in this run, so nothing was squeezed out of weights that were to be removed."]
    if not record.has_magnitudes:
        return [
            f"Its history.csv has no columns {' and '.join(MAGNITUDES)}, so how the penalty moved the magnitudes is not known."
        ]
    rows = record.transformed
    if len(rows) < 2:
        return ["The penalty acted for less than two epochs' ends, too few to see how the magnitudes moved."]
    (kept, removed), (kept_later, removed_later) = (rows[list(MAGNITUDES)].iloc[place] for place in (0, -1))
    return [
        f"While the penalty acted, from the end of its first epoch to that of its last, the mean magnitude of the weights to be removed "
        f"went {_change(removed, removed_later)}, that of the kept weights {_change(kept, kept_later)}."
    ]


def _removal(record: RunRecord) -> list[str]:
    before, after = record.result["accuracy_before_removal"], record.result["accuracy_after_removal"]
    if before != before or after != after:  # NaN: nothing was removed between two phases
        return []
    return [f"Test accuracy just before the weights were removed: {_share(before)}; just after: {_share(after)}."]


def _change(first: float, last: float) -> str:
    factor = last / first
    return (
        f"from {first:.3g} to {last:.3g} ({f'{100 * factor:.2g} % of' if factor < 1 else f'{factor:.3g} times'} that)"
    )


def _share(fraction: float) -> str:
    return percent(round(fraction, 4))


def _run_page(record: RunRecord, found: list[str], curves: bytes, masks: bytes | None) -> str:
    result = record.result
    run = f"{result['method']}, {percent(result['sparsity'])} sparsity, seed {result['seed']}"
    return page(
        f"Weights of one run: {run}, {result['dataset']}, {result['model']}",
        [
            ("What happened", [bullets(found)]),
            (
                "Over time",
                [picture(curves, f"Line plots over the steps of the run. {' '.join(found)}", _CURVES_CAPTION)],
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
    return f"Pictures of masks. {', '.join(pruned)}."
