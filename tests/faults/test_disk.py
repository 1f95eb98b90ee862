"""The disk is full, read-only or gone while a run trains: one line reports it, and saved checkpoints are intact."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import runs
from tests.faults.driver import Fault
from tests.faults.moments import STEP
from tests.runs.tiny import listing

pytestmark = pytest.mark.faults


def mount(place: Path, *words: str) -> Iterator[Path]:
    """Mounts something on a folder for one test."""
    place.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", *words, str(place)], capture_output=True).returncode != 0:
        pytest.skip("needs to be root, and allowed to mount")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 300 kB."""
    yield from mount(tmp_path / "disk", "-t", "tmpfs", "-o", "size=300k", "tmpfs")


def checkpoints(run_dir: Path) -> dict[str, tuple[int, bytes | None]]:
    return listing(run_dir / "checkpoints")


def finishes(run_dir: Path, steps: int) -> None:
    """The same command resumes, makes `steps` steps, and ends as an uninterrupted run."""
    again = runs.run(None, "scratch", run_dir, steps_per_execution=1)
    assert (again.code, again.steps) == (runs.DONE, steps), again
    assert runs.outcome(run_dir) == runs.uninterrupted("scratch", steps_per_execution=1)


def test_a_full_disk_ends_the_run_and_spares_its_last_checkpoint(small_disk, tmp_path):
    """The disk fills up after the second checkpoint; once there is space again the run resumes from it."""
    process = runs.start(Fault(STEP, do="wait", nth=8), "scratch", small_disk / "run", steps_per_execution=1)
    runs.reached(process, "now wait")
    before = checkpoints(small_disk / "run")
    assert sorted(name for name in before) == ["000001.json", "000001.npz", "000002.json", "000002.npz"]
    fill(small_disk / "thesis")
    ended = runs.ended(process)
    assert ended.code == runs.FAILED and "No space left on device" in ended.err[-1]
    assert checkpoints(small_disk / "run") == before
    (small_disk / "thesis").unlink()
    finishes(small_disk / "run", 10)


def fill(path: Path) -> None:
    """Writes until the disk is full."""
    with open(path, "wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return


def test_a_disk_that_is_full_from_the_start_is_refused(small_disk):
    fill(small_disk / "thesis")
    ended = runs.run(None, "scratch", small_disk / "run")
    assert ended.code == runs.BAD_INPUT and ended.err[-1].endswith("cannot be written to (No space left on device)")


def test_a_file_that_may_not_grow_so_far_ends_the_run(tmp_path):
    """RLIMIT_FSIZE does not require root: config.json fits, and a checkpoint does not."""
    process = runs.start(Fault(STEP, do="wait", nth=2), "scratch", tmp_path / "run", steps_per_execution=1)
    runs.reached(process, "now wait")
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (8000, 8000))
    ended = runs.ended(process)
    assert ended.code == runs.FAILED and "File too large" in ended.err[-1]
    assert checkpoints(tmp_path / "run") == {}
    finishes(tmp_path / "run", 16)


def test_a_folder_that_turns_read_only_ends_the_run_and_spares_its_checkpoints(small_disk, tmp_path):
    process = runs.start(Fault(STEP, do="wait", nth=8), "scratch", small_disk / "run", steps_per_execution=1)
    runs.reached(process, "now wait")
    folder = str(small_disk / "run" / "checkpoints")
    before = checkpoints(small_disk / "run")
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        ended = runs.ended(process)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
    assert ended.code == runs.FAILED and "Read-only file system" in ended.err[-1]
    assert checkpoints(small_disk / "run") == before
    finishes(small_disk / "run", 10)


def test_a_disk_that_is_read_only_from_the_start_is_refused(small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    ended = runs.run(None, "scratch", small_disk / "run")
    assert ended.code == runs.BAD_INPUT and ended.err[-1].endswith("cannot be written to (Read-only file system)")


def test_a_directory_that_vanishes_ends_the_run_and_is_not_made_again(tmp_path):
    process = runs.start(Fault(STEP, do="wait", nth=8), "scratch", tmp_path / "run", steps_per_execution=1)
    runs.reached(process, "now wait")
    shutil.rmtree(tmp_path / "run")
    ended = runs.ended(process)
    assert (
        ended.code == runs.FAILED
        and "No such file or directory" in ended.err[-1]
        and str(tmp_path / "run") in ended.err[-1]
    )
    assert not (tmp_path / "run").exists()
    finishes(tmp_path / "run", 16)
