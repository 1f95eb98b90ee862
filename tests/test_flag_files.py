"""Flag files: where they and what they include are found, the recipes of the package, and what is refused."""

from __future__ import annotations

import os
import re
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from dlth_tf import __main__ as about
from dlth_tf import flag_files, train
from dlth_tf.commands import BAD_INPUT, DONE, run_command
from dlth_tf.errors import BadInput
from dlth_tf.flag_files import MOST_FLAG_FILES, expanded, recipe_names, recipes
from dlth_tf.version import __version__
from tests.test_flags import NAMED

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def write(folder: Path, **texts: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.flags").write_text(text)
    return folder


def test_a_file_becomes_its_flags_in_its_place_without_comments(tmp_path):
    write(tmp_path, one="# a comment\n\n // another\n  --b=2  \n--c\n")
    assert expanded(["--a=1", f"--flagfile={tmp_path}/one.flags", "--d=4"]) == ["--a=1", "--b=2", "--c", "--d=4"]
    assert expanded(["-flagfile", f"{tmp_path}/one.flags"]) == ["--b=2", "--c"]


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path):
    (tmp_path / "marked.flags").write_bytes("\ufeff--method=rst\n--epochs=3\n".encode())
    assert expanded([f"--flagfile={tmp_path}/marked.flags"]) == ["--method=rst", "--epochs=3"]


def test_an_included_file_is_found_beside_the_one_that_includes_it_and_then_in_the_working_directory(
    tmp_path, monkeypatch
):
    there = write(tmp_path / "there", one="--flagfile=base.flags\n--flagfile=flags/mine.flags", base="--from=beside")
    write(tmp_path / "flags", mine="--mine")
    write(tmp_path, base="--from=working directory")
    monkeypatch.chdir(tmp_path)
    assert expanded([f"--flagfile={there}/one.flags"]) == ["--from=beside", "--mine"]
    assert expanded(["--flagfile=base.flags"]) == ["--from=working directory"]


def test_a_recipe_is_the_file_of_that_name_from_any_folder(tmp_path, monkeypatch):
    by_path = expanded([f"--flagfile={ROOT}/flags/digits/rst.flags"])
    monkeypatch.chdir(tmp_path)
    assert expanded(["--flagfile=dlth:digits/rst"]) == by_path == expanded(["--flagfile=dlth:digits/rst.flags"])
    assert "--dataset=digits" in by_path and "--method=rst" in by_path


def test_the_recipes_are_the_files_of_the_folder_flags_and_every_recipe_has_its_cost_and_expectation():
    assert {f"flags/{name.removeprefix('dlth:')}.flags" for name in recipe_names()} == {
        str(path.relative_to(ROOT)) for path in (ROOT / "flags").rglob("*.flags")
    }
    found = recipes()
    assert {f"flags/{recipe.name.removeprefix('dlth:')}.flags" for recipe in found} == set(NAMED)
    assert all(recipe.cost and recipe.expectation and recipe.command in ("train", "sweep") for recipe in found)
    (rst,) = (recipe for recipe in found if recipe.name == "dlth:digits/rst")
    assert rst.cost.startswith("7,020 steps of 64 images") and "96.5 % at .98" in rst.expectation


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("dlth:digit/rst", "no such recipe; did you mean dlth:digits/rst"),
        ("dlth:../../README.md", "no such recipe"),
        ("dlth:", "no such recipe"),
        ("flags/digits/rts.flags", "cannot be read (No such file or directory); did you mean flags/digits/rst.flags"),
        (
            "elsewhere/flags/digits/rst.flags",
            "cannot be read (No such file or directory); did you mean dlth:digits/rst?",
        ),
    ],
)
def test_a_name_that_does_not_exist_is_refused_and_the_near_ones_are_named(name, sentence, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(BadInput) as refused:
        expanded([f"--flagfile={name}"])
    assert refused.value.value == name and str(refused.value.allowed).startswith(sentence)


def test_files_that_multiply_are_refused(tmp_path):
    """Each includes the next one twice: 2^20 reads of 20 files."""
    for number in range(20):
        write(tmp_path, **{f"f{number}": f"--flagfile=f{number + 1}.flags\n" * 2})
    write(tmp_path, f20="--a")
    with pytest.raises(BadInput, match=f"leads to more than {MOST_FLAG_FILES} flag files"):
        expanded([f"--flagfile={tmp_path}/f0.flags"])


@pytest.mark.parametrize("content", [b"--a\0", b"\xff\xfe"])
def test_a_file_that_is_not_text_is_refused(content, tmp_path):
    (tmp_path / "bad.flags").write_bytes(content)
    with pytest.raises(BadInput, match="must be text in UTF-8"):
        expanded([f"--flagfile={tmp_path}/bad.flags"])


def test_a_flag_whose_name_has_no_end_is_refused(tmp_path):
    """Absl looks for the flag that is nearest to an unknown one, with a recursion over its letters."""
    write(tmp_path, long="-" * 10**6, value="--run_dir=" + "x" * 10**5)
    with pytest.raises(BadInput, match="must name flags of at most 1000 letters"):
        expanded([f"--flagfile={tmp_path}/long.flags"])
    assert len(expanded([f"--flagfile={tmp_path}/value.flags"])) == 1


@pytest.mark.timeout(20)
@pytest.mark.parametrize("put", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), Path.mkdir], ids=range(3))
def test_what_is_no_file_is_refused_at_once(put, tmp_path):
    put(tmp_path / "bad.flags")
    with pytest.raises(BadInput, match="cannot be read"):
        expanded([f"--flagfile={tmp_path}/bad.flags"])


@pytest.mark.parametrize("name", PROJECT["project"]["scripts"])
def test_a_console_script_is_its_command(name, monkeypatch, capsys):
    script = EntryPoint(name, PROJECT["project"]["scripts"][name], "console_scripts").load()
    monkeypatch.setattr("sys.argv", [name, "--no_such_flag=1"])
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    assert script() == BAD_INPUT
    said = capsys.readouterr()
    assert said.out == "" and re.fullmatch(rf"{name}: Unknown command line flag 'no_such_flag'.*\n", said.err)


def test_the_package_itself_lists_the_commands(capsys):
    assert about.main([]) == DONE
    page = capsys.readouterr().out
    assert all(f"  {name} " in page for name in PROJECT["project"]["scripts"])
    assert run_command("dlth_tf", about.main, ["--no_such_flag"]) == BAD_INPUT


@pytest.mark.parametrize("main", [about.main, train.main])
def test_the_version_and_the_recipes_are_printed(main, capsys):
    for word, expected in (
        ("--version", f"dlth_tf {__version__}\n"),
        ("--recipes", "dlth:digits/rst (train)\n    Cost: 7"),
    ):
        with pytest.raises(SystemExit) as left:
            main([word])
        assert left.value.code == DONE and expected in capsys.readouterr().out


def test_the_wheel_contains_every_recipe():
    (pattern,) = (glob for glob in PROJECT["tool"]["setuptools"]["package-data"]["dlth_tf"] if glob.endswith(".flags"))
    package = Path(flag_files.__file__).parent
    assert {path.resolve() for path in package.glob("recipes/*/*.flags")} <= set((ROOT / "flags").rglob("*.flags"))
    assert pattern == "recipes/**/*.flags" and (package / "recipes").resolve() == ROOT / "flags"
