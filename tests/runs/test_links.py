"""Links in somebody else's run or sweep directory lead no write and no deletion elsewhere."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dlth_tf import files, report, sweep, train
from dlth_tf.commands import BAD_INPUT, DONE, run_command
from dlth_tf.runs.checkpointing.files import CheckpointFiles
from dlth_tf.sweeps.grid import SHARED, make_grid
from dlth_tf.sweeps.status import PROGRESS, SweepStatus
from tests.runs.tiny import TINY, TinyRuns, data_dir, listing, tiny_flags

OURS = ("000001.npz", "000001.json", ".000002.json.abcdefgh.part", "rst-0.9-s0.json", "weights.html", "events", "a.npz")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder of the user with files that look like ours; it must not change."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for name in OURS:
        (folder / name).write_text("mine")
    before = listing(folder)
    yield folder
    assert listing(folder) == before


@pytest.fixture
def unfinished(tmp_path: Path, tiny_runs: TinyRuns) -> Path:
    run_dir = Path(shutil.copytree(tiny_runs["rst"].config.run_dir, tmp_path / "sweep" / "rst-0.9-s0"))
    (run_dir / "result.json").unlink()
    return run_dir


def test_a_run_refuses_links_in_the_place_of_its_folders(unfinished, elsewhere, capsys):
    for name in ("checkpoints", "tensorboard"):
        (unfinished / name).symlink_to(elsewhere)
        assert run_command("train", train.main, tiny_flags("rst", unfinished)) == BAD_INPUT
        assert f"its {name} is a link, which is not followed: delete it\n" in capsys.readouterr().err
        (unfinished / name).unlink()
    (unfinished / "tensorboard").mkdir()
    (unfinished / "tensorboard" / "finetune").symlink_to(elsewhere)
    assert run_command("train", train.main, tiny_flags("rst", unfinished)) == BAD_INPUT
    assert "its tensorboard/finetune is a link" in capsys.readouterr().err


@pytest.mark.parametrize("target", ["elsewhere", "nothing"])
def test_checkpoints_are_not_cleared_or_written_through_a_link(unfinished, elsewhere, target):
    (unfinished / "checkpoints").symlink_to(elsewhere.parent / target)
    checkpoints = CheckpointFiles(unfinished / "checkpoints")
    checkpoints.clear()
    files.remove_half_written(unfinished / "checkpoints")
    with pytest.raises(ValueError, match="its checkpoints is a link"):
        checkpoints.save({}, {})
    assert not (elsewhere.parent / "nothing").exists()


def test_checkpoints_that_are_cleared_leave_other_files(unfinished):
    folder = unfinished / "checkpoints"
    folder.mkdir()
    for name in (*OURS, "notes.txt", "1.npz", "0000001.npz"):
        (folder / name).touch()
    CheckpointFiles(folder).clear()
    assert {*os.listdir(folder)} == {*OURS[3:], "notes.txt", "1.npz", "0000001.npz"}
    shutil.rmtree(folder)
    CheckpointFiles(folder).clear()


def test_a_report_is_not_written_through_a_link(tmp_path, elsewhere, capsys, tiny_runs):
    run_dir = shutil.copytree(tiny_runs["rst"].config.run_dir, tmp_path / "run")
    (run_dir / "report").symlink_to(elsewhere)
    assert run_command("report", report.main, [f"--run_dir={run_dir}"]) == BAD_INPUT
    assert "its report is a link" in capsys.readouterr().err


def sweep_flags(sweep_dir: Path) -> list[str]:
    flags = [word for word in tiny_flags("rst", "") if word.split("=")[0][2:] not in sweep.FIXED]
    return [*flags, f"--sweep_dir={sweep_dir}", "--methods=rst", "--sparsities=0.9"]


@pytest.mark.parametrize("name", [PROGRESS, SHARED, "rst-0.9-s0"])
def test_a_sweep_refuses_links_in_the_place_of_its_folders(tmp_path, elsewhere, capsys, name):
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / name).symlink_to(elsewhere)
    before = sorted((tmp_path / "sweep").iterdir())
    assert run_command("sweep", sweep.main, sweep_flags(tmp_path / "sweep")) == BAD_INPUT
    assert f"its {name} is a link, which is not followed" in capsys.readouterr().err
    assert sorted((tmp_path / "sweep").iterdir()) == before


def test_a_complete_sweep_that_goes_on_deletes_only_the_progress_of_its_own_runs(tmp_path):
    fields = {name: value for name, value in TINY.items() if name not in sweep.FIXED}
    grid = make_grid("rst", "0.9", "0,1", str(tmp_path), {**fields, "data_dir": data_dir()})
    folder = tmp_path / PROGRESS
    folder.mkdir()
    for name in ("rst-0.9-s0.json", "rst-0.9-s1.json", "lth-0.9-s0.json", "notes.json", "rst-0.9-s0.json.txt"):
        (folder / name).touch()
    SweepStatus(str(tmp_path), grid, [])
    assert {*os.listdir(folder)} == {"lth-0.9-s0.json", "notes.json", "rst-0.9-s0.json.txt"}


def test_the_runs_that_were_refused_are_fine_without_links(tmp_path, tiny_runs):
    (tmp_path / "sweep").mkdir()
    shutil.copytree(tiny_runs["rst"].config.run_dir, tmp_path / "sweep" / "rst-0.9-s0")
    assert run_command("sweep", sweep.main, sweep_flags(tmp_path / "sweep")) == DONE
