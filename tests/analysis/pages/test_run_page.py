"""Report on the weights of one run."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from dlth_tf.analysis.pages import run_page
from dlth_tf.analysis.pages.run_page import write_run_report
from dlth_tf.analysis.plotting import run_plots
from dlth_tf.analysis.run_record import read_run
from dlth_tf.errors import BadInput
from tests.analysis.conftest import write_run
from tests.analysis.test_run_record import HEADER, MASKS, NEW, OLD

CONV = {"conv1/kernel": np.arange(3 * 3 * 4 * 300).reshape(3, 3, 4, 300) % 10 == 0, "fc/kernel": np.ones((4, 2), bool)}
ONE_PHASE = f"{HEADER}\nfinetune,20,0,0.9,0.9,0.88\n"
REMOVAL = {"accuracy_before_removal": 0.7, "accuracy_after_removal": 0.65}


def test_the_squeezing_is_stated_in_numbers(tmp_path: Path) -> None:
    texts = write_run_report(write_run(tmp_path / "run", NEW, MASKS, **REMOVAL)).sentences
    assert texts[0].startswith(
        "rst with seed 0: 90 % of the prunable weights and 81 % of all kernel weights are removed;"
    )
    assert texts[1].endswith(
        "to be removed changed from 0.04 to 0.01 (25 % of the initial value), and that of the kept weights from 0.05 "
        "to 0.06 (1.2 times the initial value)."
    )
    assert texts[2] == "Test accuracy immediately before the removal: 70 %; immediately after: 65 %."


@pytest.mark.parametrize(
    ("history", "words"),
    [
        (OLD, "has no columns magnitude_kept and magnitude_removed"),
        (ONE_PHASE, "No penalty was active in this run at the end of any evaluated epoch"),
        (NEW.replace("0.06,0.01", ","), "too few to show a change of the magnitudes"),
    ],
)
def test_what_cannot_be_shown_is_stated(tmp_path: Path, history: str, words: str) -> None:
    report = write_run_report(write_run(tmp_path / "run", history, MASKS))
    assert words in report.sentences[1] and len(report.sentences) == 2
    assert words in report.page.read_text()


@pytest.mark.fast_cases("matrix-new", "convolution-old", "convolution-no accuracy")
@pytest.mark.parametrize(
    "history", [OLD, NEW, ONE_PHASE, ONE_PHASE.replace("0.9,0.88", ",")], ids=["old", "new", "one phase", "no accuracy"]
)
@pytest.mark.parametrize("masks", [MASKS, CONV], ids=["matrix", "convolution"])
def test_any_run_gives_a_page_and_its_pictures(tmp_path: Path, history: str, masks: dict) -> None:
    root = write_run(tmp_path / "run", history, masks, **REMOVAL)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns where a layout does not fit
        report = write_run_report(root)
    assert {path.name for path in (root / "report").iterdir()} == {"weights.html", "weights.png", "masks.png"}
    assert report.page == root / "report" / "weights.html" and report.page.read_text().count("<img ") == 2


def test_the_table_names_every_tensor_with_what_is_left_of_it(tmp_path: Path) -> None:
    page = write_run_report(write_run(tmp_path / "run", OLD, CONV)).page.read_text()
    rows = re.findall(
        r'<tr><th scope="row">(.*?)</th><td>(.*?)</td><td>(.*?)</td><td>(.*?)</td><td>(.*?)</td></tr>', page
    )
    assert rows == [
        ("conv1/kernel", "3 × 3 × 4 × 300", "10,800", "1,080", "90 %"),
        ("fc/kernel", "4 × 2", "8", "8", "0 %"),
    ]
    assert "Images of masks. conv1/kernel 90 % removed." in page


@pytest.mark.parametrize(
    "masks", [{}, {"fc/kernel": np.ones((4, 2), bool)}, {"empty": np.ones((0, 3), bool), "scalar": np.array(True)}]
)
def test_a_run_that_removed_nothing_has_no_picture_of_masks(tmp_path: Path, masks: dict) -> None:
    root = write_run(tmp_path / "run", ONE_PHASE, masks)
    assert write_run_report(root).page.read_text().count("<img ") == 1
    assert not (root / "report" / "masks.png").exists()


def test_magnitudes_have_a_panel_of_their_own_only_where_they_were_recorded(tmp_path: Path) -> None:
    heights = []
    for name, history in (("one", ONE_PHASE), ("old", OLD), ("new", NEW)):
        report = write_run_report(write_run(tmp_path / name, history, MASKS))
        heights.append(int.from_bytes((report.page.parent / "weights.png").read_bytes()[20:24], "big"))
    assert heights[0] < heights[1] < heights[2]


def test_only_magnitudes_that_there_were_are_named(tmp_path: Path) -> None:
    for name, history, expected in (
        ("both", NEW, ["kept", "to be removed"]),
        ("kept", NEW.replace(",0.04", ",0").replace(",0.01", ",0"), ["kept"]),
    ):
        axes = Figure().add_subplot()
        run_plots._draw_magnitudes(axes, read_run(write_run(tmp_path / name, history, MASKS)))
        assert [line.get_label() for line in axes.get_lines()] == expected


def test_a_run_that_cannot_be_used_gets_no_folder(tmp_path: Path) -> None:
    root = write_run(tmp_path / "run", "", MASKS)
    with pytest.raises(BadInput):
        write_run_report(root)
    assert not (root / "report").exists()


def test_a_folder_that_cannot_be_created_is_one_sentence(tmp_path: Path) -> None:
    root = write_run(tmp_path / "run", OLD, MASKS)
    (root / "report").write_text("a file in its place")
    with pytest.raises(BadInput, match=r"^run_dir=.*: cannot be written to \(File exists\)$"):
        write_run_report(root)


def test_a_report_can_be_written_again_and_is_the_same(tmp_path: Path) -> None:
    root = write_run(tmp_path / "run", NEW, MASKS)
    assert write_run_report(root).page.read_bytes() == run_page.write_run_report(root).page.read_bytes()
