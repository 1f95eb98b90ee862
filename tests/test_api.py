"""Public names are reviewed, documented and typed, and every docstring example is correct."""

from __future__ import annotations

import doctest
import importlib
import inspect
import logging
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import dlth_tf as dlth
from dlth_tf import callbacks

ROOT = Path(__file__).resolve().parents[1]
# Reviewed, like the names of dlth_tf itself (tests/test_package.py): a change here is a change of the contract.
CALLBACKS = [
    "DynamicSparsity",
    "EarlyBird",
    "GradualMagnitude",
    "IMP",
    "KeepMask",
    "RSTPenalty",
    "RandomMask",
    "SparsityMonitor",
    "StraightThrough",
]
WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "dlth_tf").rglob("*.py")
    if ">>>" in path.read_text()
)
THINGS = {name: getattr(dlth, name) for name in dlth.__all__ if not isinstance(getattr(dlth, name), ModuleType)}
THINGS |= {f"callbacks.{name}": getattr(callbacks, name) for name in callbacks.__all__}


def untyped(thing: object) -> list[str]:
    """Returns the arguments without a type, and "return" if the return type is missing."""
    called = thing.__init__ if inspect.isclass(thing) and "__init__" in vars(thing) else thing
    signature = inspect.signature(called)
    names = [
        name
        for name, one in signature.parameters.items()
        if name != "self" and one.annotation is inspect.Parameter.empty
    ]
    return names + (
        ["return"] if signature.return_annotation is inspect.Signature.empty and not inspect.isclass(called) else []
    )


def test_the_public_callbacks_are_the_reviewed_list():
    assert callbacks.__all__ == CALLBACKS and set(CALLBACKS) <= set(dir(callbacks))


@pytest.mark.parametrize("name", THINGS)
def test_a_public_name_is_documented_and_typed(name):
    thing = THINGS[name]
    assert inspect.getdoc(thing) and inspect.getdoc(thing) != inspect.getdoc(object)
    assert not untyped(thing)


def test_an_argument_without_a_type_would_be_seen():
    def half_typed(model, sparsity: float):
        pass

    assert untyped(half_typed) == ["model", "return"]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_in_the_docstrings_are_true(name, monkeypatch):
    monkeypatch.setattr(logging.getLogger("dlth_tf"), "handlers", [])  # an earlier command may have enabled its log
    module = importlib.import_module(name)
    result = doctest.testmod(module)
    assert result.attempted and not result.failed


def test_a_wrong_example_would_be_seen(capsys):
    module = ModuleType("wrong", ">>> 1 + 1\n3\n")
    assert doctest.testmod(module).failed == 1
    assert "Expected:" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_type_checker_sees_the_public_names_and_their_arguments(tmp_path):
    (tmp_path / "theirs.py").write_text(
        "import dlth_tf as dlth\n"
        "import numpy as np\n"
        "ticket: dlth.Ticket = dlth.random_ticket(dlth.wrap(None), sparsity=0.9)\n"
        'mask: np.ndarray = ticket["hidden/kernel"]\n'
        'images = dlth.load_dataset("digits").train.labels\n'
        "dlth.callbacks.RSTPenalty(hold_steps=1).epochs(2)\n"
        "dlth.wrap(None, skipp=1)\n"
        "dlth.callbacks.RandomMask(sparsity='high')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "theirs.py", "--cache-dir", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "MYPYPATH": str(ROOT)},  # mypy does not follow the import hook of an editable installation
    )
    errors = [
        line.split(" error: ")[0]
        for line in done.stdout.splitlines()
        if " error: " in line and line.startswith("theirs.py")
    ]
    assert errors == ["theirs.py:7:", "theirs.py:8:"], done.stdout
