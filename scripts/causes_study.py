"""Writes docs/results/transform_causes.md from committed results; collects these from finished sweeps.

python scripts/causes_study.py collect runs/causes    # copies every result.json that is complete
python scripts/causes_study.py write                  # the page, from the copies alone

The reference are runs of the length study (docs/results/transform_length): rst after 10,000 steps, and lth.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import length_study as length
import numpy as np

from dlth_tf.analysis.comparison import Comparison, compare
from dlth_tf.core import PenaltySchedule

ROOT = Path(__file__).resolve().parents[1]
FLAGS = ROOT / "flags" / "fashion_mnist" / "causes"
PAGE = ROOT / "docs" / "results" / "transform_causes.md"
RESULTS = ROOT / "docs" / "results" / "transform_causes"
STEPS = 10_000
SEEDS = 3
Runs = Mapping[int, dict[str, Any]]  # content of result.json by seed

INTRODUCTION = """# Why a transformation falls short

One thing is changed at a time in the run of [the length study](transform_length.md) that transforms in 10,000 steps:
LeNet-5 on Fashion-MNIST at 98 % sparsity, seeds 0, 1, 2. Every experiment is a flagfile of
`flags/fashion_mnist/causes`, whose header says what it asks:

```sh
for file in flags/fashion_mnist/causes/*.flags; do
    python -m dlth_tf.sweep --flagfile=$file --data_dir=DIR
done
python scripts/causes_study.py collect runs/causes
python scripts/causes_study.py write
```

