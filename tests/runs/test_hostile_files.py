"""A pipe, a device, garbage or nothing valid in the place of any file of a run: one line, at once, in every command."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import dlth_tf.export as export_command
from dlth_tf import report, sweep, train
from dlth_tf.commands import BAD_INPUT, DONE, FAILED, run_command
from dlth_tf.runs.directory import RunDirectory
from dlth_tf.runs.exporting import export_run as module
from tests.runs.test_links import sweep_flags
from tests.runs.tiny import FILES, TinyRuns, as_flags, tiny_flags

DEEP = b"[" * 100_000
PUT: dict[str, Callable[[Path], Any]] = {
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "folder": Path.mkdir,
    "huge": lambda path: (path.touch(), os.truncate(path, 2**40)),
    "garbage": lambda path: path.write_bytes(b"\x1b[31m\x00\xff" * 9),
    "deep": lambda path: path.write_bytes(DEEP),
    "object": lambda path: path.write_bytes(b"{}"),
    "empty": lambda path: path.write_bytes(b""),
}


@pytest.fixture
def run_dir(tmp_path: Path, tiny_runs: TinyRuns, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "export_source", lambda *_: {})
    monkeypatch.setattr(export_command, "describe", lambda *_: None)
    return Path(shutil.copytree(tiny_runs["rst"].config.run_dir, tmp_path / "sweep" / "rst-0.9-s0"))


def ended(capsys: pytest.CaptureFixture[str], command: Any, *argv: str) -> tuple[int, str]:
    code = run_command("command", command.main, argv)
    said = capsys.readouterr().err
    assert "Traceback" not in said and said.replace("\n", "").isprintable()
    return code, said


# What hangs or takes memory for every file; what is only not valid for one.
@pytest.mark.fast_cases("result.json-*", "ticket.npz-huge", "history.csv-pipe")
@pytest.mark.slow_cases(
    "config.json-*", "history.csv-device", "ticket.json-deep", "ticket.npz-garbage", "weights.npz-empty"
)
@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", PUT)
@pytest.mark.parametrize("name", sorted(FILES))
def test_what_lies_in_the_place_of_a_file_is_one_line(run_dir, capsys, name, kind):
    (run_dir / name).unlink()
    PUT[kind](run_dir / name)
    out = as_flags(run_dir=run_dir, export_dir=run_dir.parent.parent / "out")
    outcomes = {
        "export": ended(capsys, export_command, *out),
        "report on the run": ended(capsys, report, f"--run_dir={run_dir}"),
        "report on the sweep": ended(capsys, report, f"--sweep_dir={run_dir.parent}"),
        "train": ended(capsys, train, *tiny_flags("rst", run_dir)) if name == "config.json" else (DONE, ""),
    }
    for command, (code, said) in outcomes.items():
        assert code in (DONE, BAD_INPUT) and said.count("\n") <= 1, (command, said)
    readers = {"config.json": "export", "result.json": "export", "weights.npz": "export", "ticket.npz": "export"}
    reader = readers.get(name, "report on the run")
    assert outcomes[reader][0] == BAD_INPUT, outcomes


@pytest.mark.fast_cases("result.json", "weights.npz", "plan.json")
@pytest.mark.parametrize("name", [*sorted(FILES), "plan.json", "failures.json"])
def test_a_file_that_vanishes_before_it_is_opened_is_one_line(run_dir, capsys, monkeypatch, name):
    (run_dir.parent / "plan.json").write_text('{"methods": [], "runs": []}')
    (run_dir.parent / "failures.json").write_text("{}")
    path = run_dir.parent / name if name in ("plan.json", "failures.json") else run_dir / name
    content, real = path.read_bytes(), os.open
    gone = []

    def opened(file: Any, *args: Any, **kwargs: Any) -> int:
        if os.fspath(file) == str(path) and path.exists():
            path.unlink()
            gone.append(name)
        return real(file, *args, **kwargs)

    monkeypatch.setattr(os, "open", opened)
    commands = {
        "export": (export_command, as_flags(run_dir=run_dir, export_dir=run_dir.parent.parent / "out")),
        "report on the run": (report, [f"--run_dir={run_dir}"]),
        "report on the sweep": (report, [f"--sweep_dir={run_dir.parent}"]),
    }
    for command, (main, flags) in commands.items():
        path.write_bytes(content)
        code, said = ended(capsys, main, *flags)
        assert code in (DONE, BAD_INPUT) and said.count("\n") <= 1, (command, said)
    assert gone


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", PUT)
@pytest.mark.parametrize("name", ["plan.json", "failures.json"])
def test_what_lies_in_the_place_of_a_sweeps_file_is_one_line(run_dir, capsys, name, kind):
    (run_dir.parent / "plan.json").write_text('{"methods": [], "runs": []}')
    (run_dir.parent / name).unlink(missing_ok=True)
    PUT[kind](run_dir.parent / name)
    code, said = ended(capsys, report, f"--sweep_dir={run_dir.parent}")
    assert (code, said.count("\n")) in ((BAD_INPUT, 1), (DONE, 0)) and (code == BAD_INPUT or kind == "object")
    if name == "failures.json":
        assert ended(capsys, sweep, *sweep_flags(run_dir.parent))[0] == (BAD_INPUT if kind == "folder" else DONE)


@pytest.mark.parametrize(
    "content",
    ["garbage", "{}", '{"sparsity":"x","test":1,"phases":2,"weights_sha256":3}', '{"method": "\\u001b[2J"}'],
    ids=range(4),
)
def test_a_result_that_is_not_valid_is_no_complete_run(run_dir, capsys, content):
    (run_dir / "result.json").write_text(content)
    assert not RunDirectory(run_dir).is_complete()
    code, said = ended(capsys, train, *tiny_flags("rst", run_dir))
    assert code == BAD_INPUT and said.count("\n") == 1 and "result.json" in said


@pytest.mark.slow
def test_a_sweep_with_such_a_result_is_not_complete(run_dir, capsys):
    (run_dir / "result.json").write_text("{}")
    assert run_command("sweep", sweep.main, sweep_flags(run_dir.parent)) == FAILED
    said = capsys.readouterr()
    assert "0 of 1 runs complete" in said.out and "its result.json lacks sparsity" in said.err


@pytest.mark.fast_cases("config.json-pipe")
@pytest.mark.slow_cases("result.json-device", "config.json-*")
@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["pipe", "device", "deep"])
@pytest.mark.parametrize("name", ["config.json", "result.json"])
def test_a_sweep_over_such_a_run_ends_at_once(run_dir, capsys, name, kind):
    (run_dir / name).unlink()
    PUT[kind](run_dir / name)
    code, said = ended(capsys, sweep, *sweep_flags(run_dir.parent))
    assert (code, said.count("\n")) in ((BAD_INPUT, 1), (FAILED, 1)) and name in said, said


@pytest.mark.timeout(60)
@pytest.mark.parametrize("ending", ["json", "npz"])
def test_a_pipe_in_the_place_of_a_checkpoint_is_one_line(run_dir, capsys, ending):
    (run_dir / "result.json").unlink()
    (run_dir / "checkpoints").mkdir()
    for name in ("000001.npz", "000001.json"):
        (os.mkfifo if name.endswith(ending) else Path.touch)(run_dir / "checkpoints" / name)
    code, said = ended(capsys, train, *tiny_flags("rst", run_dir))
    assert code == BAD_INPUT and "none of its checkpoints can be used" in said and said.count("\n") == 1


CONFIG: dict[str, list[Any]] = {
    "image_shape": [[60000, 60000, 3], [4096, 4096, 4096], ["touch", "x"], [-1, 8, 1], [8.5, 8, 1], None, {"a": 1}, []],
    "label_names": [[1] * 10, "0123456789", ["\x1b[31m"] * 10, None, [], ["x" * 5000] * 10, [["a"]] * 10],
    "normalization": [None, [], {"scale": "x"}, {"scale": 1, "mean": [[]], "std": [1]}, {"scale": 10**39}],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in CONFIG for value in CONFIG[name]], ids=ascii)
def test_data_that_no_run_has_is_one_line(run_dir, capsys, name, value):
    document = json.loads((run_dir / "config.json").read_text())
    document["data"][name] = value
    (run_dir / "config.json").write_text(json.dumps(document))
    code, said = ended(capsys, export_command, *as_flags(run_dir=run_dir, export_dir=run_dir.parent / "out"))
    assert code == BAD_INPUT and said.count("\n") == 1


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "~nobody-of-this-name/x"], ids=["long", "nul", "nobody"])
def test_a_directory_that_no_file_system_has_is_one_line(capsys, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    calls = {
        train: tiny_flags("rst", name),
        sweep: sweep_flags(Path(name)),
        report: [f"--sweep_dir={name}"],
        export_command: [f"--run_dir={name}"],
    }
    for command, argv in calls.items():
        code, said = ended(capsys, command, *argv)
        assert code == BAD_INPUT and said.count("\n") == 1, command
    assert not list(tmp_path.iterdir())
