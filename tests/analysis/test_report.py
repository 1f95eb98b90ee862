"""Report on a sweep: its files, and its handling of unusual and invalid input."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from dlth_tf.analysis import report
from dlth_tf.analysis.answers import QUESTION
from dlth_tf.analysis.report import FILES, write_report
from dlth_tf.analysis.results import read_results
from dlth_tf.errors import BadInput
from tests.analysis.conftest import Run, WriteSweep, seeds

RUNS = [*seeds("dense", 0.0, 0.98, 0.981), *seeds("rst", 0.9, 0.1 + 0.2, 1 / 3), *seeds("lth", 0.9, 0.91, 0.9)]
ODD: dict[str, list[Run]] = {
    "one seed": [*seeds("rst", 0.9, 0.9), *seeds("lth", 0.9, 0.9), *seeds("scratch", 0.9, 0.8)],
    "only dense": seeds("dense", 0.0, 0.98, 0.97),
    "no rst": [*seeds("lth", 0.9, 0.9, 0.91), *seeds("scratch", 0.9, 0.8, 0.82)],
    "no winning ticket": [*seeds("rst", 0.9, 0.9, 0.91), *seeds("scratch", 0.9, 0.8, 0.82)],
    "half finished": [
        *seeds("rst", 0.9, 0.9, 0.91, 0.93),
        *seeds("rst", 0.98, 0.8),
        *seeds("lth", 0.9, 0.9),
        *seeds("scratch", 0.98, 0.1),
    ],
    "unknown methods": [*seeds("rigl", 0.9, 0.9), *seeds("mine", 0.5, 0.9), *seeds("rst", 0.9, 1.0, 1.0)],
}


def written(root: Path) -> set[str]:
    return {path.name for path in root.iterdir() if path.is_file() and path.name != "plan.json"}


def test_the_csv_gives_back_every_number(write_sweep: WriteSweep) -> None:
    root = write_sweep(RUNS)
    back = pd.read_csv(write_report(root).root / "results.csv", float_precision="round_trip")
    pd.testing.assert_frame_equal(back, read_results(root), check_exact=True)


@pytest.mark.fast_cases("no winning ticket", "half finished")
@pytest.mark.parametrize("runs", ODD.values(), ids=ODD)
def test_any_sweep_gives_every_file_and_a_sentence_per_transformed_ticket(
    write_sweep: WriteSweep, runs: list[Run]
) -> None:
    root = write_sweep(runs, configs=True)
    findings = write_report(root)
    assert written(root) == set(FILES)
    verdict = json.loads((root / "verdict.json").read_text())
    assert verdict["sentences"] == list(findings.sentences) and verdict["test_images"] == 500
    assert len(verdict["verdicts"]) == len({run[1] for run in runs if run[0] == "rst"})
    for sentence in findings.sentences:
        assert (
            f"- {sentence}\n" in (root / "table.md").read_text()
            and f"<li>{sentence}</li>" in (root / "report.html").read_text()
        )


def test_the_answer_comes_first_and_seeds_at_chance_are_named(write_sweep: WriteSweep) -> None:
    root = write_sweep([*RUNS, *seeds("scratch", 0.9, 0.1, 0.8)], configs=True)
    findings = write_report(root)
    (answer,) = findings.answers
    assert (
        answer.startswith("At 90 % sparsity, rst beside ")
        and "scratch, at equal budget, with 1 of its 2 seeds at chance" in answer
    )
    assert (root / "table.md").read_text().startswith(f"**{QUESTION}**\n\n- {answer}\n")
    assert f"<li>{answer}</li>" in (root / "report.html").read_text().partition("<h2>Verdict</h2>")[0]
    assert json.loads((root / "verdict.json").read_text())["answers"] == [answer]
    assert "scratch stays at chance accuracy in 1 of 2 seeds (seed 0)" in findings.sentences[0]


def test_a_report_can_be_written_again_and_is_the_same(write_sweep: WriteSweep) -> None:
    root = write_sweep(RUNS)
    first, second = ({name: (root / name).read_bytes() for name in FILES} for _ in range(2) if write_report(root))
    assert first == second


def test_the_margin_is_applied(write_sweep: WriteSweep) -> None:
    root = write_sweep([*seeds("rst", 0.9, 0.9, 0.902, 0.904), *seeds("lth", 0.9, 0.9, 0.9, 0.9)], configs=True)
    assert (
        "equivalent to the winning ticket (lth, like with like) within 0.6 points"
        in write_report(root, margin=0.6).sentences[0]
    )
    assert (
        "neither a significant difference nor equivalence within 0.4 points"
        in write_report(root, margin=0.4).sentences[0]
    )


def test_missing_runs_are_named_with_their_state(write_sweep: WriteSweep) -> None:
    root = write_sweep(RUNS, methods=["rst"], missing=[("rst", 0.9, 2), ("rst", 0.9, 3), ("rst", 0.9, 4)])
    for seed in (2, 4):
        (root / f"rst-0.9-s{seed}").mkdir()
    (root / "failures.json").write_text(json.dumps({"rst-0.9-s4": "its process died"}))
    words = (
        "Missing (3): rst-0.9-s2 (started: stopped or still running), rst-0.9-s3 (not started), "
        "rst-0.9-s4 (failed: its process died)."
    )
    findings = write_report(root)
    assert findings.missing_sentence == words and f"\n{words}\n" in (root / "table.md").read_text()
    page = (root / "report.html").read_text()
    assert "<li>rst-0.9-s4: failed: its process died</li>" in page and "<li>rst-0.9-s3: not started</li>" in page
    assert "3 planned runs have no result" in page


def test_missing_runs_are_not_mentioned_if_there_are_none(write_sweep: WriteSweep) -> None:
    root = write_sweep(RUNS, methods=["rst"])
    assert write_report(root).missing_sentence == ""
    assert not any(
        word in (root / name).read_text()
        for word in ("Missing", "without a result")
        for name in ("table.md", "report.html")
    )


@pytest.mark.parametrize(
    ("file", "text"), [("plan.json", "{"), ("rst-0.9-s0/result.json", "[]"), ("rst-0.9-s0/config.json", "{")]
)
def test_bad_input_leaves_the_directory_untouched(write_sweep: WriteSweep, file: str, text: str) -> None:
    root = write_sweep(RUNS)
    (root / file).write_text(text)
    with pytest.raises(BadInput, match=file):
        write_report(root)
    assert written(root) == set()


def test_a_bad_margin_leaves_the_directory_untouched(write_sweep: WriteSweep) -> None:
    root = write_sweep(RUNS)
    with pytest.raises(BadInput, match=r"^margin=0: must be above 0"):
        write_report(root, margin=0)
    assert written(root) == set()


def test_a_directory_that_cannot_be_written_to_is_one_sentence(write_sweep: WriteSweep, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    root = write_sweep(RUNS)
    monkeypatch.setattr(report.files, "write_all", full)
    with pytest.raises(BadInput, match=r"^sweep_dir=.*: cannot be written to \(No space left on device\)$"):
        write_report(root)


def test_the_page_shows_table_pictures_cost_settings_and_environment(write_sweep: WriteSweep) -> None:
    root = write_sweep(RUNS, configs=True)
    write_report(root)
    page = (root / "report.html").read_text()
    assert re.findall(r"<h2>(.*?)</h2>", page) == [
        QUESTION,
        "Verdict",
        "Test accuracy, %",
        "Cost",
        "Configuration",
        "Environment",
    ]
    assert "<strong>90.5 ± 0.7</strong>" in page and page.count("<img ") == page.count('alt="') == 2
    for words in (
        "6,400",
        "1.50 M",
        '<th scope="row">lr</th><td>0.1</td>',
        "3.11.7",
        "c0ffee",
        'python -m dlth_tf.sweep <span class="flag">--methods</span>=<wbr>rst,<wbr>lth',
    ):
        assert words in page
    assert "run_dir" not in page


def test_the_plots_are_described_in_words(write_sweep: WriteSweep) -> None:
    root = write_sweep(RUNS)
    write_report(root)
    first, second = re.findall(r'alt="(.*?)"', (root / "report.html").read_text())
    assert "lth: 90.5 % at 90 % removed" in first and "Examples seen: dense 6,400, lth 6,400" in second


def test_names_from_outside_are_escaped(write_sweep: WriteSweep, tmp_path: Path) -> None:
    root = write_sweep(RUNS)
    for path in root.glob("*/result.json"):
        path.write_text(path.read_text().replace('"mlp"', '"<script>m</script>"'))
    write_report(root)
    page = (root / "report.html").read_text()
    assert "&lt;script&gt;m" in page and "<script" not in page
