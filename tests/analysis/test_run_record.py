"""Record of one run: its history and ticket, read and validated."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from dlth_tf.analysis.run_record import read_history, read_run
from dlth_tf.errors import BadInput
from dlth_tf.measures import MSE
from tests.analysis.conftest import write_run

MASKS = {"fc1/kernel": np.eye(4, dtype=bool)}
HEADER = "phase,step,penalty,sparsity,val_accuracy,test_accuracy"
OLD = (
    f"{HEADER}\ntransform,17,0.1,0,0.8,0.7\ntransform,34,0.2,0,0.85,0.75\ntransform,40,0.2,0,0.85,0.75\n"
    "finetune,20,0,0.75,0.9,0.88\n"
)
NEW = (
    f"{HEADER},magnitude_kept,magnitude_removed\n"
    "transform,17,0.1,0,0.8,0.7,0.05,0.04\ntransform,34,0.2,0,0.85,0.75,0.06,0.01\nfinetune,20,0,0.75,0.9,0.88,0.07,0\n"
)


def test_steps_count_on_over_the_phases(tmp_path: Path) -> None:
    record = read_run(write_run(tmp_path / "run", OLD, MASKS))
    assert list(record.history["total_step"]) == [17, 34, 40, 60]


def test_a_phase_that_resumes_at_a_rewound_step_counts_only_its_own_steps(tmp_path: Path) -> None:
    rows = f"{HEADER}\nround_1,10,0,0,.5,.5\nround_1,20,0,0,.5,.5\nfinetune,15,0,.5,.5,.5\nfinetune,25,0,.5,.5,.5\n"
    record = read_run(write_run(tmp_path / "run", rows, MASKS))
    assert list(record.history["total_step"]) == [10, 20, 30, 40]


@pytest.mark.parametrize(
    ("rows", "epochs", "steps"),
    [
        (
            ["transform,10,170", "transform,18,306", "transform,19,323", "finetune,20,400", "finetune,21,420"],
            [10, 18, 19, 39, 40],
            [170, 306, 323, 723, 743],
        ),
        (["train,8,136", "train,9,153", "train,10,160"], [8, 9, 10], [136, 153, 160]),
        (["round_1,4,40", "finetune,8,85", "finetune,9,95"], [4, 12, 13], [40, 120, 130]),
        (["train,7,70", "finetune,3,30"], [7, 10], [70, 100]),
        (["train,7,70", "train,3,80", "train,4,90"], [7, 10, 11], [70, 100, 110]),
    ],
    ids=["two phases", "a last epoch cut short", "rewound to step 5", "one row each", "epochs that begin anew"],
)
def test_epochs_and_steps_that_were_not_evaluated_count(
    tmp_path: Path, rows: list[str], epochs: list[int], steps: list[int]
) -> None:
    header = HEADER.replace("phase,", "phase,epoch,")
    history = "\n".join([header, *(f"{row},0,0,.5,.5" for row in rows)])
    record = read_run(write_run(tmp_path / "run", history, MASKS))
    assert list(record.history["total_epoch"]) == epochs
    assert list(record.history["total_step"]) == steps


def test_weights_are_removed_where_sparsity_rises_between_two_phases(tmp_path: Path) -> None:
    assert read_run(write_run(tmp_path / "run", OLD, MASKS)).removal_step == 40
    never = read_run(write_run(tmp_path / "never", OLD.replace(",0.75,0.9,", ",0,0.9,"), MASKS))
    assert math.isnan(never.removal_step)


def test_magnitudes_are_optional(tmp_path: Path) -> None:
    assert not read_run(write_run(tmp_path / "old", OLD, MASKS)).has_magnitudes
    record = read_run(write_run(tmp_path / "new", NEW, MASKS))
    assert record.has_magnitudes and list(record.history["magnitude_removed"]) == [0.04, 0.01, 0]


def test_the_transformation_is_where_a_penalty_is_active_on_weights_not_removed_yet(tmp_path: Path) -> None:
    assert len(read_run(write_run(tmp_path / "old", OLD, MASKS)).transformed) == 3
    gaps = NEW.replace("0.06,0.01", ",")
    assert list(read_run(write_run(tmp_path / "new", gaps, MASKS)).transformed["step"]) == [17]


@pytest.mark.parametrize(
    ("history", "reason"),
    [
        ("", "history.csv is not a valid history: "),
        ("phase,step\ntransform,1\n", "history.csv is not a valid history: .*penalty"),
        (f"{HEADER}\n", "history.csv is not a valid history: it has no rows"),
        (f"{HEADER}\ntransform,one,0,0,0,0\n", "history.csv is not a valid history: .*one"),
        (f"{HEADER}\n,1,0,0,0,0\n", "history.csv is not a valid history: it has no rows, or rows without a phase"),
        (f"{HEADER}\na,inf,0,0,0,0\n", "history.csv is not a valid history: step must be from 0 to"),
        (f"{HEADER}\na,1e999,0,0,0,0\n", "history.csv is not a valid history: step must be from 0 to"),
        (f"{HEADER}\na,1,0,0,inf,0\n", "history.csv is not a valid history: val_accuracy must be from 0 to 1"),
        (f"{HEADER}\na,1,-1,0,0,0\n", "history.csv is not a valid history: penalty must be from 0 to"),
        (f"{HEADER}\n" + "a,1,0,0,0,0\nb,1,0,0,0,0\n" * 501, "history.csv is not a valid history: it has more than"),
        (f"epoch,{HEADER}\n,a,1,0,0,0,0\n", "history.csv is not a valid history: epoch must be at least 1"),
        (f"epoch,{HEADER}\n0,a,1,0,0,0,0\n", "history.csv is not a valid history: epoch must be at least 1"),
        (f"{HEADER}\na,1,2,3,4,5,6,7,8,9\nb\n", "history.csv is not a valid history: "),
    ],
)
def test_an_invalid_history_is_refused_in_one_sentence(tmp_path: Path, history: str, reason: str) -> None:
    root = write_run(tmp_path / "run", history, MASKS)
    with pytest.raises(BadInput, match=rf"^run_dir={root}: {reason}[^\n]*$"):
        read_run(root)


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("result.json", r"contains no complete run \(a result.json\)"),
        ("history.csv", r"history.csv cannot be read \(No such file or directory\)"),
        ("ticket.npz", r"ticket.npz cannot be read \(No such file"),
        ("ticket.json", r"ticket.npz cannot be read \(No such file"),
    ],
)
def test_a_run_that_lacks_a_file_is_refused_in_one_sentence(tmp_path: Path, file: str, reason: str) -> None:
    root = write_run(tmp_path / "run", OLD, MASKS)
    (root / file).unlink()
    with pytest.raises(BadInput, match=rf"^run_dir={root}: {reason}"):
        read_run(root)


def test_an_invalid_result_is_refused_in_the_name_of_its_flag(tmp_path: Path) -> None:
    root = write_run(tmp_path / "run", OLD, MASKS, accuracy_last=2)
    with pytest.raises(
        BadInput, match=r"^run_dir=.*result.json is not a valid result: test.accuracy_last is 2, but must be"
    ):
        read_run(root)


@pytest.mark.parametrize(("error", "valid"), [("4e18", True), ("3.4e38", True), ("-1", False), ("inf", False)])
def test_errors_of_a_regression_may_be_as_large_as_those_of_its_result(tmp_path: Path, error: str, valid: bool) -> None:
    rows = f"{HEADER.replace('accuracy', 'mse')}\nfinetune,17,0,0,{error},{error}\n"
    (tmp_path / "history.csv").write_text(rows)
    if valid:
        assert read_history(tmp_path, MSE)["test_mse"].tolist() == [float(error)]
    else:
        with pytest.raises(BadInput, match=r"val_mse must be from 0 to 3\.5e\+38"):
            read_history(tmp_path, MSE)
