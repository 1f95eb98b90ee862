"""Writes docs/results/transform_length.md and its plot from committed results; collects these from finished sweeps.

python scripts/length_study.py collect transform_length runs/length    # copies every result.json that is complete
python scripts/length_study.py write                                   # the page and the plots, from the copies alone
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from dlth_tf.analysis.budgets import is_equal_budget
from dlth_tf.analysis.chance import seeds_at_chance
from dlth_tf.analysis.comparison import Comparison, compare
from dlth_tf.analysis.plotting.figures import STYLE, WIDTH, add_legend, png
from dlth_tf.analysis.sentences import interval_words, points

DOCS = Path(__file__).resolve().parents[1] / "docs" / "results"
FLAGS = DOCS.parents[1] / "flags"
PAGE = DOCS / "transform_length.md"
SEEDS = 3
MARGIN = 0.5  # points
IMAGES = {"test": 10_000, "val": 6_000}
CLASSES = 10
REFERENCES = ("lth", "lth_long", "lth_iter", "scratch", "scratch_long")  # that rst is compared with
COLORS = {
    "lth": "#0072B2",
    "lth_long": "#56B4E9",
    "lth_iter": "#D55E00",
    "scratch": "#999999",
    "scratch_long": "#009E73",
}

INTRODUCTION = """# How long the transformation has to be

Test accuracy after the last epoch against the number of steps of the transformation, on Fashion-MNIST. The schedule is
the published staircase over the length: five ninths of the steps grow the penalty, the others hold it. Everything else
is as in the `base.flags` of the network (learning rate of the transformation .01, chosen on validation images with
seed 10, which does not appear here). Batches of the transformation have 64 images, all other batches 128.

`lth` and `lth_iter` do not depend on the length. `scratch_long` and `lth_long` see as many images as `rst` (`lth_long`
never fewer than `lth`). Accuracies are in percent, mean ± standard deviation over seeds 0, 1, 2; before and after are
around the removal, on validation images. Differences are accuracy of `rst` minus that of the other method, in points,
with their 95 % interval over seeds (paired by seed); of test images, unless validation images are named. A length is
chosen on validation images: the shortest whose mean loses less than half a point against `lth`. Intervals are not
corrected for multiplicity, and three seeds make them wide: [eight fresh seeds](transform_fresh_seeds.md) of LeNet-5 at
98 % with 10,000 steps are narrower.

