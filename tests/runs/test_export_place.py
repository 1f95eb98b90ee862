"""The place of the export of a run: free, already that of its network, or somebody else's."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from dlth_tf.errors import BadInput
from dlth_tf.runs import runner, train_and_export
from dlth_tf.runs.train_and_export import run_and_tell
from tests.runs.tiny import listing, tiny


@pytest.fixture
def exports(monkeypatch) -> list[str]:
    """The folders that would be exported to."""
    written: list[str] = []
    monkeypatch.setattr(train_and_export, "export_run", lambda run_dir, place, trust: written.append(place))
    return written


def place(folder: Path, sha256: str | None, forms: tuple[str, ...] = ("plain",), **origin: Any) -> str:
    """Writes the outline of an export, and returns its folder."""
    folder.mkdir()
    for form in forms:
        (folder / form).mkdir()
    report = {"origin": {"weights_sha256": sha256, **origin}, "forms": {form: {} for form in forms}}
    (folder / "export.json").write_text(json.dumps(report))
    return str(folder)


def outcome(done, export_dir: str) -> str:
    return run_and_tell(tiny("scratch", done.directory.path, export_dir=export_dir))[1]


def test_the_export_of_this_network_is_left_alone_and_said_to_be_there(tmp_path, tiny_runs, exports):
    done = tiny_runs["scratch"]
    there = place(tmp_path / "out", done.result["weights_sha256"], ("packed", "plain"))
    before = listing(tmp_path)
    assert outcome(done, there) == f"already exported to {there}"
    assert exports == [] and listing(tmp_path) == before


@pytest.mark.parametrize("lacking", ["form", "everything", "folder of the form"])
def test_an_export_that_is_missing_is_made_up_for(lacking, tmp_path, tiny_runs, exports):
    done = tiny_runs["scratch"]
    there = str(tmp_path / "out")
    if lacking != "everything":
        place(tmp_path / "out", done.result["weights_sha256"], ("packed",) if lacking == "form" else ("plain",))
        shutil.rmtree(tmp_path / "out" / "plain", ignore_errors=True)
    assert outcome(done, there) == f"exported to {there}" and exports == [there]


@pytest.mark.parametrize(
    ("sha256", "origin", "words"),
    [
        ("ab" * 32, {"run_dir": "runs/r1"}, "an export, that of runs/r1"),
        (None, {}, "an export, that of another network"),
        ("ab" * 32, None, r"an export \(plain\) without export\.json"),
    ],
)
def test_the_export_of_another_network_is_refused_with_a_way_out(sha256, origin, words, tmp_path, tiny_runs, exports):
    done = tiny_runs["scratch"]
    there = place(tmp_path / "out", sha256, **(origin or {}))
    if origin is None:
        (tmp_path / "out" / "export.json").unlink()
    before = listing(tmp_path)
    remedy = rf"--run_dir={done.directory.path} --export_dir={there} --overwrite"
    with pytest.raises(BadInput, match=rf"^export_dir=.*: already holds {words}: .*{remedy}$"):
        outcome(done, there)
    assert exports == [] and listing(tmp_path) == before


@pytest.mark.parametrize("content", ["[]", "{", "{}", '{"origin": 3, "forms": 4}'])
def test_an_export_json_that_says_nothing_is_somebody_elses(content, tmp_path, tiny_runs, exports):
    there = place(tmp_path / "out", None)
    (tmp_path / "out" / "export.json").write_text(content)
    with pytest.raises(BadInput, match=r"^export_dir="):
        outcome(tiny_runs["scratch"], there)


@pytest.mark.parametrize(
    ("export_dir", "words"),
    [
        ("file", "is not a folder, and must be one that can be written to"),
        ("file/inner", "is beneath .*file, which is not a folder"),
        ("/proc/new", "cannot be written to"),
        ("out", r"already holds an export \(plain\): name another directory, or replace it once the run is complete"),
        ("told", r"already holds an export \(export\.json\)"),
    ],
)
def test_a_place_that_cannot_be_used_is_refused_before_training(export_dir, words, tmp_path):
    (tmp_path / "file").write_text("mine")
    place(tmp_path / "out", "ab" * 32)
    place(tmp_path / "told", "ab" * 32, forms=())
    before = listing(tmp_path)
    with pytest.raises(BadInput, match=words):
        runner.run(tiny("scratch", tmp_path / "run", export_dir=str(tmp_path / export_dir)))
    assert listing(tmp_path) == before
