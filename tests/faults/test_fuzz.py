"""Every file that a run reads, damaged in thousands of ways: it is read, or refused in one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlth_tf import files, masking, models
from dlth_tf.core import Ticket
from dlth_tf.errors import BadInput
from dlth_tf.runs.checkpointing.files import DamagedCheckpoint, read_checkpoint
from dlth_tf.runs.directory import RunDirectory
from dlth_tf.runs.weights import load_initial_weights
from tests.faults.mutations import CHANGES, JSON, changed_json, mutated, refused_or_read
from tests.runs.tiny import tiny

ARRAYS = {"fc1/kernel": np.arange(24, dtype=np.float32).reshape(4, 6), "fc1/bias": np.ones(6), "step": np.array(3)}
NPZ = files.npz_bytes(ARRAYS)
WAY = st.lists(st.integers(0, 50), max_size=4)
pytestmark = pytest.mark.parametrize(
    "examples",
    [
        100,
        pytest.param(300, marks=pytest.mark.slow),
        pytest.param(10_000, marks=[pytest.mark.faults, pytest.mark.timeout(1800)]),
    ],
)


def fuzz(examples: int, strategy: Any, check: Callable[[Any], None]) -> None:
    """Calls `check` with `examples` examples."""
    health = list(HealthCheck)
    settings(max_examples=examples, deadline=None, database=None, derandomize=True, suppress_health_check=health)(
        given(strategy)(check)
    )()


def same(arrays: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> bool:
    return files.arrays_sha256(arrays) == files.arrays_sha256(expected)


def test_arrays(examples):
    def check(changes: Any) -> None:
        data = mutated(NPZ, changes)
        found = refused_or_read(lambda: files.parse_npz(data), len(data))
        assert isinstance(found, ValueError | dict)

    fuzz(examples, CHANGES, check)


def test_arrays_of_texts(examples):
    original = files.npz_bytes({"words": np.array(["a", "\u00e4\U0001f600"]), "raw": np.array([b"ab", b"c"])})

    def check(changes: Any) -> None:
        data = mutated(original, changes)
        found = refused_or_read(lambda: files.parse_npz(data, texts=True), len(data))
        assert isinstance(found, ValueError | dict)
        for array in found.values() if isinstance(found, dict) else ():
            if array.dtype.kind == "U":
                np.char.encode(array, "utf-8")

    fuzz(examples, CHANGES, check)


def written(folder: Path) -> Path:
    """A checkpoint as `CheckpointFiles` writes it."""
    text = json.dumps({"config": {"seed": 0}, "meta": {"phase": 1, "rows": [{"loss": 0.5}]}})
    header = {"format": 2, "arrays_sha256": files.sha256(NPZ), "text_sha256": files.sha256(text.encode()), "text": text}
    (folder / "000001.npz").write_bytes(NPZ)
    files.write_json(folder / "000001.json", header)
    return folder / "000001"


def test_checkpoints_never_give_other_numbers(examples, tmp_path):
    """One changed bit is enough to be refused: whatever is read equals what was written."""
    stem = written(tmp_path)
    whole = {ending: stem.with_suffix(ending).read_bytes() for ending in (".npz", ".json")}
    expected, seen = read_checkpoint(stem), set()

    def check(case: tuple[str, Any, Any]) -> None:
        ending, changes, (way, new) = case
        damaged = changed_json(whole[".json"], way, new) if ending == "json" else mutated(whole[ending], changes)
        target = ".json" if ending == "json" else ending
        stem.with_suffix(target).write_bytes(damaged)
        found = refused_or_read(lambda: read_checkpoint(stem), len(damaged))
        stem.with_suffix(target).write_bytes(whole[target])
        seen.add(type(found).__name__)
        if isinstance(found, ValueError):
            assert isinstance(found, DamagedCheckpoint) and str(found).startswith("checkpoint 000001 cannot be used (")
        else:
            assert (found.meta, found.config) == (expected.meta, expected.config) and same(
                found.arrays, expected.arrays
            )

    fuzz(examples, st.tuples(st.sampled_from([".npz", ".json", "json"]), CHANGES, st.tuples(WAY, JSON)), check)
    assert seen >= {"DamagedCheckpoint"}


def test_a_reader_without_checksums_would_give_other_numbers(examples):
    """The mutations can do harm: without checksums some of them pass."""
    passed = []

    def check(changes: Any) -> None:
        body = bytearray(ARRAYS["fc1/kernel"].tobytes())
        passed.append(np.frombuffer(mutated(bytes(body), changes)[: len(body)].ljust(len(body), b"\0"), np.float32))

    fuzz(min(examples, 300), CHANGES, check)
    assert any(not np.array_equal(found.reshape(4, 6), ARRAYS["fc1/kernel"]) for found in passed)


def test_config_json(examples, tmp_path):
    config = tiny("rst", tmp_path)
    whole = json.dumps(
        {"config": config.to_json(), "data": {}, "versions": {}, "git_commit": None, "command": []}
    ).encode()
    (tmp_path / "config.json").write_bytes(whole)
    RunDirectory(tmp_path).refuse_other_runs(config)

    def check(case: tuple[bool, Any, Any]) -> None:
        inside, changes, (way, new) = case
        damaged = changed_json(whole, way, new) if inside else mutated(whole, changes)
        (tmp_path / "config.json").write_bytes(damaged)
        found = refused_or_read(lambda: RunDirectory(tmp_path).refuse_other_runs(config), len(damaged))
        assert found is None or (type(found) is BadInput and str(found).startswith("run_dir="))
        if found is None:  # a field that does not change the outcome, or content outside the configuration
            assert config.differences(json.loads(damaged)["config"]) == []

    fuzz(examples, st.tuples(st.booleans(), CHANGES, st.tuples(WAY, JSON)), check)


def test_result_json(examples, tmp_path):
    whole = json.dumps({"sparsity": {}, "test": {}, "phases": [], "weights_sha256": "", "more": 1}).encode()

    def check(case: tuple[bool, Any, Any]) -> None:
        inside, changes, (way, new) = case
        damaged = changed_json(whole, way, new) if inside else mutated(whole, changes)
        (tmp_path / "result.json").write_bytes(damaged)
        found = refused_or_read(RunDirectory(tmp_path).complete_result, len(damaged))
        assert isinstance(found, BadInput) or found.keys() >= {"sparsity", "test", "phases", "weights_sha256"}

    fuzz(examples, st.tuples(st.booleans(), CHANGES, st.tuples(WAY, JSON)), check)


def test_tickets(examples, tmp_path):
    ticket = Ticket(
        {"fc1/kernel": np.arange(54).reshape(6, 9) % 5 > 1, "fc2/kernel": np.arange(7) % 2 == 0}, {"method": "rst"}
    )
    ticket.save(tmp_path / "ticket.npz")
    whole = {name: (tmp_path / name).read_bytes() for name in ("ticket.npz", "ticket.json")}

    def check(case: tuple[str, Any, Any, bool]) -> None:
        name, changes, (way, new), signed = case
        parts = dict(whole)
        parts[name.replace("inside", "json")] = (
            changed_json(whole["ticket.json"], way, new) if name == "ticket.inside" else mutated(whole[name], changes)
        )
        if signed and name == "ticket.npz":  # as a forger would do, so that more than the checksum is tested
            sidecar = {**json.loads(whole["ticket.json"]), "sha256": files.sha256(parts["ticket.npz"])}
            parts["ticket.json"] = json.dumps(sidecar).encode()
        for part, data in parts.items():
            (tmp_path / part).write_bytes(data)
        found = refused_or_read(lambda: Ticket.load(tmp_path / "ticket.npz"), len(whole["ticket.npz"]))
        assert isinstance(found, BadInput | Ticket)
        assert signed or isinstance(found, BadInput) or dict(found).keys() == dict(ticket).keys()

    fuzz(
        examples,
        st.tuples(
            st.sampled_from(["ticket.npz", "ticket.json", "ticket.inside"]),
            CHANGES,
            st.tuples(WAY, JSON),
            st.booleans(),
        ),
        check,
    )


@pytest.mark.filterwarnings("ignore:overflow")  # of numbers that are then refused as not finite
@pytest.mark.filterwarnings("ignore:invalid value")
def test_weights_to_start_from(examples, tmp_path):
    model = models.build("lenet_300_100", (2, 2, 1), 3, 0, {"width": 0.01})
    weights = masking.weight_arrays(model)
    whole, path = files.npz_bytes(weights), str(tmp_path / "weights.npz")

    def check(changes: Any) -> None:
        damaged = mutated(whole, changes)
        Path(path).write_bytes(damaged)
        found = refused_or_read(lambda: load_initial_weights(model, path), len(damaged))
        assert found is None or type(found) is BadInput
        assert found or all(np.isfinite(variable.numpy()).all() for variable in masking.named_weights(model).values())

    Path(path).write_bytes(whole)
    load_initial_weights(model, path)
    fuzz(examples, CHANGES, check)
