"""Lookup of names: close names are suggested, and errors inside a user's module are propagated."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from dlth_tf.errors import BadInput
from dlth_tf.registry import Registry, import_path, is_path, unknown

METHODS = Registry(
    "method",
    {"rst": "json:loads", "rst_iter": "json:dumps", "lth": "json.decoder:JSONDecoder", "later": "dlth_no_module:x"},
)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Writes a user module and makes it importable."""
    known = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, text: str) -> None:
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    yield write
    for name in set(sys.modules) - known:
        del sys.modules[name]


def refusal(use, *arguments) -> str:
    with pytest.raises(BadInput) as refused:
        use(*arguments)
    assert str(refused.value).isprintable()
    return str(refused.value)


def test_names_come_in_the_order_of_registration():
    assert METHODS.names() == ("rst", "rst_iter", "lth", "later")


def test_an_entry_is_what_its_path_names():
    assert METHODS.load("rst") is json.loads
    assert METHODS.load("lth") is json.decoder.JSONDecoder
    assert METHODS.check("rst_iter") == "rst_iter"


def test_nothing_is_imported_before_it_is_asked_for(module):
    module("dlth_asked", "x = 3")
    registry = Registry("method", {"asked": "dlth_asked:x"})
    assert registry.check("asked") == "asked" and "dlth_asked" not in sys.modules
    assert registry.load("asked") == 3 and "dlth_asked" in sys.modules


def test_later_changes_of_the_entries_do_not_reach_the_registry():
    entries = {"rst": "json:loads"}
    registry = Registry("method", entries)
    entries["lth"] = "json:dumps"
    assert registry.names() == ("rst",)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("rts", "method=rts: no such method; did you mean rst"),
        ("RST_iter", "method=RST_iter: no such method; did you mean rst_iter"),
        ("rstiter", "method=rstiter: no such method; did you mean rst_iter or rst"),
        ("zzz", "method=zzz: no such method; available: rst, rst_iter, lth, later"),
        ("", "method=: no such method; available: rst, rst_iter, lth, later"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_ones(name, sentence):
    assert refusal(METHODS.check, name).startswith(sentence)
    assert refusal(METHODS.load, name) == refusal(METHODS.check, name)


def test_at_most_three_near_names_are_offered():
    assert unknown("model", "resnet", [f"resnet{depth}" for depth in (20, 32, 44, 56)]).count("resnet") == 3
    assert unknown("model", "resnet", iter(["vgg"])) == "no such model; available: vgg"


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("my.module:build", True),
        ("a:b", True),
        ("rst", False),
        ("folder:/data:x", False),
        ("keras_cv:ResNet18", False),
        ("", False),
    ],
)
def test_a_path_is_told_from_a_name(name, answer):
    assert is_path(name) is answer


def test_a_path_may_be_dotted(module):
    module("dlth_package/__init__", "")
    module("dlth_package/models", "def build(): return 3")
    assert import_path("dlth_package.models:build", "model")() == 3


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("dlth_no_module:build", "there is no module dlth_no_module"),
        ("dlth_no_module.models:build", "there is no module dlth_no_module"),
        ("dlth_no_module.py:build", "a module is named without .py: dlth_no_module:build"),
        ("json.no_module:build", "there is no module json.no_module"),
        ("json.decoder.deeper:build", "there is no module json.decoder.deeper"),
        ("json..decoder:build", "there is no module json."),
        ("json:load_", "no such name in json; did you mean load or loads"),
        ("json:decoder.JSONDecoder", "no such name in json; did you mean JSONDecoder"),
        ("json:zzzzzz", "no such name in json; available: "),
        *[
            (path, "must have the form package.module:function")
            for path in ("", ":", ":build", "json", "json:", ".json:build", "..:x")
        ],
    ],
)
def test_a_path_that_leads_nowhere_is_refused_in_one_sentence(path, reason):
    assert refusal(import_path, path, "model").startswith(f"model={path}: {reason}")


def test_an_entry_that_leads_nowhere_is_refused_as_well():
    assert refusal(METHODS.load, "later") == (
        "method=dlth_no_module:x: there is no module dlth_no_module: the folder that holds it must be the working "
        "directory or in PYTHONPATH"
    )


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("raise ValueError('of the user')", ValueError),
        ("raise TypeError('of the user')", TypeError),
        ("raise RuntimeError('of the user')", RuntimeError),
        ("raise SystemExit('of the user')", SystemExit),
        ("import dlth_user_needs_this", ModuleNotFoundError),
        ("from json import dlth_user_needs_this", ImportError),
        ("import dlth_user.part", ModuleNotFoundError),
        ("x = = 1", SyntaxError),
        ("1 / 0", ZeroDivisionError),
    ],
)
def test_an_exception_inside_a_module_of_the_users_is_passed_on(module, line, error):
    module("dlth_user", f"{line}\nbuild = 3")
    with pytest.raises(error) as passed:
        import_path("dlth_user:build", "model")
    assert not isinstance(passed.value, BadInput)


def test_the_same_module_without_the_exception_is_imported(module):
    module("dlth_user", "build = 3")
    assert import_path("dlth_user:build", "model") == 3