The 2,500 steps of [the table of all methods](fashion_mnist_lenet5.md) have another shape: 2,000 of them grow the
penalty and 500 hold it.
"""


@dataclass(frozen=True)
class Part:
    """A network at one sparsity.

    Attributes:
      name: Folder of its results in docs/results.
      title: Its heading on the page.
      flags: Folder of its flagfiles in flags/: reference.flags, and one per length.
      sweeps: Folder of its sweeps in runs/.
      machine: Sentence on where its runs were trained, if not all on a CPU.
      again: Folder in docs/results of some of its runs, trained once more on an NVIDIA H100; empty without any.
    """

    name: str
    title: str
    flags: str
    sweeps: str
    machine: str = ""
    again: str = ""

    @property
    def results(self) -> Path:
        """Folder of the committed results."""
        return DOCS / self.name

    @property
    def plot(self) -> Path:
        """File of the plot."""
        return self.results / "difference.png"

    @property
    def flagfiles(self) -> list[str]:
        """Names of its flagfiles, in the order of their lengths."""
        names = (path.stem for path in (FLAGS / self.flags).glob("*.flags"))
        return sorted(
            (name for name in names if name == "reference" or name.startswith("steps_")),
            key=lambda name: 0 if name == "reference" else steps_of(name),
        )


LENET = Part("transform_length", "LeNet-5 at 98 % sparsity", "fashion_mnist/length", "length")
LENET_95 = Part("transform_length_95", "LeNet-5 at 95 % sparsity", "fashion_mnist/length_95", "length_95")
RESNET = Part(
    "transform_length_resnet8",
    "ResNet-8 at 98 % sparsity",
    "fashion_mnist/resnet8/length",
    "resnet8_length",
    "The runs of 40,000 steps were trained on an NVIDIA H100, in float32 without TF32; all others on a CPU.",
)
RESNET_95 = Part(
    "transform_length_resnet8_95",
    "ResNet-8 at 95 % sparsity",
    "fashion_mnist/resnet8/length_95",
    "resnet8_length_95",
    again="transform_length_resnet8_95_h100",
)
PARTS = {part.name: part for part in (LENET, LENET_95, RESNET, RESNET_95)}


@dataclass(frozen=True)
class Study:
    """All results: runs whose training depends on the length of the transformation, and the others.

    Attributes:
      by_length: Steps of the transformation -> method -> seed -> content of result.json.
      reference: Method -> seed -> content of result.json, for methods whose training does not depend on the length.
    """

    by_length: Mapping[int, Mapping[str, Mapping[int, dict[str, Any]]]]
    reference: Mapping[str, Mapping[int, dict[str, Any]]]

    def runs(self, method: str, steps: int) -> Mapping[int, dict[str, Any]]:
        """Returns the runs of a method beside a transformation of so many steps, by seed; empty without one."""
        return self.by_length.get(steps, {}).get(method) or self.reference.get(method, {})


def collect(part: Part, root: Path) -> None:
    """Copies the results of the complete runs of all sweeps in a folder into docs/results."""
    part.results.mkdir(exist_ok=True)
    for path in sorted(root.glob("*/*/result.json")):
        shutil.copyfile(path, part.results / f"{path.parent.parent.name}.{path.parent.name}.result.json")


def steps_of(name: str) -> int:
    """Returns the length in the name of a sweep, in steps."""
    return int(name.removeprefix("steps_"))


def read(part: Part = LENET) -> Study:
    """Reads the committed results."""
    return read_folder(part.results)


def read_folder(folder: Path) -> Study:
    """Reads the results in a folder of docs/results."""
    by_length: dict[int, dict[str, dict[int, dict[str, Any]]]] = {}
    reference: dict[str, dict[int, dict[str, Any]]] = {}
    for path in sorted(folder.glob("*.result.json")):
        result = json.loads(path.read_text())
        sweep = path.name.split(".", 1)[0]
        methods = reference if sweep == "reference" else by_length.setdefault(steps_of(sweep), {})
        methods.setdefault(result["method"], {})[result["seed"]] = result
    return Study(dict(sorted(by_length.items())), reference)


def committed() -> dict[str, Study]:
    """Reads the results of every part that has any, by its name."""
    return {name: read(part) for name, part in PARTS.items() if part.results.is_dir()}


def accuracies(runs: Mapping[int, dict[str, Any]], split: str = "test", key: str = "accuracy_last") -> dict[int, float]:
    """Returns an accuracy of every seed in percent."""
    return {seed: 100 * result[split][key] for seed, result in sorted(runs.items())}


def cell(values: Mapping[int, float], seeds: int = SEEDS) -> str:
    """Formats mean and standard deviation over seeds in percent, with the number of seeds if it is another one."""
    if not values:
        return "not run"
    column = pd.Series(values)
    spread = f" ± {column.std():.1f}" if len(column) > 1 else ""
    return f"{column.mean():.1f}{spread}" + ("" if len(column) == seeds else f" ({len(column)} of {seeds} seeds)")


def comparisons(study: Study, steps: int, split: str = "test") -> dict[str, Comparison]:
    """Compares rst after a transformation of so many steps with every method that shares seeds with it, paired."""
    found = {name: versus(study.runs("rst", steps), study.runs(name, steps), name, split) for name in REFERENCES}
    return {name: comparison for name, comparison in found.items() if comparison is not None}


def versus(
    own: Mapping[int, dict[str, Any]], other: Mapping[int, dict[str, Any]], name: str, split: str = "test"
) -> Comparison | None:
    """Compares two groups of runs on the seeds that they share; None if they share none."""
    shared = sorted(set(own) & set(other))
    left, right = (accuracies({seed: runs[seed] for seed in shared}, split) for runs in (own, other))
    return compare(left, right, name, MARGIN, 100 / IMAGES[split]) if shared else None


def at_chance(runs: Mapping[int, dict[str, Any]]) -> tuple[int, ...]:
    """Returns the seeds whose test accuracy is that of a guess."""
    found = {seed: result["test"]["accuracy_last"] for seed, result in runs.items()}
    return seeds_at_chance(found, CLASSES, IMAGES["test"]) or ()


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


def lacking(path: Path, runs: Mapping[str, Mapping[int, dict[str, Any]]]) -> str:
    """Returns which methods of a flagfile lack seeds, as "rst (seeds 1, 2), lth (all)"; empty if none does.

    Args:
      path: The flagfile.
      runs: Method -> seed -> content of result.json.
    """
    flags = flags_of(path)
    seeds = [int(seed) for seed in flags["seeds"].split(",")]
    words = []
    for method in flags["methods"].split(","):
        missing = [str(seed) for seed in seeds if seed not in runs.get(method, {})]
        if missing:
            which = "all" if len(missing) == len(seeds) else f"seed{'s' * (len(missing) > 1)} {', '.join(missing)}"
            words.append(f"{method} ({which})")
    return ", ".join(words)


def write_page(studies: Mapping[str, Study]) -> str:
    """Returns the text of the page.

    Args:
      studies: Name of a part -> its results, for the parts that have any.
    """
    parts = [line for name, study in studies.items() for line in _section(PARTS[name], study)]
    return "\n".join([INTRODUCTION, *parts]).rstrip() + "\n"


def _section(part: Part, study: Study) -> list[str]:
    commands = [
        f"for name in {' '.join(part.flagfiles)}; do",
        f"    python -m dlth_tf.sweep --flagfile=flags/{part.flags}/$name.flags --data_dir=DIR",
        "done",
        f"python scripts/length_study.py collect {part.name} runs/{part.sweeps}",
        "python scripts/length_study.py write",
    ]
    made = f"The last command makes this part of the page, and the plot, from the files in `docs/results/{part.name}`."
    head = [f"## {part.title}", "", "```sh", *commands, "```", "", f"{made} {part.machine}".rstrip(), ""]
    body = [*head, *_findings(part, study), *_difference_table(part, study), *_accuracy_table(study)]
    return [*body, *(_again(part, study) if part.again else [])]


def _again(part: Part, study: Study) -> list[str]:
    """Returns the section on runs that were trained once more on another device."""
    other = read_folder(DOCS / part.again)
    rows, changes, sentences = [], [], []
    for steps, methods in other.by_length.items():
        for method in ("rst", "scratch_long", "lth_long"):
            here, there = (accuracies(each.runs(method, steps)) for each in (study, other))
            changed = [there[seed] - here[seed] for seed in sorted(here.keys() & there.keys())]
            changes += changed
            single = ", ".join(points(change) for change in changed)
            rows.append(f"| {method} | {steps:,} | {cell(here)} | {cell(there)} | {single} |")
        for name in (name for name in methods if name != "rst"):
            ours, theirs = (comparisons(each, steps)[name] for each in (study, other))
            low, high = theirs.interval_95
            where = "inside" if low <= ours.difference.mean <= high else "outside"
            sentences.append(
                f"- `rst` minus `{name}`, {steps:,} steps: {difference(theirs)} on the H100, and {difference(ours)} on "
                f"the CPU, which is {where} that interval."
            )
    mean, most = pd.Series(changes).mean(), pd.Series(changes).abs().max()
    return [
        "### The same runs on an NVIDIA H100",
        "",
        f"The runs in `docs/results/{part.again}` (float32 without TF32) have the same seeds, data and initial "
        "weights; only the device differs, and its rounding. "
        f"A run changes by up to {points(most)} points, and by {points(mean)} on average: an "
        "interval over three seeds can be narrower than what another device does.",
        "",
        *sentences,
        "",
        "| method | steps of the transformation | test, CPU | test, H100 | H100 minus CPU, by seed |",
        "|---|---:|---:|---:|---:|",
        *rows,
        "",
    ]


def _accuracy_table(study: Study) -> list[str]:
    rows = [
        "| method | steps of the transformation | images seen, million | before | after | validation | test |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for method, runs in study.reference.items():
        rows.append(_row(method, "", runs))
    for steps, methods in study.by_length.items():
        rows += [
            _row(method, f"{steps:,}", methods[method])
            for method in ("rst", "scratch_long", "lth_long")
            if method in methods
        ]
    return [*rows, ""]


def _row(method: str, steps: str, runs: Mapping[int, dict[str, Any]]) -> str:
    millions = images(runs) / 1e6
    around = [
        cell(accuracies(runs, "val", f"accuracy_{when}_removal")) if method == "rst" else ""
        for when in ("before", "after")
    ]
    finals = [cell(accuracies(runs, split)) for split in ("val", "test")]
    return f"| {' | '.join([method, steps, f'{millions:.2f}', *around, *finals])} |"


def images(runs: Mapping[int, dict[str, Any]]) -> float:
    """Returns the images that a run sees, the mean over seeds."""
    return float(pd.Series([result["cost"]["images_seen"] for result in runs.values()]).mean())


def _difference_table(part: Part, study: Study) -> list[str]:
    rows = [
        f"![Difference from lth, lth_long, lth_iter and scratch_long against steps]({part.name}/{part.plot.name})",
        "",
        f"| steps | {' | '.join(REFERENCES)} |",
        f"|---:|{'---:|' * len(REFERENCES)}",
    ]
    for steps in study.by_length:
        found = comparisons(study, steps)
        rows.append(f"| {steps:,} | {' | '.join(difference(found.get(name)) for name in REFERENCES)} |")
    return [*rows, ""]


def difference(comparison: Comparison | None) -> str:
    """Formats a difference in points with its interval."""
    if comparison is None:
        return "not run"
    interval = f" {interval_words(comparison.interval_95)}" if comparison.difference.has_interval else ""
    return points(comparison.difference.mean) + interval


def _findings(part: Part, study: Study) -> list[str]:
    lines = [_shortest(study)]
    for name in ("lth_long", "scratch_long"):
        equal = {steps: comparisons(study, steps).get(name) for steps in study.by_length}
        words = "; ".join(
            f"{steps:,} steps: {difference(found)}"
            for steps, found in equal.items()
            if found and is_equal_budget(*(images(study.runs(method, steps)) for method in ("rst", name)))
        )
        if words:
            lines.append(f"- Beside `{name}`, at the budget of `rst`: {words}.")
    groups = {"reference": study.reference} | {f"steps_{steps}": runs for steps, runs in study.by_length.items()}
    for name, methods in groups.items():
        for method, runs in methods.items():
            if seeds := at_chance(runs):
                which = f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
                lines.append(f"- At chance: `{method}` of `{name}.flags`, {which}, which its mean includes.")
    missing = {name: lacking(FLAGS / part.flags / f"{name}.flags", groups.get(name, {})) for name in part.flagfiles}
    lines += [f"- Not run: `{name}.flags`: {words}." for name, words in missing.items() if words]
    return [*lines, ""]


def _shortest(study: Study) -> str:
    """Returns the sentence on the shortest length that is enough, chosen on validation images."""
    losses = {steps: comparisons(study, steps, "val").get("lth") for steps in study.by_length}
    whole = {steps: found for steps, found in losses.items() if found and found.difference.seeds_b >= SEEDS}
    enough = [steps for steps, found in whole.items() if found.difference.mean > -MARGIN]
    if not whole:
        return f"- No length has {SEEDS} seeds of `rst` and `lth` yet."
    if not enough:
        return "- No length here loses less than half a point against `lth` on validation images."
    steps = min(enough)
    test = comparisons(study, steps)["lth"]
    shown = "excludes" if test.interval_95[0] > -MARGIN else "does not exclude"
    return (
        f"- The shortest length whose mean loses less than half a point against `lth` on validation images is "
        f"{steps:,} steps (difference {difference(whole[steps])}). On test images the difference is "
        f"{difference(test)}, whose interval {shown} a loss of half a point."
    )


def draw(study: Study) -> bytes:
    """Returns the plot of the differences as a PNG."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
        axes = figure.add_subplot()
        axes.axhline(0, color="0.6", linewidth=0.8)
        lengths = [steps for steps in study.by_length if study.runs("rst", steps)]
        for shift, name in enumerate(name for name in REFERENCES if name != "scratch"):
            found = {steps: comparisons(study, steps).get(name) for steps in lengths}
            bars = {
                steps * 1.05 ** (shift - 1.5): comparison
                for steps, comparison in found.items()
                if comparison is not None and comparison.difference.has_interval
            }
            means = [comparison.difference.mean for comparison in bars.values()]
            half = [comparison.interval_95[1] - comparison.difference.mean for comparison in bars.values()]
            axes.errorbar(list(bars), means, half, color=COLORS[name], marker="o", markersize=4, capsize=2, label=name)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(lengths))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticks(lengths, [f"{steps:,}" for steps in lengths])
        axes.set_xlabel("steps of the transformation")
        axes.set_ylabel("rst minus the other, points")
        axes.set_title("Test accuracy of rst beside other methods, 95 % intervals")
        axes.grid(axis="y", color="0.92")
        add_legend(figure, *axes.get_legend_handles_labels())
        return png(figure)


def main(arguments: list[str]) -> None:
    """Runs one of the two commands of the module's docstring."""
    match arguments:
        case ["collect", name, root] if name in PARTS:
            collect(PARTS[name], Path(root))
        case ["write"]:
            studies = committed()
            PAGE.write_text(write_page(studies))
            for name, study in studies.items():
                PARTS[name].plot.write_bytes(draw(study))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
