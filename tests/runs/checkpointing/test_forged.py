"""A checkpoint with a right checksum and wrong content is a damaged one: the one before is used."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlth_tf import files
from dlth_tf.errors import BadInput
from dlth_tf.runs import shared_training
from dlth_tf.runs.checkpointing.manager import CheckpointManager, RunState
from dlth_tf.runs.shared_training import SharedTraining
from dlth_tf.runs.watching.history import COLUMNS
from tests.runs.checkpointing.test_manager import DONE, manager

META: list[dict[str, Any]] = [
    *({"phase": value} for value in (99, -1, 1.0, "1", None, True, [])),
    *({"rows": value} for value in (None, {}, "x", [1], [{"phase": 3}], [{"phase": "a", "loss": "x"}], [{"x": 1}])),
    *({"phases": value} for value in (None, [], [1], [{"name": 3}], [{"name": "a", "steps": "x"}])),
    *({"macs": value} for value in (None, [], [1], [[1]], [["a", 2]], [[1, 2, 3]])),
    *({"seconds": value} for value in ("7", None, [], 1e300)),
    *({"rate_scale": value} for value in (0, -1, 2, "x", None)),
    *({name: 3} for name in ("rollback", "reused", "before_removal", "after_removal", "inside", "rewound")),
    {"before_removal": {"test_accuracy": "x"}},
    {"rewound": True},
    {"inside": True},
    {"inside": True, "step": "x", "callbacks": {}},
    {"inside": True, "step": 3, "callbacks": [1]},
]


def forge(checkpoints: Path, number: int, meta: dict[str, Any], arrays: dict[str, np.ndarray] | None = None) -> None:
    """Changes a checkpoint, and makes its checksums right again."""
    stem = checkpoints / f"{number:06d}"
    header = json.loads(stem.with_suffix(".json").read_text())
    content = json.loads(header["text"])
    content["meta"] |= meta
    header["text"] = json.dumps(content)
    header["text_sha256"] = files.sha256(header["text"].encode())
    if arrays is not None:
        data = files.npz_bytes(files.parse_npz(stem.with_suffix(".npz").read_bytes()) | arrays)
        stem.with_suffix(".npz").write_bytes(data)
        header["arrays_sha256"] = files.sha256(data)
    stem.with_suffix(".json").write_text(json.dumps(header))


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> tuple[Path, CheckpointManager]:
    folder = tmp_path_factory.mktemp("run")
    first = manager(folder)
    first.save()
    first.state = DONE
    first.save()
    return folder, manager(folder)


@pytest.fixture
def restored(written):
    folder, second = written
    before = {path: path.read_bytes() for path in (folder / "checkpoints").iterdir()}
    yield folder / "checkpoints", second
    for path, data in before.items():
        path.write_bytes(data)


@pytest.mark.parametrize("meta", META, ids=str)
def test_wrong_values_are_damage(restored, meta, log):
    checkpoints, second = restored
    forge(checkpoints, 2, meta)
    assert second.load(phases=2) is not None
    assert second.state.phase == RunState().phase == 0
    assert "checkpoint 000002 cannot be used (its " in log.text and "using the previous one" in log.text


@pytest.mark.parametrize("name", ["weight/a/kernel", "mask/a/kernel", "weight/none"])
def test_arrays_of_another_shape_are_damage(restored, name):
    checkpoints, second = restored
    forge(checkpoints, 2, {}, {name: np.zeros((7, 7), np.float32)})
    assert second.load(phases=2) is not None and second.state.phase == 0


def test_without_another_checkpoint_the_run_is_refused_in_one_line(restored):
    checkpoints, second = restored
    for number in (1, 2):
        forge(checkpoints, number, {"phase": 99})
    with pytest.raises(BadInput, match="none of its checkpoints can be used") as refused:
        second.load(phases=2)
    assert str(refused.value).isprintable()


def test_the_checkpoint_that_was_forged_was_good(restored):
    checkpoints, second = restored
    forge(checkpoints, 2, {})
    assert second.load(phases=2) is not None and second.state.phase == DONE.phase


ROW = {"phase": "train", **dict.fromkeys(COLUMNS[1:], 1)}
HISTORY = {"rows": [ROW], "step": 3, "sums": {"a/kernel": [1, 2, 3]}, "seconds": 1.5}


@pytest.mark.parametrize(
    "facts",
    [
        {"rewound": None},
        {"rewound": 1},
        {"rewound": True},
        *({"history": value} for value in (None, [], {}, {**HISTORY, "rows": []}, {**HISTORY, "rows": [[]]})),
        *({"history": {**HISTORY, name: "x"}} for name in HISTORY),
        {"history": {**HISTORY, "sums": [1]}},
        {"history": {**HISTORY, "sums": {"a": [1]}}},
        {"sha256": 3},
    ],
    ids=lambda facts: str(facts)[:50],
)
def test_a_shared_training_that_is_not_one_is_not_used(tmp_path, facts, log):
    network = manager(tmp_path).network
    data = files.npz_bytes(shared_training.network_state(network.model))
    shared = SharedTraining(tmp_path, "key")
    shared.arrays.write_bytes(data)
    good = {"sha256": files.sha256(data), "rewound": False, "history": HISTORY}
    history = Remembered()
    shared.facts.write_text(json.dumps(good | facts))
    assert not shared.take(network, history) and not history.restored and "is not used" in log.text
    shared.facts.write_text(json.dumps(good))
    assert shared.take(network, history) and history.restored == [HISTORY]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("ending", ["facts", "arrays"])
def test_a_pipe_in_the_place_of_a_shared_training_is_not_waited_for(tmp_path, ending, log):
    network = manager(tmp_path).network
    shared = SharedTraining(tmp_path, "key")
    shared.facts.write_text(json.dumps({"sha256": "x", "rewound": False, "history": HISTORY}))
    shared.arrays.write_bytes(b"")
    getattr(shared, ending).unlink()
    os.mkfifo(getattr(shared, ending))
    assert not shared.take(network, Remembered()) and "is not used" in log.text


class Remembered:
    """A history that notes what is restored."""

    def __init__(self) -> None:
        self.restored: list[Any] = []

    def restore_state(self, meta: Any, arrays: Any) -> None:
        self.restored.append(meta)
