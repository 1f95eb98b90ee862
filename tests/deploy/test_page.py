"""docs/deploy.md: its commands are accepted, its snippets run, and its numbers match the code."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import dlth_tf as dlth
import dlth_tf.export as command
from dlth_tf.commands import BAD_INPUT, run_command
from dlth_tf.deploy import FORMATS
from dlth_tf.deploy.examples import MAX_IMAGES, RANDOM_IMAGES
from tests.deploy.families import sparse_network

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/deploy.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)


@pytest.mark.parametrize("line", [line for block in blocks("sh") for line in block.splitlines()])
def test_a_command_is_accepted(line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = shlex.split(line)
    assert words[:3] == ["python", "-m", "dlth_tf.export"]
    assert run_command("dlth_tf.export", command.main, words[3:]) == BAD_INPUT
    # All flags are valid, and only the run, the file or the export does not exist.
    missing = [
        "--run_dir=runs/demo/rst-0.98-s0: is not the directory of a complete run",
        "--keras_model=mine.keras: there is no such file or directory",
        "--check=saved_models/NAME: is not an export (there is no such folder)",
    ]
    said = capsys.readouterr().err
    assert any(sentence in said for sentence in missing), said


@pytest.mark.usefixtures("checked_here")
@pytest.mark.slow
def test_the_snippets_run_one_after_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plain, _ = sparse_network("lenet_300_100")
    images = np.random.default_rng(0).random((5, 8, 8, 1), np.float32)
    names = {"dlth": dlth, "plain": plain, "names": list("abc"), "images": images}
    for snippet in blocks("python"):
        exec(compile(snippet.replace("NAME", "mine"), "deploy.md", "exec"), names)
    expected = plain(images).numpy()
    assert np.allclose(names["outputs"]["logits"], expected, atol=1e-4)
    assert np.allclose(names["logits"], expected, atol=1e-4)
    labels = [label.decode() for label in names["outputs"]["label"].numpy()]
    assert labels == [names["names"][index] for index in expected.argmax(1)]


def test_every_form_and_every_number_on_the_page_is_the_codes():
    for form in FORMATS:
        assert f"\n| `{form}` | " in PAGE
    assert f"first {MAX_IMAGES:,} at most" in PAGE and f"{RANDOM_IMAGES} random images" in PAGE


@pytest.mark.parametrize("page", ["docs/deploy.md", "saved_models/README.md"])
def test_links_and_named_files_exist(page):
    text = (ROOT / page).read_text()
    named = re.findall(r"\]\(([\w./]+)\)", text) + [
        f"{'../' * page.count('/')}{path}" for path in re.findall(r"`(tests/[\w/.]+)", text)
    ]
    assert named and all((ROOT / page).parent.joinpath(path).exists() for path in named)
