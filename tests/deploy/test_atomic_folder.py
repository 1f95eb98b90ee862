"""An export is published completely, or not at all."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from dlth_tf.deploy import atomic_folder
from dlth_tf.deploy.atomic_folder import publish, publishing, staging_folder
from dlth_tf.errors import BadInput


def write_files(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "file").write_text(text)


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_new_folder_appears_with_everything_in_it(tmp_path):
    with staging_folder(tmp_path / "a" / "out") as staging:
        assert staging.parent == tmp_path / "a"  # on the same disk
        write_files(staging / "export", plain="1", packed="2")
        assert not (tmp_path / "a" / "out").exists()
        publish(staging / "export", tmp_path / "a" / "out", ["plain", "packed"])
    assert contents(tmp_path) == {"a/out/packed/file": "2", "a/out/plain/file": "1"}


def test_in_a_folder_that_is_there_only_the_named_entries_change(tmp_path):
    write_files(tmp_path, plain="old", mine="mine")
    with staging_folder(tmp_path) as staging:
        write_files(staging / "export", plain="new", packed="new")
        publish(staging / "export", tmp_path, ["plain", "packed"])
    assert contents(tmp_path) == {"mine/file": "mine", "packed/file": "new", "plain/file": "new"}


def test_if_one_entry_cannot_be_moved_all_are_as_they_were(tmp_path, monkeypatch):
    write_files(tmp_path, plain="old", packed="old")
    replace = os.replace

    def full(source, target):
        if Path(target) == tmp_path / "packed" and Path(source).parent.name == "export":
            raise OSError("disk full")
        replace(source, target)

    monkeypatch.setattr(atomic_folder.os, "replace", full)
    with pytest.raises(OSError, match="disk full"), staging_folder(tmp_path) as staging:
        write_files(staging / "export", plain="new", packed="new")
        publish(staging / "export", tmp_path, ["plain", "packed"])
    assert contents(tmp_path) == {"packed/file": "old", "plain/file": "old"}
    assert sorted(os.listdir(tmp_path)) == ["packed", "plain"]


def test_of_two_exports_at_once_one_wins_and_the_other_is_refused(tmp_path):
    outcomes: list[str] = []

    def second() -> None:
        try:
            with publishing(tmp_path / "out", ["plain"]):
                outcomes.append("published")
        except BadInput as error:
            outcomes.append(str(error))

    other = threading.Thread(target=second)
    with staging_folder(tmp_path / "out") as staging:
        write_files(staging / "export", plain="first")
        with publishing(tmp_path / "out", ["plain"]) as publish_here:
            other.start()
            other.join(0.2)
            assert other.is_alive()  # it waits, and looks again afterwards
            publish_here(staging / "export", ["plain"])
    other.join()
    assert "already holds an export (plain)" in outcomes[0]
    assert contents(tmp_path) == {"out/plain/file": "first"}


def test_what_fails_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), staging_folder(tmp_path / "out") as staging:
        write_files(staging / "export", plain="new")
        raise ZeroDivisionError
    assert not os.listdir(tmp_path)


def test_a_place_that_cannot_be_written_to_is_bad_input(tmp_path):
    (tmp_path / "file").write_text("mine")
    with (
        pytest.raises(BadInput, match=r"export_dir=.*out: cannot be written to"),
        staging_folder(tmp_path / "file" / "out"),
    ):
        pass
