"""Shared behavior of the commands: flags, help, flag files, one-line errors, exit codes."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from absl import flags

import dlth_tf.export
from dlth_tf import sweep, train
from dlth_tf.commands import BAD_INPUT, DONE, FAILED, PATHS, define, kind_of, parse, run_command
from dlth_tf.errors import BadInput
from dlth_tf.runs.config import RunConfig
from tests.runs.tiny import environment

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = {"train": train, "sweep": sweep, "export": dlth_tf.export}
RUN = ["--method=rst", "--dataset=digits", "--model=lenet5", "--sparsity=.5"]


@pytest.fixture
def trained(monkeypatch) -> list[RunConfig]:
    """Configurations that `train` would have run."""
    configs: list[RunConfig] = []
    monkeypatch.setattr(train, "train", lambda config: configs.append(config))
    return configs


def ended(command: ModuleType, *argv: str) -> int:
    return run_command(f"dlth_tf.{command.__name__.rpartition('.')[2]}", command.main, argv)


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and captured.err.endswith("\n")
    return captured.err.rstrip("\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_prints_the_usage_and_exits_with_0(name, capsys):
    for word in ("--help", "-h", "--helpshort", "--helpfull"):
        with pytest.raises(SystemExit) as left:
            COMMANDS[name].main([word])
        assert left.value.code == 0
        page = capsys.readouterr().out
        assert f"python -m dlth_tf.{name} " in page and max(map(len, page.splitlines())) <= 140


def listed(page: str) -> list[str]:
    return re.findall(r"^  --(\w+)", page, re.MULTILINE)


def test_help_of_train_has_every_field_of_the_configuration_once_and_in_its_group():
    page = train.page()
    assert sorted(listed(page)) == sorted([*(field.name for field in dataclasses.fields(RunConfig)), "dry_run"])
    for field in dataclasses.fields(RunConfig):
        group = page.split(f"\n{field.metadata['group']}:\n")[1].split("\n\n")[0]
        assert f"  --{field.name} " in group
    assert re.findall(r"^([A-Z][\w ]+):$", page, re.MULTILINE) == [
        "What to run",
        "Ticket",
        "Training",
        "Transformation",
        "Iterative methods",
        "Data",
        "Machine",
        "Output",
    ]


def test_help_of_sweep_has_what_the_grid_sets_only_as_lists():
    names = listed(sweep.page())
    assert {"methods", "sparsities", "seeds", "sweep_dir", "parallel", "epochs", "model"} <= set(names)
    assert not {"method", "sparsity", "seed", "run_dir"} & set(names) and len(set(names)) == len(names)


@pytest.mark.parametrize("field", dataclasses.fields(RunConfig), ids=lambda field: field.name)
def test_every_field_says_what_it_is_and_its_default(field):
    assert field.metadata["help"] and kind_of(field) in ("text", "list", "int", "float", "bool")
    if field.default not in (None, ""):
        entry = train.page().split(f"  --{field.name} ")[1].split("\n  --")[0]
        assert f"default {field.default}" in " ".join(entry.split()) or "default" in field.metadata["help"]


def test_flags_become_the_configuration(trained):
    argv = [*RUN, "--epochs=3", "--lr_boundaries=1,2", "--jit_compile", "--nodeterministic", "--seed", "7"]
    assert ended(train, *argv) == DONE
    expected = {
        "method": "rst",
        "dataset": "digits",
        "model": "lenet5",
        "sparsity": 0.5,
        "epochs": 3,
        "lr_boundaries": "1,2",
        "seed": 7,
    }
    assert trained == [RunConfig(**expected, jit_compile=True)]


def test_the_last_of_several_values_wins(trained):
    assert ended(train, *RUN, "--epochs=3", "--epochs=4", "--deterministic", "--nodeterministic") == DONE
    assert (trained[0].epochs, trained[0].deterministic) == ("4ep", False)


@pytest.mark.parametrize(
    ("word", "value"),
    [("--jit_compile", True), ("--nojit_compile", False), ("--jit_compile=true", True), ("--jit_compile=0", False)],
)
def test_booleans_can_be_given_in_several_ways(trained, word, value):
    assert ended(train, *RUN, word) == DONE and trained[0].jit_compile is value


@pytest.mark.parametrize("name", PATHS)
def test_a_leading_tilde_of_any_path_is_the_home_directory(name, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    values = flags.FlagValues()
    define(values, name, None, "a path")
    assert parse(values, [f"--{name}=~/x/y"], str)[name].value == "/home/me/x/y"


@pytest.mark.parametrize("name", PATHS)
def test_an_empty_path_is_refused_since_a_variable_may_be_unset(name):
    values = flags.FlagValues()
    define(values, name, None, "a path")
    with pytest.raises(BadInput, match=f"^{name}=: must not be empty"):
        parse(values, [f"--{name}="], str)


def test_every_flag_that_names_a_file_or_folder_is_a_path():
    pages = " ".join(command.page() for command in (train, sweep, dlth_tf.export))
    named = {name for name in listed(pages) if name.endswith(("_dir", "_weights"))}
    assert named <= set(PATHS) <= set(listed(pages)) | {"shared_dir"}


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["--sparsty=.5"], "Unknown command line flag 'sparsty'. Did you mean: sparsity ?"),
        (["--sparsity=abc"], "--sparsity=abc: must be a number"),
        (["--seed=1.5"], "--seed=1.5: must be a whole number"),
        (["--batch_size=many"], "--batch_size=many: must be a whole number"),
        (["--jit_compile=maybe"], "--jit_compile=maybe: must be true or false"),
        (["--nojit_compile=1"], "--nojit_compile=1 does not take an argument"),
        (["--epochs"], "Missing value for flag --epochs"),
        (["rst", "digits"], "rst digits: only flags are allowed, in the form --name=value"),
        (["--", "--epochs=3"], "--epochs=3: only flags are allowed, in the form --name=value"),
        (["--flagfile=none.flags"], "--flagfile=none.flags: cannot be read (No such file or directory)"),
        (["--flagfile=."], "--flagfile=.: cannot be read (Is a directory)"),
    ],
    ids=str,
)
def test_flags_that_cannot_be_read_are_one_line_and_exit_code_2(argv, line, capsys, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert ended(train, *RUN, *argv) == BAD_INPUT and not trained
    assert error_line(capsys) == f"dlth_tf.train: {line}"
    assert not list(tmp_path.iterdir())


def test_flag_files_may_include_others_and_flags_after_them_win(trained, tmp_path):
    (tmp_path / "base.flags").write_text("# what all share\n--dataset=digits\n\n--model=lenet5\n--epochs=3\n")
    (tmp_path / "rst.flags").write_text(f"--flagfile={tmp_path}/base.flags\n--method=rst\n--sparsity=.5\n--epochs=4\n")
    assert ended(train, f"--flagfile={tmp_path}/rst.flags") == DONE
    assert ended(train, f"--flagfile={tmp_path}/rst.flags", "--epochs=5") == DONE
    assert [config.epochs for config in trained] == ["4ep", "5ep"]


def test_a_flag_file_that_includes_itself_is_read_once(trained, tmp_path):
    path = tmp_path / "self.flags"
    path.write_text(f"--flagfile={path}\n" + "\n".join(RUN))
    assert ended(train, f"--flagfile={path}") == DONE and len(trained) == 1


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"--sparsity=abc\n", b"rst\n"])
def test_a_flag_file_with_no_flags_in_it_is_one_line(content, capsys, tmp_path):
    (tmp_path / "bad.flags").write_bytes(content)
    assert ended(train, f"--flagfile={tmp_path}/bad.flags") == BAD_INPUT
    assert error_line(capsys).startswith("dlth_tf.train: ")


@pytest.mark.parametrize(
    ("raised", "code", "last"),
    [
        (None, DONE, None),
        (BadInput("seed", -1, "must be at least 0"), BAD_INPUT, "name: --seed=-1: must be at least 0"),
        (BadInput("model", "a:b", "failed with\n  two lines"), BAD_INPUT, "name: --model=a:b: failed with two lines"),
        (flags.Error("unknown"), BAD_INPUT, "name: unknown"),
        (KeyboardInterrupt(), FAILED, "name: interrupted"),
        (RuntimeError("the loss\nis nan"), FAILED, "name: failed with RuntimeError: the loss is nan"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_command_raises_becomes_an_exit_code_and_a_line(raised, code, last, capsys):
    def main(argv):
        if raised is not None:
            raise raised

    assert run_command("name", main, []) == code
    lines = capsys.readouterr().err.splitlines()
    assert (lines[-1:] or [None]) == [last]
    if code == BAD_INPUT:
        assert len(lines) == 1


@pytest.mark.parametrize("code", [0, 3, None, "mine"])
def test_code_that_ends_the_process_is_a_failure_in_one_line(code, capsys, tmp_path):
    (tmp_path / "their_net.py").write_text(f"import sys\n\nsys.exit({code!r})\n")

    def main(argv):
        exec(compile((tmp_path / "their_net.py").read_text(), tmp_path / "their_net.py", "exec"), {})

    assert run_command("name", main, []) == FAILED
    place = f"{tmp_path / 'their_net.py'}, line 3"
    assert error_line(capsys) == f"name: failed: SystemExit with code {code} was raised in {place}"


def test_a_pipe_that_breaks_elsewhere_is_a_failure(capsys):
    def main(argv):
        raise BrokenPipeError(32, "Broken pipe")

    assert run_command("name", main, []) == FAILED
    assert capsys.readouterr().err.endswith("name: failed with BrokenPipeError: [Errno 32] Broken pipe\n")


@pytest.mark.parametrize("both", [False, True], ids=["stdout", "stdout and stderr"])
def test_a_command_whose_reader_is_gone_does_its_work(both, tmp_path):
    code = f"""
