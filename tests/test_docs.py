"""Pages of the methods: one per method, with valid names, links, commands and snippets."""

from __future__ import annotations

import dataclasses
import math
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from absl import flags as absl_flags

import dlth_tf as dlth
from dlth_tf import train
from dlth_tf.core import cumulative_sparsity, removed_count
from dlth_tf.masking import prunable_weights
from dlth_tf.methods import METHODS
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.dry_run import describe
from dlth_tf.runs.plan import make_phases, make_recipe
from tests.runs.tiny import EXAMPLES
from tests.test_flags import ROOT, planned

FOLDER = ROOT / "docs/methods"
PAGES = {path.stem: path.read_text() for path in sorted(FOLDER.glob("*.md"))}
INDEX = PAGES["README"]
MACS = 3 * (64 * 300 + 300 * 100 + 100 * 10)  # of training LeNet-300-100 on one 8 x 8 image


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


COMMANDS = sorted(
    {line for text in PAGES.values() for block in blocks(text, "sh") for line in block.splitlines() if line}
)
SNIPPETS = {name: blocks(text, "python")[0] for name, text in PAGES.items() if name != "README" and "```python" in text}


def rows_of(index: str) -> dict[str, list[str]]:
    """Returns method -> the cells of its line in the index."""
    return {
        cells[0]: cells[1:] for cells in re.findall(r"^\| \[(\w+)\]\(\1\.md\) \| (.+) \| (.+) \| (.+) \|$", index, re.M)
    }


def dead_links(page: Path, text: str) -> list[str]:
    """Returns the relative links to files or headings that do not exist."""
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("https://"):
            continue
        name, _, heading = target.partition("#")
        path = page.parent / name if name else page
        if not path.exists() or (heading and heading not in anchors(path.read_text())):
            dead.append(target)
    return dead


def anchors(text: str) -> set[str]:
    """Returns the headings of a page in the form used in links."""
    return {
        re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-") for line in re.findall(r"^#+ (.+)$", text, re.M)
    }


def missing_tests(text: str) -> list[str]:
    """Returns the tests and test files that a text names and that do not exist."""
    named = re.findall(r"(tests/[\w/]+\.py)(?:::(\w+))?", text)
    return [
        f"{path}::{name}"
        for path, name in named
        if not (ROOT / path).exists() or (name and f"\ndef {name}(" not in (ROOT / path).read_text())
    ]


@pytest.mark.parametrize("method", METHODS.names())
def test_every_method_has_a_page_a_line_in_the_index_and_its_papers_on_both(method):
    assert PAGES[method].startswith(f"# {method}\n")
    line = " ".join(rows_of(INDEX)[method])
    for paper in re.findall(r"arXiv:(\d+\.\d+)", METHODS.load(method).reference):
        assert f"https://arxiv.org/abs/{paper}" in PAGES[method] and f"https://arxiv.org/abs/{paper}" in line


def test_there_is_no_page_and_no_line_of_a_method_that_is_not_there():
    assert set(PAGES) == {*METHODS.names(), "README"} and list(rows_of(INDEX)) == [*dict.fromkeys(rows_of(INDEX))]
    assert set(rows_of(INDEX)) == set(METHODS.names())


@pytest.mark.parametrize("method", [name for name in METHODS.names() if not METHODS.load(name).narrows])
def test_the_phases_on_a_page_are_those_of_its_command(method, monkeypatch):
    (config,) = planned(f"python -m dlth_tf.train --flagfile=flags/digits/{method}.flags", monkeypatch)
    phases = make_phases(config.method, make_recipe(config, EXAMPLES["train"]))
    shown = blocks(PAGES[method], "text")[0].rstrip("\n")
    assert shown == pd.DataFrame(describe(phases, EXAMPLES["train"], MACS)).to_string(index=False)
    assert all(re.sub(r"_\d+$", "_", phase.name) in rows_of(INDEX)[method][2] for phase in phases)


