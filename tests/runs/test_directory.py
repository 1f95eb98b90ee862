"""The directories that a run may use; a refused run writes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import filelock
import pytest

from dlth_tf.errors import BadInput
from dlth_tf.runs.directory import RunDirectory, git_commit, version_of
from dlth_tf.runs.runner import run
from tests.runs.tiny import listing, tiny


def refusal(config) -> str:
    with pytest.raises(BadInput) as refused:
        run(config)
    assert refused.value.thing == "run_dir" and "\n" not in str(refused.value)
    return str(refused.value)


def test_another_configuration_is_refused_and_named(tiny_runs):
    done = tiny_runs["scratch"]
    before = listing(done.directory.path)
    sentence = refusal(tiny("scratch", done.config.run_dir, seed=1, epochs=3))
    assert sentence.endswith(
        "holds a run of another configuration: seed is 0 there and 1 here; epochs is 2ep there and 3ep here"
    )
    assert listing(done.directory.path) == before


def test_what_says_only_where_things_go_is_no_other_configuration(monkeypatch, tiny_runs):
    done = tiny_runs["scratch"]
    before = listing(done.directory.path)
    monkeypatch.chdir(done.directory.path.parent)
    for changes in ({"verbosity": 2}, {"resume": "never"}, {"tensorboard": True}, {"data_dir": "elsewhere"}):
        assert run(tiny("scratch", "scratch", **changes)) == done.result
    assert listing(done.directory.path) == before


def test_resume_never_refuses_an_unfinished_run_and_auto_does_not(tmp_path, tiny_runs):
    (tmp_path / "config.json").write_bytes(tiny_runs["scratch"].directory.config.read_bytes())
    before = listing(tmp_path)
    assert "holds an unfinished run, and --resume=never" in refusal(tiny("scratch", tmp_path, resume="never"))
    assert listing(tmp_path) == before
    RunDirectory(tmp_path).refuse_other_runs(tiny("scratch", tmp_path))


def test_foreign_files_are_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    before = listing(tmp_path)
    assert "contains other files but no config.json: use an empty or new directory" in refusal(
        tiny("scratch", tmp_path)
    )
    assert listing(tmp_path) == before


@pytest.mark.parametrize("text", ["", "no json", "[1]", "[" * 100_000, '"config"'])
def test_a_damaged_config_json_is_refused(text, tmp_path):
    (tmp_path / "config.json").write_text(text)
    before = listing(tmp_path)
    assert ": config.json " in refusal(tiny("scratch", tmp_path))
    assert listing(tmp_path) == before


def test_a_damaged_result_json_is_refused_and_not_taken_for_a_result(tmp_path, tiny_runs):
    for path in tiny_runs["scratch"].directory.path.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "result.json").write_text("{")
    before = listing(tmp_path)
    assert "result.json is not valid JSON" in refusal(tiny("scratch", tmp_path))
    assert listing(tmp_path) == before


def test_a_file_in_its_place_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    assert refusal(tiny("scratch", tmp_path / "file")).endswith("is a file, and must be a directory")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("place", ["file/run", "/proc/run"], ids=["under a file", "where nobody can write"])
def test_a_parent_that_cannot_be_written_to_is_refused(place, tmp_path):
    (tmp_path / "file").write_text("mine")
    before = listing(tmp_path)
    assert "cannot be written to" in refusal(tiny("scratch", tmp_path / place))
    assert listing(tmp_path) == before


def test_a_directory_in_which_another_process_runs_is_refused(tmp_path, tiny_runs):
    with filelock.FileLock(tmp_path / ".lock"):
        (tmp_path / "config.json").write_bytes(tiny_runs["scratch"].directory.config.read_bytes())
        before = listing(tmp_path)
        assert refusal(tiny("scratch", tmp_path)).endswith("is in use by another process")
        assert listing(tmp_path) == before
    data = json.loads((tmp_path / "config.json").read_text())["data"]
    with RunDirectory(tmp_path).open(tiny("scratch", tmp_path), data | {"value_range": 3}):
        assert json.loads((tmp_path / "config.json").read_text())["data"]["value_range"] == 3


def test_an_empty_directory_and_one_that_does_not_exist_are_free(tmp_path):
    RunDirectory(tmp_path).refuse_other_runs(tiny("scratch", tmp_path))
    RunDirectory(tmp_path / "new").refuse_other_runs(tiny("scratch", tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_the_files_of_a_run_are_named_in_one_place():
    directory = RunDirectory(Path("run"))
    assert directory.result == Path("run/result.json") and directory.ticket == Path("run/ticket.npz")
    with pytest.raises(AttributeError):
        _ = directory.results


def test_the_commit_is_noted_and_its_absence_is_no_error(monkeypatch):
    commit = git_commit()
    assert commit is None or len(commit.removesuffix("+changes")) == 40
    monkeypatch.setenv("PATH", "")
    assert git_commit() is None


def test_the_version_of_a_module_that_another_package_provides_is_that_package_s(tmp_path, monkeypatch):
    """As tensorflow-cpu and tf-nightly provide tensorflow."""
    (tmp_path / "some_frame").mkdir()
    (tmp_path / "some_frame" / "__init__.py").touch()
    metadata = tmp_path / "some_frame_cpu-2.3.4.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: some-frame-cpu\nVersion: 2.3.4\n")
    (metadata / "top_level.txt").write_text("some_frame\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert version_of("some-frame") == "2.3.4 (some-frame-cpu)"
    assert version_of("some-frame-cpu") == "2.3.4"
    assert version_of("nowhere-to-be-found") == "unknown"