The last command makes this page from the files in `docs/results/transform_causes`. Accuracies are those of the test
images after the last epoch in percent, mean ± standard deviation over seeds; before and after are around the removal,
on validation images. Differences are in points, paired by seed, with their 95 % interval; intervals are not corrected
for multiplicity, and three seeds make them wide. The sum of lr λ over the steps of the transformation is how far the
penalty alone would shrink a weight, as the exponent of e.
"""


@dataclass(frozen=True)
class Experiment:
    """A change of the recipe, and what was run with it.

    Attributes:
      name: Name of its flagfile.
      question: What it asks.
      flags: Flags of the file and of the file that it includes.
      runs: Method -> runs.
    """

    name: str
    question: str
    flags: Mapping[str, str]
    runs: Mapping[str, Runs]

    @property
    def shrinkage(self) -> float:
        """The sum of learning rate times lambda over the transformation."""
        flags = self.flags
        if "transform_epochs" in flags:
            schedule = PenaltySchedule.of_length(
                int(flags["transform_epochs"].removesuffix("it")), flags["penalty_schedule"]
            )
        else:
            growth = float(flags["penalty_step"]), int(flags["penalty_every"]), float(flags["penalty_limit"])
            schedule = PenaltySchedule(flags["penalty_schedule"], *growth, int(flags["hold_steps"]))
        return float(flags["transform_lr"]) * float(np.sum(schedule.at(np.arange(schedule.steps)), dtype=np.float64))


def collect(root: Path) -> None:
    """Copies the results of the complete runs of all sweeps in a folder into docs/results."""
    for path in sorted(root.glob("*/*/result.json")):
        shutil.copyfile(path, RESULTS / f"{path.parent.parent.name}@{path.parent.name}.result.json")


def flags_of(path: Path) -> dict[str, str]:
    """Returns the flags of a flagfile with those of the file that it includes."""
    found: dict[str, str] = {}
    for line in path.read_text().splitlines():
        if line.startswith("--flagfile="):
            found |= flags_of(path.parent / line.partition("=")[2])
        elif line.startswith("--"):
            name, _, value = line[2:].partition("=")
            found[name] = value
    return found


def read() -> tuple[Experiment, list[Experiment]]:
    """Returns the reference, and the experiments with results in the order of their names."""
    found: dict[str, dict[str, dict[int, dict[str, Any]]]] = {}
    for path in sorted(RESULTS.glob("*.result.json")):
        result = json.loads(path.read_text())
        runs = found.setdefault(path.name.split("@")[0], {})
        runs.setdefault(result["method"], {})[result["seed"]] = result
    study = length.read()
    references = {method: study.runs(method, STEPS) for method in ("rst", "lth", "lth_long", "scratch_long")}
    path = FLAGS.parent / "length" / f"steps_{STEPS}.flags"
    reference = Experiment("reference", "The run of the length study.", flags_of(path), references)
    return reference, [
        Experiment(name, question(FLAGS / f"{name}.flags"), flags_of(FLAGS / f"{name}.flags"), found[name])
        for name in sorted(found)
    ]


def question(path: Path) -> str:
    """Returns what the header of a flagfile asks: its third line."""
    return path.read_text().splitlines()[2].removeprefix("# ")


def versus(own: Runs, other: Runs, name: str) -> Comparison | None:
    """Compares two groups of runs, paired by seed; None if one has none."""
    left, right = length.accuracies(own), length.accuracies(other)
    return compare(left, right, name, length.MARGIN, 100 / length.TEST_IMAGES) if left and right else None


def write_page(reference: Experiment, experiments: list[Experiment]) -> str:
    """Returns the text of the page."""
    lines = [INTRODUCTION, *_table(reference, experiments), *_controls(experiments), *_batch_norms()]
    lines += _findings(reference, experiments)
    return "\n".join(lines) + "\n"


def _table(reference: Experiment, experiments: list[Experiment]) -> list[str]:
    lines = [
        "## What each change does to rst",
        "",
        "| experiment | test | less the reference | before | after | sum of lr λ |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for experiment in (reference, *experiments):
        runs = experiment.runs.get("rst", {})
        keys = [f"accuracy_{when}_removal" for when in ("before", "after")]
        around = [length.cell(length.accuracies(runs, "val", key)) for key in keys]
        change = "" if experiment is reference else length.difference(versus(runs, reference.runs["rst"], "rst"))
        test = length.cell(length.accuracies(runs))
        lines.append(f"| {experiment.name} | {' | '.join([test, change, *around])} | {experiment.shrinkage:.1f} |")
    return [*lines, "", *(f"- `{experiment.name}`: {experiment.question}" for experiment in experiments), ""]


def _controls(experiments: list[Experiment]) -> list[str]:
    rows = []
    for experiment in experiments:
        own = experiment.runs.get("rst", {})
        for method, runs in experiment.runs.items():
            if len(experiment.runs) > 1:
                difference = "" if method == "rst" else length.difference(versus(own, runs, method))
                cells = [f"{length.images(runs) / 1e6:.2f}", length.cell(length.accuracies(runs)), difference]
                rows.append(f"| {experiment.name} | {method} | {' | '.join(cells)} |")
    if not rows:
        return []
    return [
        "## Beside other methods with the same change",
        "",
        "Images seen in millions; the difference is that of `rst` less the other method.",
        "",
        "| experiment | method | images | test | rst less it |",
        "|---|---|---:|---:|---:|",
        *rows,
        "",
    ]


def _batch_norms() -> list[str]:
    path = RESULTS / "batch_norm.json"
    if not path.exists():
        return []
    lines = [
        "## Statistics of batch norms",
        "",
        "LeNet-5 has none. ResNet-8 by `flags/fashion_mnist/resnet8/rst.flags`, seeds 0, 1, 2",
        "(`python scripts/batch_norm_study.py DIR`): accuracy on validation images with all weights, after the",
        "removal, and after the removal with statistics that are the means over 10,000 training images of the network",
        "as it is then. Finetuning computes with the statistics of its own batches, so it starts the same either way.",
        "",
        "| sparsity | before | after | after, statistics anew | gained | after the finetuning |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    for sparsity, runs in json.loads(path.read_text()).items():
        columns = {name: [100 * run[name] for run in runs.values()] for name in next(iter(runs.values()))}
        gained = np.subtract(columns["reestimated"], columns["after"])
        cells = [columns["before"], columns["after"], columns["reestimated"], gained, columns["last"]]
        lines.append(f"| {sparsity} | {' | '.join(length.cell(dict(enumerate(cell))) for cell in cells)} |")
    return [*lines, ""]


def _findings(reference: Experiment, experiments: list[Experiment]) -> list[str]:
    kinds: dict[str, list[str]] = {"raises": [], "lowers": [], "leaves open": []}
    for experiment in experiments:
        found = versus(experiment.runs.get("rst", {}), reference.runs["rst"], "rst")
        if found is not None and found.difference.has_interval:
            low, high = found.interval_95
            kinds["raises" if low > 0 else "lowers" if high < 0 else "leaves open"].append(f"`{experiment.name}`")
    said = {
        "raises": "The interval lies above 0: {}.",
        "lowers": "The interval lies below 0: {}.",
        "leaves open": "Three seeds leave the sign open: {}.",
    }
    lines = [f"- {said[kind].format(', '.join(names))}" for kind, names in kinds.items() if names]
    planned = {path.stem for path in FLAGS.glob("*.flags")}
    done = {item.name for item in experiments if len(item.runs.get("rst", {})) == SEEDS}
    if planned - done:
        lines.append(f"- Not complete: {', '.join(f'`{name}`' for name in sorted(planned - done))}.")
    return ["## What it says", "", *lines]


def main(arguments: list[str]) -> None:
    """Runs one of the two commands of the module's docstring."""
    match arguments:
        case ["collect", root]:
            RESULTS.mkdir(exist_ok=True)
            collect(Path(root))
        case ["write"]:
            PAGE.write_text(write_page(*read()))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
