"""Installed package: its names, its import, its pinned requirements."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import dlth_tf

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RUNTIME = [Requirement(line) for line in PROJECT["dependencies"]]
EXTRAS = [Requirement(line) for lines in PROJECT["optional-dependencies"].values() for line in lines]

# The reviewed public names: a change here is a change of the contract in the README.
PUBLIC = [
    "BadInput",
    "RunConfig",
    "Ticket",
    "apply_ticket",
    "callbacks",
    "compact",
    "export",
    "keras3",
    "layer_table",
    "load_dataset",
    "magnitude_ticket",
    "optimizers",
    "random_ticket",
    "run",
    "strip",
    "summary",
    "wrap",
]


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Runs `code` in a fresh interpreter that has not chosen a Keras yet."""
    env = {"PATH": "/usr/bin:/bin", "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)


def pinned() -> dict[str, str]:
    """Returns the version of every package in requirements.txt."""
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line and not line.startswith("#")]
    matches = [re.fullmatch(r"([A-Za-z0-9_.-]+)==([0-9][A-Za-z0-9.]*)(?: ; .*)?", line) for line in lines]
    assert all(matches), f"not an exact pin: {[line for line, match in zip(lines, matches, strict=True) if not match]}"
    return {canonicalize_name(match[1]): match[2] for match in matches if match}


def has_upper_bound(requirement: Requirement) -> bool:
    """Returns whether the requirement excludes later versions."""
    return any(bound.operator in ("<", "<=", "==", "~=") for bound in requirement.specifier)


def test_public_names_are_the_reviewed_list():
    assert dlth_tf.__all__ == PUBLIC
    assert set(PUBLIC) <= set(dir(dlth_tf))


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        _ = dlth_tf.no_such_name


def test_import_is_quick_and_leaves_tensorflow_alone():
    done = python(
        "import sys, time; start = time.process_time(); import dlth_tf; seconds = time.process_time() - start\n"
        "print(sorted({'tensorflow', 'tf_keras', 'keras', 'numpy'} & set(sys.modules)), seconds < 0.5)"
    )
    assert done.stdout.split("\n")[0] == "[] True", done.stdout + done.stderr


def test_version_is_a_literal_that_the_build_can_read():
    assert re.search(r'^__version__ = "\d+\.\d+\.\d+"$', (ROOT / "dlth_tf" / "version.py").read_text(), re.MULTILINE)
    assert "version" in PROJECT["dynamic"]


@pytest.mark.parametrize("requirement", RUNTIME + EXTRAS, ids=str)
def test_pin_lies_in_the_range(requirement: Requirement):
    pins = pinned()
    assert canonicalize_name(requirement.name) in pins
    assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)])


@pytest.mark.parametrize("requirement", RUNTIME + EXTRAS, ids=str)
def test_dependency_has_lower_and_upper_bound(requirement: Requirement):
    assert has_upper_bound(requirement)
    assert any(bound.operator in (">=", ">", "==", "~=") for bound in requirement.specifier)


def test_missing_upper_bound_would_be_seen():
    assert not has_upper_bound(Requirement("tensorflow>=2.21"))


def test_no_pin_needs_cuda_or_a_host():
    text = (ROOT / "requirements.txt").read_text()
    assert not re.search(r"nvidia|cuda|://|^-|@", text, re.MULTILINE)


@pytest.mark.slow
def test_a_type_checker_knows_the_public_functions(tmp_path):
    """Also `export`, which is a module at run time."""
    calls = "import dlth_tf as dlth\n" + "".join(
        f"reveal_type(dlth.{name})\n" for name in ("export", "load_dataset", "summary", "wrap")
    )
    (tmp_path / "program.py").write_text(calls + 'dlth.export(None, "there", formatz=("packed",))\n')
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", str(ROOT / ".mypy_cache"), str(tmp_path / "program.py")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert 'Revealed type is "Any"' not in done.stdout and done.stdout.count("Revealed type") == 4
    assert 'Unexpected keyword argument "formatz" for "export"' in done.stdout
