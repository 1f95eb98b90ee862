"""Forms of an earlier export stay beside those of the same network, and of no other."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import tf_keras

import dlth_tf
from dlth_tf.deploy.checks import standalone
from dlth_tf.deploy.checks.earlier import check_export
from dlth_tf.deploy.earlier_forms import forms_of_another
from dlth_tf.errors import BadInput
from tests.deploy.report.test_tables import printed
from tests.runs.tiny import listing

pytestmark = pytest.mark.usefixtures("checked_here")
FAST = {"measure_latency": False}


def network(scale: float) -> tf_keras.Model:
    model = tf_keras.Sequential([tf_keras.Input((6,)), tf_keras.layers.Dense(3, name="head")])
    model.layers[-1].kernel.assign(np.full((6, 3), scale))
    return model


@pytest.fixture
def first(tmp_path) -> Path:
    dlth_tf.export(network(1), tmp_path / "out", formats=["compact", "packed"], **FAST)
    return tmp_path / "out"


def test_another_form_of_the_same_network_is_added(first):
    report = dlth_tf.export(network(1), first, **FAST)
    assert list(report["forms"]) == ["plain", "compact", "packed"]
    assert not check_export(first).failed


def test_a_form_of_a_fixed_batch_is_checked_and_kept_with_its_times(tmp_path, monkeypatch):
    monkeypatch.setattr(standalone, "MAX_ROUNDS", 5)
    dlth_tf.export(network(1), tmp_path, formats=["packed"], batch=3)
    assert not check_export(tmp_path).failed
    report = dlth_tf.export(network(1), tmp_path)
    assert {name: list(facts["latency"]) for name, facts in report["forms"].items()} == {
        "plain": ["1", "8", "64"],
        "packed": ["3"],
    }
    assert not check_export(tmp_path).failed
    assert "batch 64 (dense)" in (shown := printed(report, 200)) and "batch 3 (dense)" in shown


def test_forms_of_another_network_are_refused_and_nothing_changes(first):
    before = listing(first)
    reason = r"holds packed, compact of another network \(by weights_sha256 .*; --overwrite \(overwrite=True\) removes"
    with pytest.raises(BadInput, match=f"export_dir=.*: {reason}"):
        dlth_tf.export(network(2), first, **FAST)
    assert listing(first) == before and sorted(os.listdir(first.parent)) == ["out"]


def test_forms_of_another_network_are_removed_when_asked(first):
    report = dlth_tf.export(network(2), first, overwrite=True, formats=["packed"], **FAST)
    assert sorted(os.listdir(first)) == ["README.md", "export.json", "packed", "probe.npz"]
    assert list(report["forms"]) == ["packed"] and not check_export(first).failed


def test_a_folder_that_no_export_has_recorded_stays(first):
    (first / "plain").mkdir()
    (first / "plain" / "mine").write_text("mine")
    dlth_tf.export(network(2), first, overwrite=True, formats=["onnx"], **FAST)
    assert (first / "plain" / "mine").read_text() == "mine"
    assert check_export(first).failed == ("plain: is not recorded in export.json",)


@pytest.mark.parametrize("content", ["[]", "{", "{}", '{"forms": 1}', '{"forms": {"../x": {}, "file": {}}}'])
def test_a_report_of_somebody_else_names_no_forms(content, tmp_path):
    (tmp_path / "export.json").write_text(content)
    assert forms_of_another(tmp_path, "ab", ["plain"]) == []


def test_the_forms_of_files_are_found_by_their_folder(tmp_path):
    (tmp_path / "tflite").mkdir()
    (tmp_path / "export.json").write_text(
        json.dumps({"weights_sha256": "a", "forms": {"tflite/float32": {}, "onnx": {}}})
    )
    assert forms_of_another(tmp_path, "b", ["plain"]) == ["tflite"]
    assert forms_of_another(tmp_path, "a", ["plain"]) == forms_of_another(tmp_path, "b", ["tflite"]) == []
