"""`python -m dlth_tf.report`: its output, its errors, and the files of the report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import dlth_tf
from dlth_tf import report, sweep
from dlth_tf.analysis.report import FILES
from dlth_tf.analysis.roles import CONTROLS, WINNING
from dlth_tf.commands import BAD_INPUT, run_command
from tests.analysis import conftest
from tests.analysis.conftest import WriteSweep, seeds, write_run
from tests.analysis.test_run_record import MASKS, NEW

ROOT = Path(__file__).resolve().parents[1]
RUNS = [*seeds("dense", 0.0, 0.98, 0.981), *seeds("rst", 0.9, 0.1 + 0.2, 1 / 3), *seeds("lth", 0.9, 0.91, 0.9)]
write_sweep = conftest.write_sweep  # the fixture of tests/analysis


def call(*argv: str) -> int:
    return run_command("dlth_tf.report", report.main, argv)


def test_a_sweep_s_report_is_printed_and_ends_with_where_its_page_is(write_sweep: WriteSweep, capsys) -> None:
    root = write_sweep(RUNS, methods=["rst", "lth", "dense"], missing=[("rst", 0.9, 2)], configs=True)
    assert call(f"--sweep_dir={root}") == 0
    out = capsys.readouterr().out
    words = " ".join(out.split())
    assert "90.5 ± 0.7" in words and "Missing (1): rst-0.9-s2 (not started)." in words
    assert (
        "At 90 % sparsity, over 2 seeds, the transformed random ticket (rst) is" in words
        and "one example is 0.2 points" in words
    )
    assert all(name in words for name in FILES) and out.endswith(f"\n{root}/report.html\n")


def test_no_line_of_the_verdict_is_wider_than_the_console_and_no_bracket_is_lost(
    write_sweep: WriteSweep,
    capsys,
    monkeypatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    root = write_sweep([*seeds("rst", 0.9, 0.9, 0.92, 0.93), *seeds("lth", 0.9, 0.8, 0.81, 0.84)], configs=True)
    assert call(f"--sweep_dir={root}") == 0
    verdict = capsys.readouterr().out.partition("At 90 %")[2].partition("wrote ")[0]
    assert all(len(line) <= 50 for line in verdict.splitlines()) and "10.0 [7.52, 12.5] points" in " ".join(
        verdict.split()
    )


def test_the_margin_is_a_flag(write_sweep: WriteSweep, capsys) -> None:
    root = write_sweep(RUNS)
    assert call(f"--sweep_dir={root}", "--margin=2.5") == 0
    assert json.loads((root / "verdict.json").read_text())["margin_points"] == 2.5 and "±2.5 points" in " ".join(
        capsys.readouterr().out.split()
    )


def test_a_run_s_report_is_printed_and_ends_with_where_its_page_is(tmp_path: Path, capsys) -> None:
    root = write_run(tmp_path / "run", NEW, MASKS)
    assert call(f"--run_dir={root}") == 0
    out = capsys.readouterr().out
    assert "0.04 to 0.01 (25 % of the initial value)" in " ".join(out.split()) and out.endswith(
        f"\n{root}/report/weights.html\n"
    )


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        ([], "dlth_tf.report: --sweep_dir=(missing): exactly one of --sweep_dir and --run_dir is required"),
        (
            ["--sweep_dir=nowhere"],
            "dlth_tf.report: --sweep_dir=nowhere: contains no complete run (a directory with a result.json)",
        ),
        (["--run_dir=nowhere"], "dlth_tf.report: --run_dir=nowhere: contains no complete run (a result.json)"),
        (["--sweep_dir=a", "--run_dir=b"], "dlth_tf.report: --run_dir=b: cannot be combined with --sweep_dir"),
        (
            ["--run_dir=b", "--margin=1"],
            "dlth_tf.report: --margin=1.0: cannot be combined with --run_dir: a single run is not compared",
        ),
        (["--sweep_dir=nowhere", "--margin=-1"], "dlth_tf.report: --margin=-1.0: must be above 0 and at most 100"),
        (["--sweep_dir=nowhere", "--margin=nan"], "dlth_tf.report: --margin=nan: must be above 0 and at most 100"),
        (["--sweep_dir=nowhere", "--margin=wide"], "dlth_tf.report: --margin=wide: must be a number"),
        (["nowhere"], "dlth_tf.report: nowhere: only flags are allowed, in the form --name=value"),
        (["--sweepdir=x"], "dlth_tf.report: Unknown command line flag 'sweepdir'"),
    ],
)
def test_a_bad_command_line_is_one_line_and_exit_code_2(
    argv: list[str], line: str, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(*argv) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(line) and captured.err.count("\n") == 1 and captured.out == ""
    assert list(tmp_path.iterdir()) == []


def test_help_names_every_flag_and_file_and_exits_0(capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        report.main(["--help"])
    out = capsys.readouterr().out
    assert stop.value.code == 0
    assert all(
        word in out
        for word in ("--sweep_dir", "--run_dir", "--margin", "default 0.5", "report/", "weights.html", *FILES)
    )


@pytest.mark.fast_cases("sweep")
@pytest.mark.parametrize("kind", ["sweep", "run"])
def test_the_command_runs_without_tensorflow(write_sweep: WriteSweep, tmp_path: Path, kind: str) -> None:
    root = write_sweep(RUNS) if kind == "sweep" else write_run(tmp_path / "run", NEW, MASKS)
    loaded = "{'tensorflow', 'tf_keras', 'pandas'} & {*sys.modules}"
    code = f"import sys, dlth_tf.report as r; r.main(['--{kind}_dir={root}']); print({loaded})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("{'pandas'}\n") and done.stderr == ""


def test_the_module_exits_with_the_command_s_code(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dlth_tf.report", f"--sweep_dir={tmp_path}"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1) and "contains no complete run" in done.stderr


def test_the_flagfile_for_a_verdict_is_a_sweep_with_everything_that_a_verdict_compares(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(ROOT)
    words = ["--flagfile=flags/digits/verdict.flags", "--dry_run", f"--sweep_dir={tmp_path}"]
    assert run_command("dlth_tf.sweep", sweep.main, words) == 0
    runs = {line.split()[0]: line.split()[1] for line in capsys.readouterr().out.splitlines()[1:]}
    assert runs["dense"] == "8" and runs["all"] == "152"  # 8 seeds of dense, and 8 of six methods at three sparsities
    assert all(runs[method] == "24" for method in ("rst", *CONTROLS, *WINNING))


@pytest.mark.parametrize("command", ["report", pytest.param("export", marks=pytest.mark.slow)])
def test_no_module_is_imported_from_the_working_directory(tmp_path, command):
    """`python -m` looks there first, and somebody may have changed into a run directory of somebody else."""
    for name in ("pandas", "h5py", "numpy", "rich", "absl"):
        (tmp_path / f"{name}.py").write_text("open(__file__ + '.imported', 'w').close()\n")
    environment = {**os.environ, "PYTHONPATH": str(Path(dlth_tf.__file__).parents[1])}
    argv = [sys.executable, "-m", f"dlth_tf.{command}", "--run_dir=."]
    ended = subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == BAD_INPUT and "--run_dir=.: " in ended.stderr
    assert not list(tmp_path.glob("*.imported"))
