"""Pages other than those of the methods: snippets run, commands are accepted, and names exist."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking
from dlth_tf.commands import ABOUT
from dlth_tf.data import AUGMENTS, DATASETS, NORMALIZATIONS
from dlth_tf.models import MODELS
from dlth_tf.sweeps import dry_run
from scripts.flag_reference import flags_of
from tests.masking.networks import same
from tests.test_docs import blocks, dead_links, missing_tests
from tests.test_flags import ROOT, header, planned

DOCS = ROOT / "docs"
GUIDES = (
    "index",
    "how_it_works",
    "keras",
    "schedule",
    "commands",
    "watching",
    "data",
    "networks",
    "reliability",
    "scale",
    "reproducing",
    "extending",
    "gpu",
    "paper_table",
    "choosing",
    "troubleshooting",
    "from_tfmot",
    "from_pytorch",
    "glossary",
    "cheat_sheet",
    "versions",
    "api",
)
RECIPES = sorted(path.stem for path in (DOCS / "recipes").glob("*.md"))
PAGES = {name: (DOCS / f"{name}.md").read_text() for name in GUIDES} | {
    "CONTRIBUTING": (ROOT / "CONTRIBUTING.md").read_text()
}
COMMANDS = sorted(
    {line for text in PAGES.values() for block in blocks(text, "sh") for line in block.splitlines() if line}
)


def accepted(command: str, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Returns whether a command of a page would be accepted; trains nothing."""
    checks: dict[str, Callable[[re.Match[str]], Any]] = {
        r"python -m dlth_tf\..*": lambda match: planned(match[0], monkeypatch) is not None,
        r"\. \.venv/bin/activate": lambda match: "VENV   ?= .venv" in (ROOT / "Makefile").read_text(),
        r"make ([\w-]+)": lambda match: re.search(rf"^{match[1]}:", (ROOT / "Makefile").read_text(), re.M),
        r"tensorboard (--logdir=\S+)": lambda match: tensorboard_takes(match[1]),
        r"pip install -e (?:\.|'\.\[gpu\]')": lambda match: (ROOT / "pyproject.toml").exists(),
        r"\.venv/bin/python -m pytest (tests/\S+) -q": lambda match: (ROOT / match[1]).exists(),
        r'python -c "(.*)"': lambda match: compile(match[1], "gpu.md", "exec"),
        r"python -m pytest -m gpu (tests)": lambda match: (ROOT / match[1]).exists(),
        r"python (benchmarks/\S+\.py)": lambda match: (ROOT / match[1]).exists(),
    }
    return any(match and check(match) for pattern, check in checks.items() if (match := re.fullmatch(pattern, command)))


def tensorboard_takes(flag: str) -> bool:
    from tensorboard.program import TensorBoard

    program = TensorBoard()
    program.configure(argv=["tensorboard", flag])
    return bool(program.flags.logdir)


def ran(name: str) -> dict[str, Any]:
    """Runs the snippets of a page one after the other in the working directory, and returns the names they define."""
    names: dict[str, Any] = {}
    for number, block in enumerate(blocks(PAGES[name], "python")):
        exec(compile(block, f"{name}.md, snippet {number + 1}", "exec"), names)
    return names


def removed(model: tf_keras.Model) -> list[float]:
    """Returns the removed share of every prunable tensor, after checking that removed weights are zero."""
    masking.check_removed(model)
    return [round(1 - float(entry.kept().mean()), 2) for entry in masking.prunable_weights(model).values()]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_accepted(command, monkeypatch):
    # print_plan needs the data, and time to build networks.
    monkeypatch.setattr(dry_run, "print_plan", lambda *arguments: None)
    assert accepted(command, monkeypatch)


@pytest.mark.parametrize(
    "command", ["make no-such-target", "rm -rf runs", ".venv/bin/python -m pytest tests/no_such -q"]
)
def test_another_command_is_not_accepted(command, monkeypatch):
    assert not accepted(command, monkeypatch)


