"""Commands, snippets, links and names in README.md work."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.S)
    for line in block.splitlines()
    if line.strip()
]


@pytest.mark.slow
def test_the_keras_snippets_run_and_give_a_sparse_saved_model(tmp_path, monkeypatch):
    in_keras3, in_tf_keras = re.findall(r"```python\n(.*?)```", README, re.S)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(in_keras3, "README.md", "exec"), names)
    assert zeros(variable.numpy() for variable in names["plain"].weights) == [0.98, 0.98, 0.0]
    answers = np.asarray(names["plain"](names["x"])).argmax(-1)
    assert np.count_nonzero(answers[:256] == 0) < 128
    assert (answers == names["y"]).mean() > 0.9
    assert (tmp_path / "saved_models/mine/plain/saved_model.pb").exists()

    exec(compile(in_tf_keras, "README.md", "exec"), names)
    assert zeros(variable.numpy() for variable in names["sparse"].weights) == [0.9, 0.0]
    assert (names["sparse"](names["x"]).numpy().argmax(-1) == names["y"]).mean() > 0.9


def zeros(weights: Iterable[np.ndarray]) -> list[float]:
    """Returns the fraction of zeros of every kernel."""
    return [round(float((weight == 0).mean()), 3) for weight in weights if weight.ndim > 1]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_is_accepted(command, monkeypatch, capsys):
    from dlth_tf import commands, export, report, sweep, train

    words = shlex.split(command)
    monkeypatch.chdir(ROOT)
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.M)
        return
    if words[0] == ".":
        assert words[1:] == [".venv/bin/activate"]
        return
    assert words[:2] == ["python", "-m"]
    main = {"train": train, "sweep": sweep, "report": report, "export": export}[words[2].removeprefix("dlth_tf.")].main
    if main in (train.main, sweep.main):
        assert commands.run_command(words[2], main, [*words[3:], *([] if "--dry_run" in words else ["--dry_run"])]) == 0
    with pytest.raises(SystemExit) as done:
        main([*words[3:], "--help"])
    assert done.value.code == 0 and all(
        f"--{word[2:].split('=')[0]}" in capsys.readouterr().out + "--flagfile" for word in words[3:4]
    )


def test_every_callback_of_the_table_exists_and_takes_what_stands_there(tmp_path):
    from dlth_tf import callbacks

    calls = re.findall(r"^\| `(\w+\(.*?\))` \|", README, re.M)
    in_the_snippet = {"KeepMask", "RSTPenalty"}
    assert {call.split("(")[0] for call in calls} == set(callbacks.__all__) - in_the_snippet
    for call in calls:
        assert eval(call, {**{name: getattr(callbacks, name) for name in callbacks.__all__}, "log_dir": str(tmp_path)})


def test_a_command_with_a_flag_that_does_not_exist_is_not_accepted():
    from dlth_tf import commands, train

    assert (
        commands.run_command("dlth_tf.train", train.main, ["--flagfile=flags/digits/rst.flags", "--no_such_flag=1"])
        == 2
    )


def test_links_and_files_that_the_readme_names_exist():
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target
    for path in re.findall(r"(?:flags|docs)/[\w./]+\w", README):
        assert (ROOT / path).exists(), path


def test_the_picture_is_that_of_the_demo():
    assert (ROOT / "docs/demo.png").stat().st_size < 200_000
