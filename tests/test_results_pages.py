"""Pages of results stand on committed results: they are written anew from these and must not change."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def study() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("length_study", ROOT / "scripts" / "length_study.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclass looks for its types
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_every_number_of_the_length_study_comes_from_its_committed_results(study: ModuleType) -> None:
    assert study.PAGE.read_text() == study.write_page(study.read())
    assert study.PLOT.stat().st_size < 300_000


def test_the_readme_quotes_intervals_of_the_page(study: ModuleType) -> None:
    readme = (ROOT / "README.md").read_text()
    paragraph = " ".join(readme[readme.index("**On real images**") :].split("\n\n")[0].split())
    quoted = re.findall(r"-?\d+\.\d\d \[-?\d+\.\d\d, -?\d+\.\d\d\]", paragraph)
    assert len(quoted) == 6
    rows = {line.split(" | ")[0]: line for line in study.PAGE.read_text().splitlines() if "[" in line}
    assert all(any(numbers in row for row in rows.values()) for numbers in quoted)


def test_another_result_changes_the_page(study: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied = [tmp_path / path.name for path in study.RESULTS.glob("*.result.json")]
    for path in copied:
        path.write_text((study.RESULTS / path.name).read_text())
    changed = next(path for path in copied if ".rst-" in path.name)
    result = json.loads(changed.read_text())
    result["test"]["accuracy_last"] -= 0.01
    changed.write_text(json.dumps(result))
    monkeypatch.setattr(study, "RESULTS", tmp_path)
    assert study.PAGE.read_text() != study.write_page(study.read())


def test_results_are_small_whole_and_of_the_runs_that_their_names_say(study: ModuleType) -> None:
    paths = sorted(study.RESULTS.glob("*.result.json"))
    assert paths
    for path in paths:
        result = json.loads(path.read_text())
        assert path.stat().st_size < 5_000
        assert f".{result['method']}-{result['sparsity']['target']:g}-s{result['seed']}." in path.name
        assert 0 <= result["test"]["accuracy_last"] <= 1 and result["weights_sha256"]