def test_the_quick_start_gives_a_sparse_network_that_has_learned(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ran("index")
    assert removed(names["model"]) == [0.9, 0.0]
    assert np.mean(names["plain"].predict(names["x"], verbose=0).argmax(-1) == names["y"]) > 0.85


@pytest.mark.slow
def test_the_keras_guide_does_what_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        names = ran("keras")
    finally:
        tf_keras.mixed_precision.set_global_policy("float32")
    for name in ("model", "winner", "looped", "mirrored", "half", "again"):
        assert removed(names[name]) == [0.9, 0.0], name
    assert removed(names["residual"]) == [0.9, 0.9, 0.0]
    assert list(names["blocks"]) == [
        "block0/up/kernel",
        *(f"block1/{part}/kernel" for part in ("query", "key", "value", "attention_output", "up")),
    ]
    assert same(masking.weight_arrays(names["loaded"]), masking.weight_arrays(names["start"]))
    x, y = names["x"], names["y"]
    for name in ("model", "looped"):
        assert np.mean(names[name].predict(x, verbose=0).argmax(-1) == y) > 0.8, name
    np.testing.assert_array_equal(
        tf_keras.models.load_model("plain.h5").predict(x, verbose=0), names["plain"].predict(x, verbose=0)
    )
    assert masking.installed(names["looped"]) is None and names["own"]["hidden/kernel"].mean() == pytest.approx(
        0.1, abs=1e-3
    )


def test_the_page_on_data_shows_what_it_loads(capsys):
    assert ran("data")["data"].num_classes == 10 and "(1097, 8, 8, 1)" in capsys.readouterr().out


@pytest.mark.parametrize("name", RECIPES)
def test_the_links_of_a_recipe_lead_somewhere_and_its_example_is_on_it(name):
    text = (DOCS / "recipes" / f"{name}.md").read_text()
    assert not dead_links(DOCS / "recipes" / f"{name}.md", re.sub(r"```.*?```", "", text, flags=re.S))
    assert name == "README" or re.search(r"<!-- examples/\w+\.py: begin -->\n\n```python\n", text)


def too_long(text: str) -> list[str]:
    """Returns the lines of Python that the site would cut."""
    return [line for block in blocks(text, "python") for line in block.splitlines() if len(line) > 88]


@pytest.mark.parametrize("path", [*DOCS.rglob("*.md")], ids=str)
def test_no_line_of_code_is_cut_on_the_site(path):
    assert not too_long(path.read_text())


def test_a_line_that_would_be_cut_is_seen():
    assert too_long(f"```python\nx = 1  # {'long' * 30}\n```") and not too_long("```python\nx = 1\n```")


@pytest.mark.parametrize("name", GUIDES)
def test_links_lead_somewhere_and_named_tests_exist(name):
    assert not dead_links(DOCS / f"{name}.md", PAGES[name]) and not missing_tests(PAGES[name])


def test_the_snippet_on_schedules_transforms_and_removes():
    names: dict[str, Any] = {}
    exec(blocks((DOCS / "methods" / "README.md").read_text(), "python")[0], names)
    (snippet,) = blocks(PAGES["schedule"], "python")
    exec(snippet, names)
    assert set(removed(names["model"])) == {0.9, 0.0}


@pytest.mark.parametrize("name", PAGES)
def test_flags_and_files_that_a_page_names_are_there(name):
    known = {
        flag.name
        for command in ("train", "sweep", "report", "export")
        for flags in flags_of(command).values()
        for flag in flags
    }
    text = re.sub(r"<!-- flags of .*?<!-- end -->", "", PAGES[name], flags=re.S)
    if name == "from_pytorch":  # its first column has the flags of the official code
        text = re.sub(r"^\|.*?\|", "", text, flags=re.M)
    named = set(re.findall(r"`[^`\n]*?--(\w+)", text)) - {
        *ABOUT,
        "flagfile",
        "name",
        "noname",
        "noshare",
        "logdir",
    }
    assert not named - known
    files = re.findall(r"`((?:docs|dlth_tf|tests|flags|examples|benchmarks)/[\w/]+\.\w+)`", PAGES[name])
    assert not [path for path in files if not (ROOT / path).exists() and "warm_up" not in path]


def test_the_pages_on_data_and_networks_name_everything_that_is_registered():
    named = {name: set(re.findall(r"`(\w+)`", text)) for name, text in PAGES.items()}
    assert {*DATASETS.names(), *AUGMENTS.names(), *NORMALIZATIONS.names()} <= named["data"] and set(
        MODELS.names()
    ) <= named["networks"]


def test_the_costs_are_those_of_the_flagfiles():
    rows = re.findall(r"^\| \[(\w+)\]\(methods/\1\.md\) \| (\d) \| ([\d.]+) \| (\S+) \|$", PAGES["reproducing"], re.M)
    assert len(rows) == 9
    for method, phases, images, macs in rows:
        text = header(ROOT / f"flags/cifar10_resnet56/{method}.flags")
        assert re.search(
            rf"Cost: {images} million images in {phases} phases?, {re.escape(macs)} multiply-adds", text
        ), method


def test_the_flagfile_on_the_page_is_the_real_one():
    (shown,) = blocks(PAGES["commands"], "text")
    real = [line for line in (ROOT / "flags/digits/rst.flags").read_text().splitlines() if not line.startswith("#")]
    assert shown.splitlines()[1:] == real


def test_pictures_are_small_and_shown():
    pictures = sorted((DOCS / "pictures").glob("*.png"))
    assert {path.name for path in pictures} == {"masks.png", "tensorboard.png", "transform.png"}
    assert all(
        path.stat().st_size < 300_000 and any(f"pictures/{path.name}" in text for text in PAGES.values())
        for path in pictures
    )


def test_versions_and_names_agree_with_the_package():
    citation, changes = ((ROOT / name).read_text() for name in ("CITATION.cff", "CHANGELOG.md"))
    assert f"version: {dlth.__version__}\n" in citation and f"## {dlth.__version__}" in changes
    from dlth_tf.methods import METHODS

    assert set(METHODS.names()) <= set(re.findall(r"\w+", changes))
