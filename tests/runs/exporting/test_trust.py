"""Code comes from the command line: no field of a run's files makes a command import or call anything."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import dlth_tf.export as export_command
from dlth_tf import report, sweep, train
from dlth_tf.commands import BAD_INPUT, DONE, run_command
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.exporting import export_run as module
from dlth_tf.runs.exporting.export_run import export_run
from dlth_tf.runs.exporting.trust import Trust
from tests.runs.tiny import TinyRuns, as_flags, tiny_flags

FIELDS = [item.name for item in dataclasses.fields(RunConfig)]
CANARY = "import pathlib\npathlib.Path(__file__).with_name('imported').touch()\n"
CALLED = "def called(*arguments, **more):\n    pathlib.Path(__file__).with_name('called').touch()\n"
PATH = "hostile_canary:called"


@pytest.fixture
def run_dir(tmp_path: Path, tiny_runs: TinyRuns) -> Path:
    return Path(shutil.copytree(tiny_runs["rst"].config.run_dir, tmp_path / "run"))


@pytest.fixture
def untouched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """Puts a module on the search path, and tells whether it was neither imported nor called."""
    folder = tmp_path / "path"
    folder.mkdir()
    (folder / "hostile_canary.py").write_text(CANARY + CALLED)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "hostile_canary", raising=False)
    monkeypatch.setattr(module, "export_source", lambda source, *_: {"on": source.examples and source.examples.origin})
    monkeypatch.setattr(export_command, "describe", lambda *_: None)
    yield lambda: "hostile_canary" not in sys.modules and {p.name for p in folder.iterdir()} == {"hostile_canary.py"}
    sys.modules.pop("hostile_canary", None)


def change(run_dir: Path, file: str, /, **changes: Any) -> None:
    document = json.loads((run_dir / file).read_text())
    (document["config"] if file == "config.json" else document).update(changes)
    (run_dir / file).write_text(json.dumps(document))


def status(name: str, command: Any, *argv: str) -> int:
    return run_command(f"dlth_tf.{name}", command.main, argv)


VALUES = [PATH, [PATH], {"module": "hostile_canary", "class_name": "called"}]


@pytest.mark.fast_cases("list")
@pytest.mark.parametrize("value", VALUES, ids=["path", "list", "mapping"])
def test_no_field_of_the_configuration_is_code_for_an_export(run_dir, untouched, capsys, value):
    original = (run_dir / "config.json").read_text()
    for field in FIELDS:
        (run_dir / "config.json").write_text(original)
        change(run_dir, "config.json", **{field: value})
        out = as_flags(run_dir=run_dir, export_dir=run_dir.parent / "out")
        assert status("export", export_command, *out) in (DONE, BAD_INPUT), (field, capsys.readouterr().err)
        assert untouched(), field


@pytest.mark.fast_cases("mapping")
@pytest.mark.parametrize("value", VALUES, ids=["path", "list", "mapping"])
def test_no_field_of_the_configuration_is_code_for_another_command(run_dir, untouched, value):
    change(run_dir, "config.json", **dict.fromkeys(FIELDS, value))
    sweep_dir = run_dir.parent
    flags = [word for word in tiny_flags("rst", run_dir) if word.split("=")[0][2:] not in sweep.FIXED]
    run_dir.rename(sweep_dir / "rst-0.9-s0")
    assert status("report", report, f"--sweep_dir={sweep_dir}") == DONE
    assert status("report", report, f"--run_dir={sweep_dir}/rst-0.9-s0") == DONE
    assert status("train", train, *tiny_flags("rst", sweep_dir / "rst-0.9-s0")) == BAD_INPUT
    assert status("sweep", sweep, *flags, *as_flags(sweep_dir=sweep_dir, methods="rst", sparsities=0.9)) == BAD_INPUT
    assert untouched()


@pytest.mark.fast_cases("ticket.json")
@pytest.mark.parametrize("file", ["result.json", "ticket.json"])
def test_no_field_of_the_other_files_is_code(run_dir, untouched, file):
    original = (run_dir / file).read_text()
    for field in json.loads(original):
        (run_dir / file).write_text(original)
        change(run_dir, file, **{field: PATH})
        out = as_flags(run_dir=run_dir, export_dir=run_dir.parent / "out")
        assert status("export", export_command, *out) in (DONE, BAD_INPUT), field
    assert status("report", report, f"--sweep_dir={run_dir.parent}") in (DONE, BAD_INPUT), field
    assert untouched()


def test_the_refusal_names_the_code_and_its_file_in_one_sentence(run_dir, untouched, capsys):
    change(run_dir, "config.json", model="os:system", dataset=PATH)
    assert status("export", export_command, f"--run_dir={run_dir}") == BAD_INPUT
    assert capsys.readouterr().err == (
        f"dlth_tf.export: --run_dir={run_dir}: its config.json names code outside of this package (--model=os:system "
        f"--dataset={PATH}), which is only imported if the command repeats these flags or has --trust_run; "
        f"the folder of os and {PATH.split(':')[0]} must then be the working directory or in PYTHONPATH\n"
    )


def test_an_unknown_data_set_is_replaced_by_random_images(run_dir, untouched, log):
    change(run_dir, "config.json", dataset=PATH)
    assert export_run(run_dir, run_dir.parent / "out") == {"on": None}
    assert (
        f"comparing on random images, since the run's config.json names code outside of this package (--dataset={PATH})"
        in (log.text)
    )


@pytest.mark.parametrize("words", [["--trust_run"], [f"--dataset={PATH}"], ["--dataset", PATH]], ids=str)
def test_code_that_the_command_line_repeats_is_called(run_dir, untouched, words):
    change(run_dir, "config.json", dataset=PATH)
    status("export", export_command, *as_flags(run_dir=run_dir, export_dir=run_dir.parent / "out"), *words)
    assert not untouched()


def test_trust_in_one_name_is_no_trust_in_another(run_dir, untouched):
    change(run_dir, "config.json", dataset=PATH)
    export_run(run_dir, run_dir.parent / "out", trust=Trust(frozenset({"hostile_canary:other"})))
    assert untouched()


def test_a_training_that_exports_trusts_its_own_configuration(tmp_path):
    config = RunConfig(method="dense", dataset="a:b", model="c:d", run_dir=str(tmp_path))
    assert Trust.of(config).allows("a:b") and Trust.of(config).allows("c:d") and not Trust.of(config).allows("e:f")


def test_nothing_is_prepared_where_a_file_points_to(run_dir, untouched, log):
    elsewhere = run_dir.parent / "elsewhere"
    elsewhere.mkdir()
    change(run_dir, "config.json", data_dir=str(elsewhere))
    assert export_run(run_dir, run_dir.parent / "out") == {"on": None}
    assert not list(elsewhere.iterdir()) and "does not contain a prepared digits" in log.text
