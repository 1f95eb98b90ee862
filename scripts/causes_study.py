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

from dlth_tf.analysis.budgets import is_equal_budget
from dlth_tf.analysis.comparison import Comparison, compare
from dlth_tf.core import PenaltySchedule

ROOT = Path(__file__).resolve().parents[1]
FLAGS = ROOT / "flags" / "fashion_mnist" / "causes"
PAGE = ROOT / "docs" / "results" / "transform_causes.md"
RESULTS = ROOT / "docs" / "results" / "transform_causes"
STEPS = 10_000
LONGER = "finetune_24_epochs"
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
for multiplicity, and three seeds make them wide. The sum of lr λ over the steps of the transformation measures how much
penalty a run applies, relative to another run: with the momentum of .9 that all runs have, a weight under the penalty
alone shrinks much faster than by e to the power of this sum. Effectively removed are also the kept weights that lie on
no path of kept weights from the input to the output.
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
    reference = Experiment("reference", "The run of the length study.", length.flags_of(path), references)
    return reference, [
        Experiment(name, question(FLAGS / f"{name}.flags"), length.flags_of(FLAGS / f"{name}.flags"), found[name])
        for name in sorted(found)
    ]


def question(path: Path) -> str:
    """Returns what the header of a flagfile asks: its third line."""
    return path.read_text().splitlines()[2].removeprefix("# ")


def change_of_gap(experiment: Experiment, reference: Experiment, method: str) -> Comparison | None:
    """Compares the difference of rst and another method, paired by seed, with the same difference in the reference."""
    gaps = [
        {
            seed: own - others[seed]
            for others in [length.accuracies(item.runs.get(method, {}))]
            for seed, own in length.accuracies(item.runs.get("rst", {})).items()
            if seed in others
        }
        for item in (experiment, reference)
    ]
    shared = set(gaps[0]) & set(gaps[1])
    ours, theirs = ({seed: gap[seed] for seed in shared} for gap in gaps)
    return compare(ours, theirs, method, length.MARGIN, 100 / length.IMAGES["test"]) if shared else None


def write_page(reference: Experiment, experiments: list[Experiment]) -> str:
    """Returns the text of the page."""
    lines = [INTRODUCTION, *_table(reference, experiments), *_controls(reference, experiments), *_batch_norms()]
    lines += _findings(reference, experiments)
    return "\n".join(lines) + "\n"


