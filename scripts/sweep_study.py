"""Writes the pages of whole sweeps in docs/results from committed results; collects these from the sweeps.

python scripts/sweep_study.py collect cifar10_resnet8 runs/cifar10_resnet8    # its results, histories and failures
python scripts/sweep_study.py write                                           # all pages and pictures, from the copies

A page is the report of the sweep: its table, answers, verdicts and costs, with the runs that are still missing.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dlth_tf.analysis.report import write_report

DOCS = Path(__file__).resolve().parents[1] / "docs" / "results"
PICTURES = {
    "accuracy_vs_sparsity.png": "Test accuracy of every method against the share of weights removed",
    "accuracy_vs_cost.png": "Test accuracy of every method against the images seen",
    "accuracy_over_training.png": "Test accuracy of every method through its training, before and after the removal",
}
HISTORY = ["phase", "epoch", "step", "penalty", "sparsity", "val_accuracy", "test_accuracy"]  # the columns of copies


@dataclass(frozen=True)
class Study:
    """A sweep with a page of its own.

    Attributes:
      name: Name of the page and of the folder with its results.
      flagfile: Its flagfile in flags/.
      sweep: Folder of the sweep in runs/.
      title: Title of the page.
      introduction: What was run, in Markdown.
      classes: Number of classes.
      test_images: Number of test images.
      histories: Whether the copies include histories, which the plot over the training is made from.
    """

    name: str
    flagfile: str
    sweep: str
    title: str
    introduction: str
    classes: int = 10
    test_images: int = 10_000
    histories: bool = True

    @property
    def folder(self) -> Path:
        """Folder of the committed results."""
        return DOCS / self.name

    @property
    def page(self) -> Path:
        """File of the page."""
        return DOCS / f"{self.name}.md"


CIFAR10 = """A random ticket, transformed, beside the winning ticket of a residual network on color images: ResNet-8
(75,290 parameters), CIFAR-10, 10 epochs of crops and flips at the published learning rates; the transformation has the
published staircase over 10,000 steps of 64 images. `flags/cifar10_resnet8/base.flags` has all choices. Nothing was
chosen on test images: the learning rate of the transformation is that of the length study on another data set.

**The images are not the original bits.** They had been compressed with JPEG once, so every number below belongs to
those copies, and accuracies on the original CIFAR-10 may differ.

Seeds 0 and 1 were trained on a CPU, two runs at a time. Seed 2 began on an NVIDIA H100, in float32 without TF32, and
went on from its checkpoints on that CPU, so its wall times are those of neither machine.
"""
PUBLISHED = """The comparison of [the residual network on CIFAR-10](cifar10_resnet8.md) with the proportions of the
paper: the transformation sees .64 of the images of the finetuning, which is 4,500 steps of 64 images here. `rst` and
`scratch_long` see 737,280 images; `lth_long`, which never sees fewer than `lth`, 898,560.

**The images are not the original bits.** They had been compressed with JPEG once, so every number below belongs to
those copies, and accuracies on the original CIFAR-10 may differ.