@pytest.mark.fast_cases("rst")
@pytest.mark.parametrize("method", ["rst", "small_dense"])
def test_the_phases_on_a_page_are_what_dry_run_prints(method, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert train.main([f"--flagfile=flags/digits/{method}.flags", "--dry_run"]) == 0
    assert f"\n{blocks(PAGES[method], 'text')[0]}\n" in capsys.readouterr().out


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere_and_named_tests_exist(name):
    assert not dead_links(FOLDER / f"{name}.md", PAGES[name])
    assert not missing_tests(PAGES[name])
    assert name == "README" or "tests/" in PAGES[name].split("\n## Tests\n")[1]


def test_a_dead_link_and_a_missing_test_would_be_seen():
    page = FOLDER / "rst.md"
    assert dead_links(page, "[a](nowhere.md) [b](scratch.md#no-such-heading) [c](#formula) [d](scratch.md)") == [
        "nowhere.md",
        "scratch.md#no-such-heading",
    ]
    assert missing_tests("tests/no_such.py and tests/test_docs.py::test_no_such and tests/test_docs.py") == [
        "tests/no_such.py::",
        "tests/test_docs.py::test_no_such",
    ]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_on_a_page_is_accepted(command, monkeypatch):
    planned(command, monkeypatch)


def test_a_command_with_a_flag_that_is_not_there_is_not_accepted(monkeypatch):
    with pytest.raises(absl_flags.Error):
        planned(f"{COMMANDS[0]} --no_such_flag=1", monkeypatch)


def wrong_flags(method: str, text: str) -> list[str]:
    """Returns the flags in a text that do not exist or whose default differs from the given one."""
    config = RunConfig(method=method, dataset="digits", model="lenet_300_100", sparsity=0.9)
    default = {field.name: field.default for field in dataclasses.fields(config)} | {"allocation": config.allocation}
    named = re.findall(r"`--(\w+)(?:=([^`\s]+))?`", text)
    return [name for name, value in named if name not in default or (value and not same(value, default[name]))]


def same(written: str, default: Any) -> bool:
    """Returns whether a default is written correctly; a duration may omit its unit."""
    if isinstance(default, float):
        return float(written) == default
    return str(default).lower() == written or re.sub(r"(ep|it)$", "", str(default)) == written


@pytest.mark.parametrize("method", METHODS.names())
def test_the_flags_on_a_page_have_the_defaults_it_says(method):
    section = re.search(r"\n## Flags\n(.*?)\n## ", PAGES[method], re.S)[1]
    assert "`--" in section and not wrong_flags(method, section)


def test_a_wrong_default_would_be_seen():
    text = "`--allocation=uniform` `--cycles=5` `--cycles=6` `--hold_steps=40000` `--nope`"
    assert wrong_flags("snip", text) == ["allocation", "cycles", "nope"]


def test_the_rounds_of_open_lth_are_those_of_the_page():
    rows = re.findall(r"^\| (\.\d+) \| (\d+) \| (\.\d+) \|$", PAGES["lth_iter"], re.M)
    assert len(rows) == 3
    for wanted, level, sparsity in rows:
        assert float(sparsity) == float(1 - Fraction(4, 5) ** int(level))
        assert Fraction(sparsity) > Fraction(wanted) > 1 - Fraction(4, 5) ** (int(level) - 1)
    kept = size = 49_200
    for _ in range(11):
        kept -= math.ceil(kept / 5)
    ours = size - removed_count(size, cumulative_sparsity(rows[0][2], 11, 11))
    assert f"keeps {kept:,} after 11 rounds, and this package {ours:,}" in PAGES["lth_iter"]


# One kind each in the fast tests: a random ticket, one that is transformed to, a mask that grows or changes, rounds.
QUICK = ("scratch", "rst", "gmp", "rigl", "lth_iter")


@pytest.mark.fast_cases("rst")
@pytest.mark.slow_cases("rst_iter", "lth", "early_bird", "rigl")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in SNIPPETS]
)
def test_a_snippet_gives_a_sparse_network_that_has_learned(name):
    names: dict[str, Any] = {}
    exec(compile(blocks(INDEX, "python")[0], "README.md", "exec"), names)
    exec(compile(SNIPPETS[name], f"{name}.md", "exec"), names)
    model, x, y = names["model"], names["x"], names["y"]
    kept = [entry.kept() for entry in prunable_weights(model).values()]
    assert [round(1 - float(mask.mean()), 2) for mask in kept] == [0.9, 0.9, 0.0]
    plain = dlth.strip(model)  # checks that removed weights are zero
    kernels = [weight.numpy() for weight in plain.weights if "kernel" in weight.name]
    assert all(not kernel[~mask].any() for kernel, mask in zip(kernels, kept, strict=True))
    assert np.mean(plain.predict(x, verbose=0).argmax(-1) == y) > 0.85