def _table(reference: Experiment, experiments: list[Experiment]) -> list[str]:
    lines = [
        "## What each change does to rst",
        "",
        "| experiment | test | difference from the reference | effectively removed, % | before | after | sum of lr λ |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for experiment in (reference, *experiments):
        runs = experiment.runs.get("rst", {})
        keys = [f"accuracy_{when}_removal" for when in ("before", "after")]
        around = [length.cell(length.accuracies(runs, "val", key)) for key in keys]
        change = "" if experiment is reference else length.difference(length.versus(runs, reference.runs["rst"], "rst"))
        test = length.cell(length.accuracies(runs))
        cells = [test, change, _effective(runs), *around]
        lines.append(f"| {experiment.name} | {' | '.join(cells)} | {experiment.shrinkage:.1f} |")
    return [*lines, "", *(f"- `{experiment.name}`: {experiment.question}" for experiment in experiments), ""]


def _effective(runs: Runs) -> str:
    known = [result["effective_sparsity"] for result in runs.values() if result.get("effective_sparsity") is not None]
    return f"{100 * float(np.mean(known)):.2f}" if known else "not recorded"


def _controls(reference: Experiment, experiments: list[Experiment]) -> list[str]:
    rows = [
        _control(experiment, names, reference)
        for experiment in (reference, *experiments)
        if len(experiment.runs) > 1
        for names in _same_runs(experiment)
    ]
    return [
        "## Beside other methods with the same change",
        "",
        "Images seen in millions; = marks a method that sees as many as `rst`. A method that is trained no differently",
        "from another one shares its row. The last column says what the change does to the difference: above 0, it",
        "helps `rst` more than the other method. A method at chance is not compared.",
        "",
        "| experiment | method | images | test | rst minus it | change of that |",
        "|---|---|---:|---:|---:|---:|",
        *rows,
        "",
    ]


def _same_runs(experiment: Experiment) -> list[list[str]]:
    """Returns the methods of an experiment, in groups of those whose runs end with the same weights."""
    groups: dict[Any, list[str]] = {}
    for method, runs in experiment.runs.items():
        digests = tuple(sorted((seed, result["weights_sha256"]) for seed, result in runs.items()))
        groups.setdefault(digests, []).append(method)
    return list(groups.values())


def _control(experiment: Experiment, names: list[str], reference: Experiment) -> str:
    own, runs = experiment.runs.get("rst", {}), experiment.runs[names[0]]
    equal = " =" if "rst" not in names and own and is_equal_budget(length.images(own), length.images(runs)) else ""
    seeds = length.at_chance(runs)
    test = length.cell(length.accuracies(runs)) + (f", at chance in {len(seeds)} of {len(runs)} seeds" if seeds else "")
    differences = ["", ""]
    if "rst" not in names and not seeds:
        differences[0] = length.difference(length.versus(own, runs, names[0]))
        if experiment is not reference:
            differences[1] = length.difference(change_of_gap(experiment, reference, names[0]))
    cells = [f"{length.images(runs) / 1e6:.2f}{equal}", test, *differences]
    return f"| {experiment.name} | {', '.join(names)} | {' | '.join(cells)} |"


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
    alone = {item.name: length.versus(item.runs.get("rst", {}), reference.runs["rst"], "rst") for item in experiments}
    gaps = {
        item.name: change_of_gap(item, reference, "lth")
        for item in experiments
        if "lth" in item.runs and not length.at_chance(item.runs["lth"])
    }
    lines = [
        f"- Test accuracy of `rst`: {_signs(alone)}.",
        f"- Difference of `rst` and `lth`, which a cause of falling short has to change: {_signs(gaps)}.",
        *_longer_finetuning(experiments),
    ]
    found = {item.name: item.runs for item in experiments}
    missing = {path.stem: length.lacking(path, found.get(path.stem, {})) for path in sorted(FLAGS.glob("*.flags"))}
    lines += [f"- Not run: `{name}.flags`: {words}." for name, words in missing.items() if words]
    return ["## What it says", "", *lines]


def _signs(found: Mapping[str, Comparison | None]) -> str:
    """Returns which intervals exclude 0, in words."""
    kinds: dict[str, list[str]] = {"raised by": [], "lowered by": [], "left open by": []}
    for name, comparison in found.items():
        if comparison is not None and comparison.difference.has_interval:
            low, high = comparison.interval_95
            kinds["raised by" if low > 0 else "lowered by" if high < 0 else "left open by"].append(f"`{name}`")
    return "; ".join(f"{kind} {', '.join(names)}" for kind, names in kinds.items() if names)


def _longer_finetuning(experiments: list[Experiment]) -> list[str]:
    """Returns what a longer finetuning does beside a longer transformation and beside iterative pruning."""
    study = length.read()
    own = next((item.runs.get("rst", {}) for item in experiments if item.name == LONGER), {})
    others = {"`rst` of 40,000 steps": study.runs("rst", 40_000), "`lth_iter`": study.reference.get("lth_iter", {})}
    words = [
        f"{length.difference(length.versus(own, runs, name))} to {name} ({length.images(runs) / 1e6:.2f} million)"
        for name, runs in others.items()
        if own and runs
    ]
    if not words:
        return []
    start = f"- `rst` with `{LONGER}` ({length.images(own) / 1e6:.2f} million images) has a difference of"
    fresh = "Three seeds chose it; [eight others](longer_finetuning.md), at equal budgets, say what it is worth."
    return [f"{start} {' and of '.join(words)}. {fresh}"]


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