import sys
from dlth_tf.commands import run_command

def main(argv):
    for _ in range(10_000):
        print("line", flush=True)
        print("warning", file=sys.stderr)
    open({str(tmp_path / "done")!r}, "w").close()
    return 5

sys.exit(run_command("name", main, []))
"""
    shell = f'{sys.executable} -c "$0" {"2>&1" if both else "2>/dev/null"} | head -1; exit ${{PIPESTATUS[0]}}'
    ended = subprocess.run(["bash", "-c", shell, code], capture_output=True, text=True, env=environment(), timeout=120)
    assert (ended.returncode, ended.stderr) == (5, "") and (tmp_path / "done").exists()


def test_a_page_whose_reader_is_gone_is_no_failure():
    shell = f"{sys.executable} -m dlth_tf.train --help | head -1; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, env=environment(), timeout=120)
    assert (ended.returncode, ended.stderr) == (DONE, "") and ended.stdout.count("\n") == 1


def test_a_commands_own_exit_code_is_passed_on():
    assert run_command("name", lambda argv: 1, []) == FAILED and run_command("name", lambda argv: None, []) == DONE


def refused_for(value: str, source: str, filename: str) -> BadInput:
    """Returns the error that the package raises when code in `filename` fails."""
    try:
        try:
            exec(compile(source, filename, "exec"), {})
        except Exception as error:
            raise BadInput("model", value, f"failed with {type(error).__name__}") from error
    except BadInput as refused:
        return refused


def test_the_users_own_traceback_is_shown_without_our_lines(capsys):
    source = "def inner():\n    raise KeyError('mine')\n\ndef outer():\n    inner()\n\nouter()"
    raised = refused_for("their:net", source, "/home/me/dlth_tf/their.py")  # a checkout often has the package's name

    def main(argv):
        raise raised

    assert run_command("name", main, []) == BAD_INPUT
    lines = capsys.readouterr().err.splitlines()
    assert (
        lines[0] == "Traceback (most recent call last):"
        and lines[-1] == "name: --model=their:net: failed with KeyError"
    )
    assert [line for line in lines if "their.py" in line] == [
        '  File "/home/me/dlth_tf/their.py", line 7, in <module>',
        '  File "/home/me/dlth_tf/their.py", line 5, in outer',
        '  File "/home/me/dlth_tf/their.py", line 2, in inner',
    ]
    assert lines[-2] == "KeyError: 'mine'"


def test_lines_of_the_package_are_left_out(capsys):
    ours = str(ROOT / "dlth_tf" / "models" / "__init__.py")
    raised = refused_for("their:net", "1 / 0", ours)

    def main(argv):
        raise raised

    run_command("name", main, [])
    error = capsys.readouterr().err
    assert ours not in error and "ZeroDivisionError" in error


def test_an_error_that_is_not_in_the_users_code_shows_no_traceback(capsys):
    def main(argv):
        raise refused_for("lenet5", "1 / 0", "anywhere.py")

    assert run_command("name", main, []) == BAD_INPUT
    assert error_line(capsys) == "name: --model=lenet5: failed with ZeroDivisionError"


def test_two_commands_do_not_share_their_flags():
    one, other = flags.FlagValues(), flags.FlagValues()
    define(one, "size", 1, "how large", "int")
    parse(one, ["--size=3"], lambda: "")
    assert one.size == 3
    with pytest.raises(flags.UnrecognizedFlagError):
        parse(other, ["--size=3"], lambda: "")


@pytest.mark.parametrize("flag", ["--model=their_module:net", "--dataset=their_module:data"])
def test_a_flag_file_names_no_code_that_the_command_line_does_not_repeat(flag, capsys, trained, tmp_path):
    (tmp_path / "theirs.flags").write_text("\n".join([*RUN, flag]))
    words = [f"--flagfile={tmp_path}/theirs.flags"]
    assert ended(train, *words) == BAD_INPUT and not trained
    assert f"dlth_tf.train: {flag}: comes from a flag file and names code" in error_line(capsys)
    assert ended(train, *words, flag) == DONE == ended(train, *words, *flag.split("=")) and len(trained) == 2


@pytest.mark.parametrize(("words", "allowed"), [([], False), (["--trust_run"], True), (["--trust_run=true"], True)])
def test_a_flag_file_trusts_no_run(words, allowed, capsys, tmp_path):
    (tmp_path / "theirs.flags").write_text(f"--trust_run\n--run_dir={tmp_path}/none\n")
    assert ended(dlth_tf.export, f"--flagfile={tmp_path}/theirs.flags", *words) == BAD_INPUT
    assert ("--trust_run=True: comes from a flag file" in error_line(capsys)) is not allowed


@pytest.mark.parametrize("name", ["report", "export"])
@pytest.mark.slow
def test_the_working_directory_is_not_searched_for_modules(name, tmp_path):
    for module in ("pandas", "h5py", "absl", "rich", "tensorflow"):
        (tmp_path / f"{module}.py").write_text("open('imported', 'w').close()\n")
    command = [sys.executable, "-m", f"dlth_tf.{name}", "--run_dir=."]
    ended = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert ended.returncode == BAD_INPUT and "complete run" in ended.stderr, ended.stderr
    assert not (tmp_path / "imported").exists()
