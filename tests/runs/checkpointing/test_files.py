"""Checkpoint files: intact or absent, the last two valid ones kept, and nothing but what was written is ever read."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from dlth_tf import files
from dlth_tf.errors import BadInput
from dlth_tf.runs.checkpointing.files import CheckpointFiles, DamagedCheckpoint, read_checkpoint
from dlth_tf.runs.config import RunConfig

ARRAYS = {"weight/fc/kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "mask/fc/kernel": np.array([7], np.uint8)}
CONFIG = {"method": "rst", "dataset": "digits", "model": "lenet5", "sparsity": 0.9}


def place(folder: Path, **changes: object) -> CheckpointFiles:
    """The checkpoints of a run directory."""
    folder.mkdir(exist_ok=True)
    config = RunConfig(**{**CONFIG, "run_dir": str(folder), **changes})
    files.write_json(folder / "config.json", {"config": config.to_json()})
    return CheckpointFiles(folder / "checkpoints")


def filled(folder: Path, count: int) -> CheckpointFiles:
    checkpoints = place(folder)
    for number in range(count):
        checkpoints.save({"number": number}, ARRAYS)
    return checkpoints


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def pairs(*numbers: int) -> list[str]:
    return [f"{number:06d}.{ending}" for number in numbers for ending in ("json", "npz")]


def test_what_was_saved_comes_back(tmp_path):
    place(tmp_path).save({"step": 3, "rows": [{"loss": 0.1 + 0.2}]}, ARRAYS)
    saved = place(tmp_path).latest()
    assert saved.meta == {"step": 3, "rows": [{"loss": 0.1 + 0.2}]} and saved.config["method"] == "rst"
    assert files.arrays_sha256(saved.arrays) == files.arrays_sha256(ARRAYS)


def test_none_was_ever_written(tmp_path):
    checkpoints = place(tmp_path)
    assert checkpoints.latest() is None and not (tmp_path / "checkpoints").exists()
    checkpoints.clear()


def test_the_last_two_stay(tmp_path):
    checkpoints = filled(tmp_path, 5)
    assert names(tmp_path) == pairs(4, 5) and checkpoints.latest().meta == {"number": 4}
    checkpoints.clear()
    assert not (tmp_path / "checkpoints").exists()


def test_a_new_process_keeps_the_one_that_it_went_on_from(tmp_path):
    filled(tmp_path, 3)
    (tmp_path / "checkpoints" / "000003.npz").write_bytes(b"damaged")
    checkpoints = place(tmp_path)
    assert checkpoints.latest().meta == {"number": 1}
    checkpoints.save({"number": 9}, ARRAYS)
    assert names(tmp_path) == pairs(2, 4), "the damaged one counts for nothing"


@pytest.mark.parametrize("ending", ["npz", "json"])
@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "gone"])
def test_a_damaged_one_is_named_and_the_one_before_is_used(damage, ending, tmp_path):
    filled(tmp_path, 2)
    path = tmp_path / "checkpoints" / f"000002.{ending}"
    data = path.read_bytes()
    broken = {"cut": data[:-9], "bit": data[:60] + bytes([data[60] ^ 1]) + data[61:], "empty": b"", "gone": None}[
        damage
    ]
    path.unlink() if broken is None else path.write_bytes(broken)
    assert place(tmp_path).latest().meta == {"number": 0}
    if (damage, ending) != ("gone", "json"):  # without its .json it is not a checkpoint
        with pytest.raises(DamagedCheckpoint, match=r"^checkpoint 000002 cannot be used \(.+\)$"):
            read_checkpoint(path.with_suffix(""))


def test_if_all_are_damaged_it_is_refused_and_nothing_is_changed(tmp_path):
    filled(tmp_path, 2)
    for path in (tmp_path / "checkpoints").glob("*.json"):
        path.write_text("{}")
    with pytest.raises(
        BadInput,
        match=r"^run_dir=\S+: none of its checkpoints can be used "
        r"\(checkpoint 000002 .*not that of a checkpoint\)\): start",
    ):
        place(tmp_path).latest()
    assert names(tmp_path) == pairs(1, 2)


def test_one_of_another_configuration_is_not_used(tmp_path):
    filled(tmp_path / "mine", 1)
    other = place(tmp_path / "other", seed=7, lr=0.5)
    for _ in range(2):
        other.save({"number": -1}, ARRAYS)
    for ending in ("npz", "json"):
        os.replace(
            tmp_path / "other" / "checkpoints" / f"000002.{ending}",
            tmp_path / "mine" / "checkpoints" / f"000002.{ending}",
        )
    assert place(tmp_path / "mine").latest().meta == {"number": 0}
    with pytest.raises(BadInput, match="it belongs to another configuration: seed is 0 there and 7 here"):
        (tmp_path / "other" / "checkpoints" / "000001.json").unlink()
        os.replace(
            tmp_path / "mine" / "checkpoints" / "000001.json", tmp_path / "other" / "checkpoints" / "000001.json"
        )
        os.replace(tmp_path / "mine" / "checkpoints" / "000001.npz", tmp_path / "other" / "checkpoints" / "000001.npz")
        place(tmp_path / "other", seed=7).latest()


def test_where_things_go_is_no_other_configuration(tmp_path):
    filled(tmp_path, 1)
    assert place(tmp_path, verbosity=0, checkpoint_every="1ep", on_nan="rollback").latest().meta == {"number": 0}


@pytest.mark.parametrize("written", [1, 2], ids=["arrays", "values"])
def test_a_full_disk_leaves_those_before_and_no_half_one(written, tmp_path, monkeypatch):
    checkpoints, calls, replace = filled(tmp_path, 2), [], os.replace

    def full(*paths: object) -> None:
        calls.append(paths)
        if len(calls) == written:
            raise OSError(28, "No space left on device")
        replace(*paths)

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(os, "replace", full)
        checkpoints.save({"number": 2}, ARRAYS)
    assert names(tmp_path) == pairs(1, 2) and checkpoints.latest().meta == {"number": 1}
    checkpoints.save({"number": 2}, ARRAYS)
    assert names(tmp_path) == pairs(2, 3)


def test_arrays_without_values_are_no_checkpoint(tmp_path):
    """A process that is killed between the two leaves them so, at its first checkpoint too."""
    checkpoints = filled(tmp_path, 1)
    (tmp_path / "checkpoints" / "000001.json").unlink()
    assert place(tmp_path).latest() is None
    checkpoints = place(tmp_path)
    assert checkpoints.latest() is None
    checkpoints.save({"number": 5}, ARRAYS)
    assert names(tmp_path) == pairs(2)


def test_what_json_cannot_say_is_not_saved(tmp_path):
    checkpoints = filled(tmp_path, 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        checkpoints.save({"loss": float("nan")}, ARRAYS)
    assert names(tmp_path) == pairs(1)


def test_foreign_files_in_the_folder_are_left_alone(tmp_path):
    checkpoints = filled(tmp_path, 1)
    for name in ("notes.txt", "12.json", "abcdef.npz", "model.json"):
        (tmp_path / "checkpoints" / name).write_text("mine")
    checkpoints.save({"number": 1}, ARRAYS)
    checkpoints.save({"number": 2}, ARRAYS)
    assert set(names(tmp_path)) == {*pairs(2, 3), "notes.txt", "12.json", "abcdef.npz", "model.json"}


@pytest.mark.parametrize("text", ["", "1", "[]", "{}", '{"format": 2}', '{"format": 2, "text": 3}', "[" * 100_000])
def test_what_is_no_checkpoint_is_refused(text, tmp_path):
    (tmp_path / "000001.json").write_text(text)
    with pytest.raises(DamagedCheckpoint):
        read_checkpoint(tmp_path / "000001")


@pytest.mark.parametrize("text", ["[]", "{}", '{"config": {}}', '{"config": {}, "meta": 1}', "no json"])
def test_good_checksums_around_something_else_are_refused_too(text, tmp_path):
    data = files.npz_bytes(ARRAYS)
    header = {
        "format": 2,
        "arrays_sha256": files.sha256(data),
        "text_sha256": files.sha256(text.encode()),
        "text": text,
    }
    (tmp_path / "000001.npz").write_bytes(data)
    (tmp_path / "000001.json").write_text(json.dumps(header))
    with pytest.raises(DamagedCheckpoint):
        read_checkpoint(tmp_path / "000001")


def test_what_a_killed_process_had_half_written_is_taken_away_and_nothing_else(tmp_path):
    (tmp_path / "file").write_text("whole")
    for name in (
        ".000001.npz.k3_x9abc.part",
        ".config.json.abcdefgh.part",
        ".notes.part",
        ".a.ABCDEFGH.part",
        "b.abcdefgh.part",
    ):
        (tmp_path / name).write_text("half")
    files.remove_half_written(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"file", ".notes.part", ".a.ABCDEFGH.part", "b.abcdefgh.part"}
    files.remove_half_written(tmp_path / "missing")


def test_those_names_are_the_ones_that_are_written_to(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(os, "replace", lambda aside, path: seen.append(Path(aside)))
    files.write_atomic(tmp_path / "config.json", "{}")
    assert files.is_half_written(seen[0]) and not files.is_half_written(tmp_path / "config.json")
