from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from dlth_tf import report
from dlth_tf.analysis.report import write_report
from dlth_tf.analysis.results import read_results
from dlth_tf.commands import run_command
from dlth_tf.errors import BadInput
from tests.analysis.conftest import WriteSweep, seeds

RUNS = [*seeds("dense", 0.0, 0.98, 0.981), *seeds("rst", 0.9, 0.1 + 0.2, 1 / 3), *seeds("lth", 0.9, 0.91, 0.9)]
FILES = {"results.csv", "table.md", "accuracy_vs_sparsity.png"}


def written(root: Path) -> set[str]:
    return {path.name for path in root.iterdir() if path.is_file() and path.name != "plan.json"}


def call(*argv: str) -> int:
    return run_command("dlth_tf.report", report.main, argv)


def test_the_csv_gives_back_every_number(write_sweep: WriteSweep) -> None:
    root = write_sweep(RUNS)
    back = pd.read_csv(write_report(root).results_csv, float_precision="round_trip")
    pd.testing.assert_frame_equal(back, read_results(root), check_exact=True)


def test_the_report_names_its_files_and_writes_no_others(write_sweep: WriteSweep) -> None:
    root = write_sweep(RUNS, methods=["dense", "rst", "lth"])
    made = write_report(root)
    assert written(root) == FILES == {path.name for path in (made.results_csv, made.table_md, made.plot)}
    assert made.table_md.read_text() == made.table and made.missing == ()


def test_a_report_can_be_written_again_and_is_the_same(write_sweep: WriteSweep) -> None:
    root = write_sweep(RUNS)
    first, second = ({name: (root / name).read_bytes() for name in FILES} for _ in range(2) if write_report(root))
    assert first == second


def test_missing_runs_stand_under_the_table(write_sweep: WriteSweep) -> None:
    root = write_sweep(RUNS, methods=["rst"], missing=[("rst", 0.9, 2), ("rst", 0.9, 3)])
    assert write_report(root).table_md.read_text().endswith("\n\nMissing (2): rst-0.9-s2, rst-0.9-s3.\n")


def test_bad_input_leaves_the_directory_untouched(write_sweep: WriteSweep) -> None:
    root = write_sweep(RUNS)
    (root / "plan.json").write_text("{")
    with pytest.raises(BadInput, match=r"plan.json is not JSON"):
        write_report(root)
    assert written(root) == set()


def test_the_command_prints_the_table_what_is_missing_and_where_the_files_are(write_sweep: WriteSweep, capsys) -> None:
    root = write_sweep(RUNS, methods=["rst", "lth", "dense"], missing=[("rst", 0.9, 2)])
    assert call(f"--sweep_dir={root}") == 0
    out = capsys.readouterr().out
    assert "90.5 ± 0.7" in out and "\nMissing (1): rst-0.9-s2.\n" in out
    assert all(f"{root}/{name}" in out for name in FILES) and written(root) == FILES


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        ([], "dlth_tf.report: --sweep_dir=: must name the directory that a sweep wrote"),
        (["--sweep_dir=nowhere"], "dlth_tf.report: --sweep_dir=nowhere: holds no complete run (a directory with a result.json)"),
        (["nowhere"], "dlth_tf.report: nowhere: only flags are allowed, in the form --name=value"),
        (["--sweepdir=x"], "dlth_tf.report: Unknown command line flag 'sweepdir'"),
    ],
)
def test_a_bad_command_line_is_one_line_and_exit_code_2(argv: list[str], line: str, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(*argv) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(line) and captured.err.count("\n") == 1 and captured.out == ""
    assert list(tmp_path.iterdir()) == []


def test_help_names_the_flag_and_exits_0(capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        report.main(["--help"])
    assert stop.value.code == 0 and "--sweep_dir" in capsys.readouterr().out


def test_the_command_runs_without_tensorflow(write_sweep: WriteSweep) -> None:
    root = write_sweep(RUNS)
    code = (
        f"import sys, dlth_tf.report as r; r.main(['--sweep_dir={root}']); print({{'tensorflow', 'tf_keras', 'pandas'}} & {{*sys.modules}})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("{'pandas'}\n") and done.stderr == ""


def test_the_module_exits_with_the_command_s_code(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "dlth_tf.report", f"--sweep_dir={tmp_path}"], capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1) and "holds no complete run" in done.stderr