`rst` and `lth_long` at 90 %, and `rst` at 98 % with seed 0, were trained on an NVIDIA H100, in float32 without TF32,
13 runs at a time. All others were trained on a CPU, some from checkpoints of that GPU, some beside other work and with
pauses, so wall times compare nothing here.
"""
FASHION = """Every method at three sparsities, with the counterparts that the paper compares: `rst` beside `lth`,
`rst_iter` beside `lth_iter`. LeNet-5 (61,706 parameters), 8 epochs, transformation of 2,500 steps instead of the
published 90,000. All choices were made on validation images with seed 10, which does not appear here;
`flags/fashion_mnist/base.flags` explains them. [The length study](transform_length.md) has longer transformations at
98 % and 95 %, and [eight fresh seeds](transform_fresh_seeds.md) one of 10,000 steps. Its 2,500 steps follow the
published staircase, five ninths of growth; here, 2,000 steps grow the penalty and 500 hold it.
"""
FRESH = """LeNet-5 on Fashion-MNIST at 98 % sparsity with the transformation of 10,000 steps that
[the length study](transform_length.md) chooses on validation images, on eight seeds (12 to 19) that no choice was made
with. The test images are those of the length study. All other choices are those of `flags/fashion_mnist/base.flags`.
"""
DIGITS = """Every method that a verdict compares, at three sparsities and on eight seeds: the network, data and
choices of `flags/digits/base.flags`, which were made on validation images with other seeds. The margin of half a point
was fixed before the sweep. Everything is small here: 8x8 images in grey, 500 of them for the test.
"""
STUDIES = {
    study.name: study
    for study in (
        Study(
            name="digits_verdict",
            flagfile="digits/verdict.flags",
            sweep="verdict",
            title="Digits on eight seeds",
            introduction=DIGITS,
            test_images=500,
            histories=False,
        ),
        Study(
            name="fashion_mnist_lenet5",
            flagfile="fashion_mnist/table.flags",
            sweep="fashion_mnist",
            title="LeNet-5 on Fashion-MNIST",
            introduction=FASHION,
        ),
        Study(
            name="transform_fresh_seeds",
            flagfile="fashion_mnist/length/fresh_seeds.flags",
            sweep="fashion_mnist_fresh_seeds",
            title="A transformation of 10,000 steps on fresh seeds",
            introduction=FRESH,
        ),
        Study(
            name="cifar10_resnet8",
            flagfile="cifar10_resnet8/table.flags",
            sweep="cifar10_resnet8",
            title="A residual network on CIFAR-10",
            introduction=CIFAR10,
        ),
        Study(
            name="cifar10_resnet8_published_proportion",
            flagfile="cifar10_resnet8/published_proportion.flags",
            sweep="cifar10_resnet8_published_proportion",
            title="A residual network on CIFAR-10, proportions of the paper",
            introduction=PUBLISHED,
        ),
    )
}


def collect(study: Study, sweep: Path) -> None:
    """Copies plan and failures of a sweep, the results of its complete runs, and histories into docs/results."""
    study.folder.mkdir(exist_ok=True)
    (study.folder / "failures.json").unlink(missing_ok=True)
    for path in (sweep / name for name in ("plan.json", "failures.json") if (sweep / name).exists()):
        shutil.copyfile(path, study.folder / path.name)
    for path in sorted(sweep.glob("*/result.json")):
        shutil.copyfile(path, study.folder / f"{path.parent.name}.result.json")
    for path in sorted(sweep.glob("*/history.csv") if study.histories else ()):
        copy = study.folder / f"{path.parent.name}.history.csv"
        pd.read_csv(path).round(5).to_csv(copy, columns=HISTORY, index=False, lineterminator="\n")


def restore(study: Study, sweep: Path) -> None:
    """Writes the copies of a study as the folder of a sweep, from which a report can be made."""
    for path in (study.folder / name for name in ("plan.json", "failures.json") if (study.folder / name).exists()):
        shutil.copyfile(path, sweep / path.name)
    data = {"examples": {"test": study.test_images}, "label_names": [str(label) for label in range(study.classes)]}
    for name in ("result.json", "history.csv"):
        for path in study.folder.glob(f"*.{name}"):
            run = sweep / path.name.removesuffix(f".{name}")
            run.mkdir(exist_ok=True)
            shutil.copyfile(path, run / name)
            (run / "config.json").write_text(json.dumps({"data": data}))


def write(study: Study) -> str:
    """Writes the pictures of a study, and returns the text of its page."""
    with tempfile.TemporaryDirectory() as temporary:
        sweep = Path(temporary)
        restore(study, sweep)
        findings = write_report(sweep)
        pictures = [name for name in PICTURES if name in findings.picture_names]
        for name in pictures:
            shutil.copyfile(sweep / name, study.folder / name)
        table = (sweep / "table.md").read_text()
    data = "" if study.flagfile.startswith("digits/") else " --data_dir=DIR"  # digits come with scikit-learn
    commands = [
        f"python -m dlth_tf.sweep --flagfile=flags/{study.flagfile}{data}",
        f"python scripts/sweep_study.py collect {study.name} runs/{study.sweep}",
        "python scripts/sweep_study.py write",
    ]
    shown = [f"![{PICTURES[name]}]({study.name}/{name})" for name in pictures]
    made = f"The last command makes this page from the files in `docs/results/{study.name}`."
    if len(pictures) == len(PICTURES):
        made += (
            " In the last picture, lines are medians over seeds, a hollow mark is the accuracy immediately before the "
            "removal, and a filled one that immediately after it."
        )
    code = "\n".join(["```sh", *commands, "```"])
    return "\n\n".join([f"# {study.title}", study.introduction.rstrip(), code, made, *shown, table.rstrip()]) + "\n"


def main(arguments: list[str]) -> None:
    """Runs one of the two commands of the module's docstring."""
    match arguments:
        case ["collect", name, sweep] if name in STUDIES:
            collect(STUDIES[name], Path(sweep))
        case ["write"]:
            for study in STUDIES.values():
                if (study.folder / "plan.json").is_file():
                    study.page.write_text(write(study))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
