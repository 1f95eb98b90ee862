"""Names from somebody else's records: refused where they cannot be shown, escaped where they can."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlth_tf import report
from dlth_tf.analysis.names import check_name, markdown_text, spreadsheet_text
from dlth_tf.analysis.planned_runs import missing_runs, read_plan
from dlth_tf.analysis.report import write_report
from dlth_tf.commands import BAD_INPUT, DONE, run_command
from dlth_tf.errors import BadInput, shown
from tests.analysis.conftest import WriteSweep, make_result, seeds

HIDDEN = ["\x1b]0;owned\x07", "a\nb", "\u202eabc", "\u200b", "a\x00", "\x9b31m", "a\tb", "\ud800"]
MARKUP = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![x](http://a.b/c.png)",
    "[x](javascript:1)",
    "a|b",
]


@pytest.mark.parametrize("name", [*HIDDEN, "", " ", "x" * 201, 3, None, ["a"], "\u2003"], ids=ascii)
def test_a_name_that_cannot_be_shown_is_refused(name):
    with pytest.raises(ValueError, match="must be a name"):
        check_name(name)


@pytest.mark.parametrize("name", ["rst", "x" * 200, "äπ😀", "_x", "a b", *MARKUP])
def test_other_names_pass(name):
    assert check_name(name) == name


@pytest.mark.parametrize("name", HIDDEN[:-1], ids=ascii)
@pytest.mark.parametrize("key", ["method", "dataset", "model", "weights_sha256"])
def test_a_report_refuses_them_in_one_harmless_line(write_sweep: WriteSweep, capsys, key, name):
    root = write_sweep(seeds("rst", 0.9, 0.9))
    path = root / "rst-0.9-s0" / "result.json"
    path.write_text(json.dumps(make_result("rst", 0.9, 0, 0.9) | {key: name}))
    assert run_command("report", report.main, [f"--sweep_dir={root}"]) == BAD_INPUT
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and line[:-1].isprintable() and f"{key} is " in line
    assert not (root / "report.html").exists()


@pytest.mark.fast_cases("'<script>alert(1)</script>'", "'a|b'", "'__'", "'=HYPERLINK(0)'")
@pytest.mark.parametrize("name", [*MARKUP, "_x", "__", "=HYPERLINK(0)", "$x^2$", "x" * 200, "😀"], ids=ascii)
def test_any_other_name_gives_every_file_without_markup(write_sweep: WriteSweep, name):
    root = write_sweep(seeds("rst", 0.9, 0.9))
    (root / "theirs").mkdir()
    (root / "theirs" / "result.json").write_text(json.dumps(make_result(name, 0.9, 0, 0.8)))
    write_report(root)
    table, page = ((root / file).read_text() for file in ("table.md", "report.html"))
    assert not any(mark in text for text in (table, page) for mark in ("<script", "<img src=x"))
    assert not re.search(r"(?<!\\)\](\(|\[)", table)  # neither a link nor a picture
    rows = list(csv.DictReader(io.StringIO((root / "results.csv").read_text())))
    assert {row["method"] for row in rows} == {"rst", spreadsheet_text(name)}


@given(st.text("ab_*[]()<>&!`~|\\\n"))
def test_markdown_shows_no_markup(text):
    escaped = markdown_text(text)
    assert "<" not in escaped and ">" not in escaped and "\n" not in escaped
    plain = escaped
    for letter in "\\`*[]|~!_":
        plain = plain.replace(f"\\{letter}", "")
    assert not any(letter in plain for letter in "`*[]|~!")


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\tx", "\rx"])
def test_no_cell_is_a_formula(text):
    assert spreadsheet_text(text) == f"'{text}" and spreadsheet_text("a" + text) == "a" + text


@given(st.text(st.characters(), max_size=40), st.integers(5, 30))
def test_what_is_shown_has_no_control_characters_and_a_length(text, most):
    result = shown(text, most)
    assert all(letter.isprintable() or letter in "\n\t" for letter in result)
    assert len(result) <= 10 * most and (len(text) > most or not text.isprintable() or result == text)


@pytest.mark.parametrize("value", ["x" * 10**7, "\x1b[2J", 10**5000, [[]], b"\x1b", "\ud800"], ids=range(6))
def test_an_error_shortens_its_value_and_shows_control_characters(value):
    text = str(BadInput("thing", value, "must be \x1b[31mred"))
    assert len(text) < 600 and text.isprintable() and text.endswith(r"must be \x1b[31mred")


def plan(root: Path, **changed: object) -> None:
    run = {"run_dir": "rst-0.9-s1", "method": "rst", "sparsity": 0.9, "seed": 1} | changed
    (root / "plan.json").write_text(json.dumps({"methods": ["rst"], "runs": [run]}))


@pytest.mark.parametrize(
    "changed",
    [
        *({"run_dir": name} for name in ("../x", "/etc", "a/b", "..", ".", "", "x" * 400, "ä" * 130, "\x1b", "a\0")),
        *({"sparsity": value} for value in (-1, 1, 10**400, float("nan"), "0.9", None, True)),
        *({"method": name} for name in ("\x1b", "", 3, "x" * 300)),
    ],
    ids=lambda changed: ascii(changed)[:40],
)
def test_a_plan_that_no_sweep_writes_is_refused_in_one_line(write_sweep: WriteSweep, capsys, changed):
    root = write_sweep(seeds("rst", 0.9, 0.9))
    plan(root, **changed)
    assert run_command("report", report.main, [f"--sweep_dir={root}"]) == BAD_INPUT
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and line[:-1].isprintable() and "plan.json is not" in line


def test_the_reason_of_a_failure_is_one_short_harmless_line(write_sweep: WriteSweep):
    root = write_sweep(seeds("rst", 0.9, 0.9))
    plan(root)
    assert len(read_plan(root).runs) == 1
    for reason in ("\x1b[2J\nred", "x" * 10**6, [[3]], {"a": "<b>"}):
        (root / "failures.json").write_text(json.dumps({"rst-0.9-s1": reason}))
        (missing,) = missing_runs(root)
        assert missing.state.isprintable() and len(missing.state) < 1100
    write_report(root)
    assert "<b>" not in (root / "table.md").read_text()


def test_more_methods_than_looks_give_a_page_without_pictures(write_sweep: WriteSweep, capsys):
    root = write_sweep([run for number in range(64) for run in seeds(f"method{number}", 0.9, 0.9)])
    assert run_command("report", report.main, [f"--sweep_dir={root}"]) == DONE
    assert not (root / "accuracy_vs_cost.png").exists() and "<figure>" not in (root / "report.html").read_text()
    assert "There are no pictures, since colors would repeat: 64 methods" in (root / "report.html").read_text()
