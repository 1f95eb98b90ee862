"""Types that a user's type checker sees, and names that completion offers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import dlth_tf as dlth

ROOT = Path(__file__).resolve().parents[1]
USE = """
import dlth_tf as dlth

class Net:
    pass

reveal_type(dlth.wrap(Net()))
reveal_type(dlth.strip(Net()))
reveal_type(dlth.export(Net(), "folder"))
reveal_type(dlth.load_dataset("digits"))
reveal_type(dlth.callbacks.RandomMask(.9))
dlth.wrap(Net(), skipp="fc1")
dlth.export(Net(), "folder", format=("packed",))
dlth.callbacks.RSTPenalty(hold=3)
"""


def test_completion_offers_public_names_alone() -> None:
    assert dir(dlth) == dlth.__all__ and dir(dlth.callbacks) == dlth.callbacks.__all__
    assert not {"Any", "TYPE_CHECKING", "importlib", "annotations"} & {*dir(dlth), *dir(dlth.callbacks)}


@pytest.mark.slow
def test_a_type_checker_sees_results_and_finds_misspelt_arguments(tmp_path: Path) -> None:
    (tmp_path / "use.py").write_text(USE)
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), str(tmp_path / "use.py")]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300).stdout
    for name in ("use.Net", "ExportResult", "DataSet", "RandomMask"):
        assert f'{name}"' in found, found
    assert [found.count(f'argument "{name}"') for name in ("skipp", "format", "hold")] == [1, 1, 1], found
    assert 'is "Any"' not in found
