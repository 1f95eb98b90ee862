"""Flagfiles: each states its command, which is accepted; every method has one."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
from absl import flags as absl_flags

from dlth_tf import export, report, sweep, train
from dlth_tf.errors import BadInput
from dlth_tf.methods import METHODS
from dlth_tf.runs.config import RunConfig
from dlth_tf.sweeps import dry_run

ROOT = Path(__file__).resolve().parents[1]
FILES = {str(path.relative_to(ROOT)): path for path in sorted((ROOT / "flags").rglob("*.flags"))}
# The other files are only included in these.
NAMED = [name for name, path in FILES.items() if re.search(r"^--methods?=", path.read_text(), re.M)]


def header(path: Path) -> str:
    """Returns the comment at the beginning of a flagfile, without the #."""
    return "\n".join(line.lstrip("# ") for line in re.match(r"(#.*\n)*", path.read_text())[0].splitlines())


def planned(command: str, monkeypatch: pytest.MonkeyPatch) -> list[RunConfig]:
    """Returns the configurations that a command would run, parsed by the command itself; trains nothing.

    Raises:
      BadInput, absl.flags.Error: If the command would be refused.
    """
    configs: list[RunConfig] = []
    monkeypatch.chdir(ROOT)
    words = shlex.split(command)
    assert words[:2] == ["python", "-m"], command
    main = {module.__name__: module.main for module in (train, sweep, report, export)}[words[2]]
    if main in (report.main, export.main):
        with pytest.raises(SystemExit) as done:  # flags are parsed before the help page is shown
            main([*words[3:], "--help"])
        assert done.value.code == 0
        return configs
    make_grid = sweep.make_grid
    with monkeypatch.context() as patch:
        patch.setattr(train, "show_plan", lambda config: configs.append(config) or 0)
        patch.setattr(train, "show_log", lambda: None)  # its effect would outlive this call
        patch.setattr(dry_run, "print_plan", lambda *arguments: None)
        patch.setattr(sweep, "make_grid", lambda *arguments: configs.extend(make_grid(*arguments)) or configs)
        assert main([*words[3:], *([] if "--dry_run" in words else ["--dry_run"])]) == 0
    return configs


def commands_of(path: Path) -> list[str]:
    """Returns the commands in the header of a flagfile, without trailing remarks."""
    return [
        line.split("  ")[0].rstrip(":") for line in header(path).splitlines() if line.startswith("python -m dlth_tf.")
    ]


COMMANDS = sorted({command for path in FILES.values() for command in commands_of(path)})


@pytest.mark.parametrize("name", NAMED)
def test_a_flagfile_begins_with_its_command_the_cost_and_what_to_expect(name):
    text = header(FILES[name])
    assert re.match(rf"python -m dlth_tf\.(train|sweep) --flagfile={re.escape(name)}\b", text)
    assert re.search(r"^Cost: ", text, re.M) and re.search(r"^Expect", text, re.M)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_in_a_flagfile_is_accepted(command, monkeypatch):
    planned(command, monkeypatch)


@pytest.mark.parametrize("name", [name for name in NAMED if FILES[name].stem in METHODS.names()])
def test_a_flagfile_runs_the_method_of_its_name(name, monkeypatch):
    assert [config.method for config in planned(commands_of(FILES[name])[0], monkeypatch)] == [FILES[name].stem]


@pytest.mark.parametrize("method", METHODS.names())
def test_every_method_has_a_flagfile_for_digits(method):
    assert f"flags/digits/{method}.flags" in NAMED


def test_all_methods_runs_every_method_at_three_sparsities_with_three_seeds(monkeypatch):
    configs = planned(commands_of(FILES["flags/digits/all_methods.flags"])[0], monkeypatch)
    assert {config.method for config in configs} == set(METHODS.names())
    for method in METHODS.names():
        grid = {(config.sparsity, config.seed) for config in configs if config.method == method}
        levels = (0.9, 0.95, 0.98) if METHODS.load(method).needs_sparsity else (0.0,)
        assert grid == {(level, seed) for level in levels for seed in range(3)}


@pytest.mark.parametrize("method", METHODS.names())
def test_all_methods_and_the_methods_own_file_are_the_same_run(method, monkeypatch):
    (own,) = planned(commands_of(FILES[f"flags/digits/{method}.flags"])[0], monkeypatch)
    grid = planned(commands_of(FILES["flags/digits/all_methods.flags"])[0], monkeypatch)
    (same,) = (
        config for config in grid if (config.method, config.sparsity, config.seed) == (method, own.sparsity, own.seed)
    )
    assert not own.differences(same.to_json())


@pytest.mark.parametrize(
    ("line", "error"),
    [("--no_such_flag=1", absl_flags.Error), ("--method=nope", BadInput), ("--sparsity=1", BadInput)],
    ids=str,
)
def test_a_flagfile_that_is_wrong_is_not_accepted(line, error, tmp_path, monkeypatch):
    path = tmp_path / "wrong.flags"
    path.write_text(f"--flagfile={ROOT}/flags/digits/scratch.flags\n{line}\n")
    with pytest.raises(error):
        planned(f"python -m dlth_tf.train --flagfile={path}", monkeypatch)


def table_of(index: str) -> pd.DataFrame:
    """Returns the table of results in docs/methods: mean test accuracy in percent, by method and sparsity."""
    cells = re.findall(r"^\| (\w+) \| ([\d.]+) ± [\d.]+ \| ([\d.]+) ± [\d.]+ \| ([\d.]+) ± [\d.]+ \|", index, re.M)
    rows = {name: [float(mean) for mean in means] for name, *means in cells}
    return pd.DataFrame.from_dict(rows, orient="index", columns=[".9", ".95", ".98"])


@pytest.mark.parametrize("method", [name for name in METHODS.names() if METHODS.load(name).needs_sparsity])
def test_what_a_flagfile_expects_is_what_the_table_of_all_methods_says(method):
    text = header(FILES[f"flags/digits/{method}.flags"])
    means = re.search(
        r"^Expect: test accuracy ([\d.]+) % at sparsity \.9, ([\d.]+) % at \.95, ([\d.]+) % at \.98", text, re.M
    )
    table = table_of((ROOT / "docs/methods/README.md").read_text())
    assert [float(mean) for mean in means.groups()] == table.loc[method].tolist()
