"""Every reader of somebody else's files, on files damaged in thousands of ways: a value or one harmless sentence."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from absl import flags as absl_flags
from hypothesis import strategies as st

from dlth_tf import files
from dlth_tf.analysis.names import check_name
from dlth_tf.analysis.planned_runs import missing_runs
from dlth_tf.analysis.results import read_result
from dlth_tf.analysis.run_record import read_run
from dlth_tf.analysis.settings import read_settings
from dlth_tf.commands import define_fields, parse
from dlth_tf.data.disk_split import decoded
from dlth_tf.data.normalize import Normalization
from dlth_tf.data.tfrecord_index import open_records
from dlth_tf.deploy.checks import verification
from dlth_tf.deploy.checks.earlier import check_export
from dlth_tf.deploy.checks.probe import Probe, parse_probe
from dlth_tf.deploy.report.described import is_described
from dlth_tf.deploy.report.model_card import model_card
from dlth_tf.deploy.report.tables import show
from dlth_tf.errors import BadInput
from dlth_tf.registry import NoModule
from dlth_tf.runs.checkpointing.checked import check_history, check_meta
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.directory import RunDirectory
from dlth_tf.runs.exporting.keras_configs import check_config
from dlth_tf.runs.exporting.keras_files import load_keras_model
from dlth_tf.runs.exporting.own_network import load_own_network
from dlth_tf.runs.weights_files import check_weights_file
from tests.analysis.conftest import make_config, make_result, write_run
from tests.data.pictures import jpeg
from tests.data.test_tfrecord_index import example, shard
from tests.faults.mutations import CHANGES, JSON, changed_json, mutated, refused_or_read
from tests.faults.test_fuzz import WAY, fuzz
from tests.runs.checkpointing.test_forged import HISTORY, ROW
from tests.runs.test_weights import network
from tests.runs.tiny import TINY

pytestmark = pytest.mark.parametrize(
    "examples",
    [
        50,
        pytest.param(200, marks=pytest.mark.slow),
        pytest.param(10_000, marks=[pytest.mark.faults, pytest.mark.timeout(1800)]),
    ],
)
CASE = st.tuples(st.booleans(), CHANGES, st.tuples(WAY, JSON))


def harmless(found: object) -> None:
    """Asserts that an error is one line without control characters."""
    if isinstance(found, BadInput):
        text = str(found).replace("\n", "").replace("\t", "")
        assert text.isprintable() and len(text) < 5000


def fuzz_json(examples: int, path: Path, whole: bytes, read: Callable[[], object]) -> None:
    """Damages a JSON file as bytes and as values."""

    def check(case: tuple[bool, Any, Any]) -> None:
        inside, changes, (way, new) = case
        damaged = changed_json(whole, way, new) if inside else mutated(whole, changes)
        path.write_bytes(damaged)
        harmless(refused_or_read(read, len(damaged)))

    path.write_bytes(whole)
    assert not isinstance(read(), Exception)
    fuzz(examples, CASE, check)


def test_results(examples, tmp_path):
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / "result.json"
    fuzz_json(examples, path, json.dumps(make_result("rst", 0.9, 0, 0.9)).encode(), lambda: read_result(tmp_path, path))


def test_plans(examples, tmp_path):
    plan = {"methods": ["rst"], "runs": [{"run_dir": "rst-0.9-s0", "method": "rst", "sparsity": 0.9, "seed": 0}]}

    def read() -> object:
        for run in (missing := missing_runs(tmp_path)):
            assert os.sep not in check_name(run.run_dir) and run.state.isprintable()
        return missing

    fuzz_json(examples, tmp_path / "plan.json", json.dumps(plan).encode(), read)
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    fuzz_json(examples, tmp_path / "failures.json", b'{"rst-0.9-s0": "ValueError: x"}', read)


def test_settings(examples, tmp_path):
    (tmp_path / "run").mkdir()
    whole = json.dumps(make_config(("rst", 0.9, 0))).encode()
    fuzz_json(examples, tmp_path / "run" / "config.json", whole, lambda: read_settings(tmp_path, ["run"]))


def test_histories(examples, tmp_path):
    header = "phase,epoch,step,penalty,sparsity,val_accuracy,test_accuracy"
    history = f"{header}\ntrain,1,3,0,0.5,0.1,\ntrain,2,6,0,0.5,0.1,0.2\n"
    root = write_run(tmp_path / "run", history, {"a/kernel": np.array([True, False])})

    def check(changes: Any) -> None:
        damaged = mutated(history.encode(), changes)
        (root / "history.csv").write_bytes(damaged)
        found = refused_or_read(lambda: read_run(root), len(damaged))
        harmless(found)
        if not isinstance(found, BadInput):
            totals = found.history[["total_epoch", "total_step"]]
            assert np.isfinite(totals).all(axis=None) and totals.diff()[1:].ge(0).all(axis=None)

    fuzz(examples, CHANGES, check)


def test_configurations(examples):
    fields = [item.name for item in dataclasses.fields(RunConfig)]
    run = {**TINY, "method": "rst"}

    def check(case: tuple[str, Any]) -> None:
        name, value = case
        harmless(refused_or_read(lambda: RunConfig(**{**run, name: value}), 1000))

    long = st.sampled_from(["9" * 5000, 10**400, "\ud800", "\x1b[2J", "a\0b", [[]] * 50, {"*": 10**400}, float("nan")])
    fuzz(examples, st.tuples(st.sampled_from(fields), JSON | long), check)


def test_meta_of_checkpoints(examples):
    meta = {
        **{"phase": 1, "rows": [ROW], "phases": [{"name": "a", "steps": 3}], "macs": [[1, 2.0]], "seconds": 1.5},
        **{
            "rate_scale": 0.5,
            "rollback": None,
            "reused": None,
            "inside": True,
            "step": 3,
            "callbacks": {"History": {}},
        },
        **{"before_removal": {}, "after_removal": {"a": 1.0}, "rewound": False},
    }
    check_meta(meta, 2)
    whole = json.dumps({"meta": meta, "history": HISTORY}).encode()

    def check(place: tuple[list[int], Any]) -> None:
        value = json.loads(changed_json(whole, *place))
        if isinstance(value, dict) and isinstance(value.get("meta"), dict):
            refused_or_read(lambda: check_meta(value["meta"], 2), len(whole))
            refused_or_read(lambda: check_history(value.get("history")), len(whole))

    fuzz(examples, st.tuples(WAY, JSON), check)


def test_flag_files(examples, tmp_path):
    whole = b"--method=rst\n# a comment\n--dataset=digits\n--model=lenet5\n--sparsity=.5\n--flagfile=other.flags\n"

    def read() -> object:
        values = absl_flags.FlagValues()
        define_fields(values, dataclasses.fields(RunConfig))
        try:
            return parse(values, [f"--flagfile={tmp_path}/their.flags"], str)
        except (absl_flags.Error, SystemExit):
            return None

    def check(changes: Any) -> None:
        (tmp_path / "their.flags").write_bytes(mutated(whole, changes))
        harmless(refused_or_read(read, 100_000))

    fuzz(examples, CHANGES, check)


def test_weights_files(examples, tmp_path):
    model = network()
    model.save_weights(tmp_path / "good.h5")
    whole = (tmp_path / "good.h5").read_bytes()
    path = tmp_path / "bad.h5"

    def check(changes: Any) -> None:
        path.write_bytes(mutated(whole, changes))
        try:
            check_weights_file(str(path), model)
        except (
            OSError,
            ValueError,
            KeyError,
            RuntimeError,
            TypeError,
            AttributeError,
        ):  # as `load_initial_weights` does
            return

    check_weights_file(str(tmp_path / "good.h5"), model)
    assert h5py.is_hdf5(tmp_path / "good.h5")
    fuzz(examples, CHANGES, check)


def test_records(examples, tmp_path):
    path = shard(tmp_path / "a", [example(3, number) for number in range(4)])
    index = tmp_path / "index.npz"
    open_records([path], "label", index)
    whole = {"a": Path(path).read_bytes(), "index.npz": index.read_bytes()}

    def check(case: tuple[str, Any]) -> None:
        name, changes = case
        for other, data in whole.items():
            (tmp_path / other).write_bytes(mutated(data, changes) if other == name else data)
        try:
            records = open_records([path], "label", index)
        except (ValueError, OSError):
            return
        assert all(len(records.read(number)) == records.length[number] for number in range(len(records)))

    fuzz(examples, st.tuples(st.sampled_from(sorted(whole)), CHANGES), check)


def test_images(examples):
    corpus = [jpeg(9), tf.io.encode_png(np.zeros((9, 9, 3), np.uint8)).numpy(), b"GIF89a" + struct.pack("<HH", 9, 9)]

    def check(case: tuple[bytes, Any]) -> None:
        whole, changes = case
        try:
            picture = decoded(tf.constant(mutated(whole, changes)), (8, 8, 3), None, False)
        except tf.errors.OpError:
            return
        assert picture.shape == (8, 8, 3)

    fuzz(examples, st.tuples(st.sampled_from(corpus), CHANGES), check)


FORM = {
    **{"bytes": 10, "dense_bytes": 20, "parameters": 5, "nonzero": 3, "times_bound": 1.5, "max_difference": 1e-7},
    **{"multiply_adds": None, "tolerance": 1e-5, "accuracy": 0.5, "notes": ["a note"]},
    "files": {"float32.tflite": {"bytes": 10, "sha256": "ab"}},
    "latency": {batch: {"ms": 1.0, "dense_ms": 2.0, "speedup": 2.0, "range": [1.9, 2.1]} for batch in ("1", "8", "64")},
}

REPORT = {
    "origin": {"model": "mine"},
    "served": {"decision": "task: raw.", "inputs": {"images": {"dtype": "uint8", "shape": [None, 8]}}, "outputs": {}},
    "weights_sha256": "ab",
    "parameters": {"nonzero": 1, "total": 2, "prunable": 2, "removed": 1},
    "multiply_adds": None,
    "bound_bytes": 3,
    "verification": {"on": "random images", "images": 2, "accuracy": None, "mse": None, "tensorflow": "2"},
}
REPORT["served"] |= {"normalized": False, "image_bytes": False}


def test_described_exports_can_be_shown(examples, capsys):
    whole = json.dumps(FORM).encode()
    assert is_described(json.loads(whole))

    def check(place: tuple[list[int], Any]) -> None:
        facts = json.loads(changed_json(whole, *place))
        if is_described(facts):
            report = {**REPORT, "forms": {"plain": facts, "packed": FORM, "tflite/float32": facts}}
            show(report)
            assert "\x1b" not in model_card(report, None)

    fuzz(examples, st.tuples(WAY, JSON), check)
    capsys.readouterr()


def test_earlier_exports_are_checked_or_refused(examples, tmp_path, monkeypatch):
    form = {**FORM, "kind": "saved_model", "probe_tolerance": 1e-5}
    whole = json.dumps({"forms": {"plain": form}, "probe": {"bytes": 10, "sha256": "ab"}}).encode()
    monkeypatch.setattr(verification, "in_a_fresh_process", pytest.fail)  # no file is as recorded

    def check(place: tuple[list[int], Any]) -> None:
        (tmp_path / "export.json").write_bytes(changed_json(whole, *place))
        try:
            checked = check_export(tmp_path)
        except BadInput:
            return
        assert checked.failed

    fuzz(examples, st.tuples(WAY, JSON), check)


def test_probes(examples):
    whole = Probe({"input/a": np.array([b"xy", b"z"]), "output/b": np.ones((2, 3), np.float32)}, "x").data()
    parse_probe(whole)

    def check(changes: Any) -> None:
        data = mutated(whole, changes)
        refused_or_read(lambda: parse_probe(data), len(data))

    fuzz(examples, CHANGES, check)


@pytest.mark.parametrize(
    ("kind", "ending"),
    [(tf_keras, ".keras"), (tf_keras, ".h5"), (keras, ".keras")],
    ids=[".keras", ".h5", ".keras of Keras 3"],
)
def test_saved_models(examples, kind, ending, tmp_path):
    layers = [kind.Input((3,)), kind.layers.Dense(2, name="a")]
    kind.Sequential(layers, name="b").save(tmp_path / f"good{ending}")
    whole, path = (tmp_path / f"good{ending}").read_bytes(), tmp_path / f"bad{ending}"
    load_keras_model(tmp_path / f"good{ending}")

    def check(changes: Any) -> None:
        path.write_bytes(mutated(whole, changes))
        harmless(refused_or_read(lambda: load_keras_model(path), 2**20))

    fuzz(examples if examples > 1000 else 20, CHANGES, check)  # Keras takes 20 ms for one that is not refused


def test_networks_of_ones_own(examples, tmp_path):
    layers = {"class_name": "Sequential", "module": "keras", "config": {"name": "net", "layers": []}}
    whole = json.dumps({"model": "mine:net", "folder": "/somewhere", "keras": layers}).encode()
    missing = NoModule("model", "mine:net", "there is no module mine")

    def read() -> object:
        try:
            return load_own_network(RunDirectory(tmp_path), missing, trusted=False)
        except NoModule as error:
            harmless(error)
            return str(error)

    fuzz_json(examples, tmp_path / "network.json", whole, read)


def test_configurations_of_keras(examples):
    layer = {"class_name": "TFOpLambda", "module": "keras.layers", "config": {"name": "a", "function": "math.add"}}
    whole = json.dumps({"class_name": "Functional", "config": {"layers": [layer]}}).encode()

    def check(place: tuple[list[int], Any]) -> None:
        with contextlib.suppress(ValueError):
            check_config(json.loads(changed_json(whole, *place)))

    fuzz(examples, st.tuples(WAY, JSON), check)


def test_normalizations(examples):
    whole = json.dumps({"scale": 255.0, "mean": [0.5], "std": [0.5]}).encode()

    def check(place: tuple[list[int], Any]) -> None:
        value = json.loads(changed_json(whole, *place))
        harmless(refused_or_read(lambda: Normalization.from_json(value), len(whole)))

    fuzz(examples, st.tuples(WAY, JSON), check)


def test_json(examples):
    def check(text: str) -> None:
        found = refused_or_read(lambda: files.parse_json(text), len(text))
        if not isinstance(found, Exception):
            json.dumps(found, allow_nan=False).encode()

    parts = st.sampled_from(
        ["[", "]", "{", "}", '"', ":", ",", "9" * 30, "1e99", "-", "null", "\\ud800", "\x00", "a", "[" * 70]
    )
    fuzz(examples, st.lists(parts, max_size=12).map("".join), check)
