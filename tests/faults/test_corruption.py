"""Every file of an interrupted run, damaged in every way: it resumes to the same numbers or is refused."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dlth_tf.errors import BadInput
from dlth_tf.runs import runner
from tests.faults import runs
from tests.runs.interrupted import interrupted

FILES = (
    "config.json",
    "history.csv",
    *(f"checkpoints/{name}.{ending}" for name in ("new", "old") for ending in ("json", "npz")),
)
Damage = Callable[[Path, Path, random.Random], None]


def cut(path: Path, other: Path, draw: random.Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: draw.randrange(len(data))])


def flip(path: Path, other: Path, draw: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    path.write_bytes(bytes(data))


def delete(path: Path, other: Path, draw: random.Random) -> None:
    path.unlink()


def swap(path: Path, other: Path, draw: random.Random) -> None:
    shutil.copyfile(other, path)


def file(run_dir: Path, name: str) -> Path:
    """The file of this name, where "new" and "old" stand for the newest checkpoint and the previous one."""
    old, new = sorted({path.stem for path in (run_dir / "checkpoints").iterdir()})
    return run_dir / name.replace("new", new).replace("old", old)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("damage", "times"),
    [(cut, 3), (flip, 3), (delete, 1), (swap, 1)],
    ids=lambda value: getattr(value, "__name__", None),
)
@pytest.mark.parametrize("name", FILES)
def test_damage_never_gives_other_numbers(name, damage, times, tmp_path):
    interrupted("rst", "finetune", tmp_path / "other", seed=1)
    expected = runs.uninterrupted("rst", steps_per_execution=1)
    for turn in range(times):
        config = interrupted("rst", "finetune", tmp_path / f"run{turn}")
        damage(file(tmp_path / f"run{turn}", name), file(tmp_path / "other", name), random.Random(f"{name} {turn}"))
        try:
            runner.run(config)
        except BadInput as error:
            assert error.thing == "run_dir" and name == "config.json", (
                "there is another good checkpoint, so there is no need to refuse"
            )
        else:
            assert runs.outcome(tmp_path / f"run{turn}") == expected


@pytest.mark.slow
def test_a_checkpoint_that_is_taken_in_good_faith_would_give_other_numbers(tmp_path, monkeypatch, tiny_runs):
    """The damage is real: without the comparison of configurations, swapped checkpoints yield another run's numbers."""
    config = interrupted("scratch", "finetune", tmp_path / "run")
    interrupted("scratch", "finetune", tmp_path / "other", seed=1)
    for ending in ("json", "npz"):
        shutil.copyfile(
            file(tmp_path / "other", f"checkpoints/new.{ending}"), file(tmp_path / "run", f"checkpoints/new.{ending}")
        )
    monkeypatch.setattr("dlth_tf.runs.config.RunConfig.differences", lambda *_: [])
    assert runner.run(config)["weights_sha256"] != tiny_runs["scratch"].result["weights_sha256"]
