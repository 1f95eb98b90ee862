"""Writes docs/results/longer_finetuning.md from committed results; collects these from finished sweeps.

python scripts/longer_finetuning_study.py collect runs/longer_finetuning    # copies every result.json that is complete
python scripts/longer_finetuning_study.py write                             # the page, from the copies alone

The runs of rst_iter are those of the fresh seeds (docs/results/transform_fresh_seeds).
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import length_study as length

from dlth_tf.analysis.budgets import is_equal_budget
from dlth_tf.analysis.comparison import Comparison

FLAGS = length.FLAGS / "fashion_mnist" / "longer_finetuning"
RESULTS = length.DOCS / "longer_finetuning"
FRESH = length.DOCS / "transform_fresh_seeds"
PAGE = length.DOCS / "longer_finetuning.md"
SEEDS = 8
OUTCOMES = {
    "better": "better",
    "worse": "not as good",
    "equivalent": "as good",
    "undecided": "undecided",
    "no test": "untested",
}

INTRODUCTION = """# A longer finetuning, at equal budgets

Of the changes of the recipe that [were tried one at a time](transform_causes.md), a finetuning of 24 epochs instead of
8 and a wider network raised `rst`. Here that finetuning follows the transformation of 10,000 steps on eight seeds (12
to 19) that took no part in the choice, and every other method has the same budget: images seen differ by at most 1 %.
LeNet-5 on Fashion-MNIST at 98 % sparsity; all other choices are those of `flags/fashion_mnist/base.flags`. `rst_iter`
is that of [the fresh seeds](transform_fresh_seeds.md), with 8 epochs.

```sh
for file in flags/fashion_mnist/longer_finetuning/*.flags; do
    python -m dlth_tf.sweep --flagfile=$file --data_dir=DIR
done
python scripts/longer_finetuning_study.py collect runs/longer_finetuning
python scripts/longer_finetuning_study.py write
```

The last command makes this page from the files in `docs/results/longer_finetuning` and
`docs/results/transform_fresh_seeds`. Accuracies are in percent after the last epoch, mean ± standard deviation over
seeds; differences are those of test accuracy in points, paired by seed, with their 95 % interval. Intervals are not
corrected for multiplicity, and the test images are those of the other studies.
"""

Runs = dict[int, dict[str, Any]]  # content of result.json by seed


@dataclass(frozen=True)
class Pair:
    """A transformed ticket beside a method of the same budget.

    Attributes:
      ticket: The transformed ticket: name of a flagfile, or the folder of the fresh seeds, and its method.
      other: The other method, likewise.
      question: What the comparison answers.
    """

    ticket: tuple[str, str]
    other: tuple[str, str]
    question: str


PAIRS = (
    Pair(("transformed", "rst"), ("transformed", "scratch_long"), "control"),
    Pair(("transformed", "rst"), ("one_shot", "lth"), "like with like"),
    Pair(("transformed", "rst"), ("iterative", "lth_iter"), "the harder question"),
    Pair((FRESH.name, "rst_iter"), ("iterative_11_epochs", "lth_iter"), "like with like"),
)


def collect(root: Path) -> None:
    """Copies the results of the complete runs of all sweeps in a folder into docs/results."""
    RESULTS.mkdir(exist_ok=True)
    for path in sorted(root.glob("*/*/result.json")):
        shutil.copyfile(path, RESULTS / f"{path.parent.parent.name}@{path.parent.name}.result.json")


def read() -> dict[tuple[str, str], Runs]:
    """Returns the committed runs by (flagfile or folder, method)."""
    found: dict[tuple[str, str], Runs] = {}
    named = [(path.name.split("@")[0], path) for path in sorted(RESULTS.glob("*@*.result.json"))]
    named += [(FRESH.name, path) for path in sorted(FRESH.glob("rst_iter-*.result.json"))]
    for name, path in named:
        result = json.loads(path.read_text())
        found.setdefault((name, result["method"]), {})[result["seed"]] = result
    return found


def compared(found: dict[tuple[str, str], Runs]) -> Iterable[tuple[Pair, Comparison]]:
    """Yields the pairs with their comparisons; raises ValueError for one whose budgets differ."""
    for pair in PAIRS:
        own, other = found.get(pair.ticket, {}), found.get(pair.other, {})
        comparison = length.versus(own, other, pair.other[1])
        if comparison is not None:
            if not is_equal_budget(length.images(own), length.images(other)):
                raise ValueError(f"{pair.ticket} and {pair.other} have different budgets")
            yield pair, comparison


def write_page(found: dict[tuple[str, str], Runs]) -> str:
    """Returns the text of the page."""
    said = [
        f"- `{pair.ticket[1]}` beside `{pair.other[1]}`, {pair.question}, at equal budget: "
        f"{OUTCOMES[comparison.outcome]}, difference {length.difference(comparison)}."
        for pair, comparison in compared(found)
    ]
    rows = [
        f"| {method} | `{name}{'' if name == FRESH.name else '.flags'}` | {length.images(runs) / 1e6:.2f} | "
        f"{length.cell(length.accuracies(runs, 'val'), SEEDS)} | {length.cell(length.accuracies(runs), SEEDS)} |"
        for (name, method), runs in sorted(found.items(), key=lambda item: length.images(item[1]))
    ]
    missing = {
        path.stem: length.lacking(path, {method: runs for (name, method), runs in found.items() if name == path.stem})
        for path in sorted(FLAGS.glob("*.flags"))
    }
    lacking = [f"- Not run: `{name}.flags`: {words}." for name, words in missing.items() if words]
    header = ["| method | runs | images seen, million | validation | test |", "|---|---|---:|---:|---:|"]
    return "\n".join([INTRODUCTION, *said, *lacking, "", *header, *rows]) + "\n"


def main(arguments: list[str]) -> None:
    """Runs one of the two commands of the module's docstring."""
    match arguments:
        case ["collect", root]:
            collect(Path(root))
        case ["write"]:
            PAGE.write_text(write_page(read()))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
