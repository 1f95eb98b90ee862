"""Folders of our own: a link in their place is refused, and only names of our own are deleted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dlth_tf import files
from dlth_tf.errors import BadInput


@pytest.mark.parametrize("target", ["elsewhere", "nothing", "elsewhere/kept"])
def test_a_link_in_the_place_of_a_folder_is_refused(tmp_path, target):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").touch()
    (tmp_path / "own").symlink_to(tmp_path / target)
    with pytest.raises(BadInput, match=rf"^run_dir={tmp_path}: its own is a link, which is not followed: delete it$"):
        files.own_folder(tmp_path / "own", "run_dir", tmp_path)


def test_a_link_inside_of_a_folder_is_refused(tmp_path):
    (tmp_path / "own" / "a").mkdir(parents=True)
    (tmp_path / "own" / "a" / "b").symlink_to(tmp_path)
    with pytest.raises(BadInput, match="its own/a/b is a link"):
        files.own_folder(tmp_path / "own", "run_dir", tmp_path)


def test_folders_and_their_absence_are_fine(tmp_path):
    (tmp_path / "own" / "a").mkdir(parents=True)
    (tmp_path / "own" / "file").symlink_to("/etc/passwd")  # replaced when a file of this name is written
    assert files.own_folder(tmp_path / "own", "run_dir", tmp_path) == tmp_path / "own"
    assert files.own_folder(tmp_path / "none", "run_dir", tmp_path) == tmp_path / "none"


def test_only_own_names_are_removed_and_the_folder_if_nothing_is_left(tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (tmp_path / "kept").touch()
    for name in ("a.json", "b.json", "a.json.bak", "xa.json"):
        (own / name).touch()
    (own / "a.json").unlink()
    (own / "a.json").symlink_to(tmp_path / "kept")
    files.remove_own(own, r"[ab]\.json")
    assert sorted(os.listdir(own)) == ["a.json.bak", "xa.json"] and (tmp_path / "kept").exists()
    files.remove_own(own, ".*")
    assert not own.exists()
    files.remove_own(own, ".*")


def test_nothing_is_removed_through_a_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    for name in ("a.json", ".a.json.abcdefgh.part"):
        (tmp_path / "elsewhere" / name).touch()
    (tmp_path / "own").symlink_to(tmp_path / "elsewhere")
    files.remove_own(tmp_path / "own", ".*")
    files.remove_half_written(tmp_path / "own")
    assert len(os.listdir(tmp_path / "elsewhere")) == 2


@pytest.mark.parametrize("path", ["x" * 256, "a/" + "ä" * 128, "a\0b", "\ud800", "~nobody-of-this-name/x", "x/" * 2049])
def test_a_path_that_no_file_system_has_is_refused(path):
    with pytest.raises(BadInput) as refused:
        files.check_path("run_dir", path)
    assert refused.value.thing == "run_dir"


@pytest.mark.parametrize("path", ["x" * 255, "a/b", "/", "ä", "a/~/b", "x~", "gs://bucket/x/"])
def test_other_paths_pass(path):
    assert files.check_path("run_dir", path) == path


@pytest.mark.parametrize(
    ("path", "expanded"), [("~", "/home/me"), ("~/x", "/home/me/x"), ("~/a/../b", "/home/me/a/../b")]
)
def test_a_leading_tilde_is_the_home_directory(path, expanded, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert files.check_path("run_dir", path) == expanded


@pytest.mark.parametrize("path", ["", "new", "new/inner", "folder", "folder/new"])
def test_a_folder_that_can_be_made_passes_and_leaves_nothing(path, tmp_path):
    (tmp_path / "folder").mkdir()
    files.check_can_be_folder("export_dir", tmp_path / path)
    assert [entry.name for entry in tmp_path.rglob("*")] == ["folder"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("file", "is not a folder, and must be one"),
        ("file/a/b", "is beneath .*/file, which is not a folder"),
        ("dangling", "is not a folder"),
        ("/proc/new/folder", "cannot be written to"),
    ],
)
def test_a_folder_that_cannot_be_made_is_refused(path, words, tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(BadInput, match=words) as refused:
        files.check_can_be_folder("export_dir", tmp_path / path)
    assert refused.value.thing == "export_dir" and (tmp_path / "file").read_text() == "mine"


def test_several_files_are_written_together_or_not_at_all(tmp_path):
    old = {"a": b"old", "b": b"old"}
    files.write_all(tmp_path, old)
    (tmp_path / "c").mkdir()
    for bad in ({"a": "new", "b": "\ud800"}, {"a": "new", "c": "in the place of a folder"}, {"a": "new", "d/e": "x"}):
        with pytest.raises((OSError, UnicodeEncodeError)):
            files.write_all(tmp_path, bad)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == old
    files.write_all(tmp_path, {"a": "new", "b": b"new"})
    assert {path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == {b"new"}


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_mode_of_a_file_follows_the_umask(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        files.write_atomic(tmp_path / "file", "text")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode


def test_a_link_in_the_place_of_a_file_is_replaced(tmp_path: Path):
    (tmp_path / "target").write_text("kept")
    (tmp_path / "file").symlink_to(tmp_path / "target")
    files.write_atomic(tmp_path / "file", "new")
    assert (tmp_path / "target").read_text() == "kept" and not (tmp_path / "file").is_symlink()
