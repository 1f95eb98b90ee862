"""The numbers of export.json."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import dlth_tf
from dlth_tf.deploy.export import export as export_with
from dlth_tf.deploy.report.facts import dense_partner, latency, multiply_adds, rounding_note, size_note, speed_note
from dlth_tf.files import sha256
from tests.deploy.report.conftest import MASK


def test_multiply_adds_are_counted_by_hand(model):
    kept = int(MASK.sum())
    assert multiply_adds(model, {"images": (10, 10, 1)}) == {
        "dense": 100 * 72 + 100 * 4608 + 192,
        "nonzero": 100 * 72 + 100 * kept + 192,
    }
    assert multiply_adds(model, {"left": (10, 10, 1), "right": (4,)}) is None


def test_bytes_bound_and_dense_reference(report, tmp_path):
    kept = int(MASK.sum())
    assert report["parameters"] == {
        "total": 4608 + 339,
        "nonzero": 72 + kept + 192,
        "prunable": 4608,
        "removed": 4608 - kept,
    }
    share = MASK.mean()
    entropy = -share * np.log2(share) - (1 - share) * np.log2(1 - share)
    assert abs(report["bound_bytes"] - (4608 * (entropy + 32 * share) / 8 + 4 * 339)) <= 1
    for form, facts in report["forms"].items():
        files = {
            path.relative_to(tmp_path / form).as_posix(): path
            for path in (tmp_path / form).rglob("*")
            if path.is_file()
        }
        assert {name: (entry["bytes"], entry["sha256"]) for name, entry in facts["files"].items()} == {
            name: (path.stat().st_size, sha256(path.read_bytes())) for name, path in files.items()
        }
        assert facts["bytes"] == sum(entry["bytes"] for entry in facts["files"].values())
        assert facts["times_bound"] == round(facts["bytes"] / report["bound_bytes"], 4)
    assert report["forms"]["packed"]["dense_bytes"] - report["forms"]["packed"]["bytes"] > 4608
    assert abs(report["forms"]["plain"]["dense_bytes"] - report["forms"]["plain"]["bytes"]) < 100


def test_forms_of_an_earlier_call_are_kept_only_if_they_hold_the_same_weights(model, tmp_path, checked_here):
    def forms() -> set[str]:
        return set(json.loads((tmp_path / "export.json").read_text())["forms"])

    dlth_tf.export(model, tmp_path, formats=["plain"], measure_latency=False)
    dlth_tf.export(model, tmp_path, formats=["packed"], measure_latency=False)
    assert forms() == {"plain", "packed"}
    before = model.get_weights()
    model.set_weights([weight * 2 for weight in before])
    try:
        dlth_tf.export(model, tmp_path, formats=["packed"], overwrite=True, measure_latency=False)
    finally:
        model.set_weights(before)
    assert forms() == {"packed"}


NO_SPEED = "form: sparsity brings no speed here"
SLOWER = "form: this form is slower here"
ZEROS = "in the same form); zeros are multiplied like any other number."


@pytest.mark.parametrize(
    ("speedups", "skips", "start", "end"),
    [
        ((2.0, 1.0), False, "form: compared with the dense network", "2.00x at batch 1, 1.00x at batch 8."),
        ((2.0, 0.5), True, "form: compared with the dense network", "2.00x at batch 1, 0.50x at batch 8 (slower)."),
        ((1.1, 0.9), False, f"{NO_SPEED} (1.10x at batch 1,", ZEROS),
        ((1.1, 0.9), True, f"{NO_SPEED} (1.10x at batch 1,", "in the same form)."),
        ((1.1, 0.5), True, f"{SLOWER} (1.10x at batch 1, 0.50x at batch 8 (slower),", "in the same form)."),
        ((0.8, 0.5), False, f"{SLOWER} (0.80x at batch 1 (slower), 0.50x", ZEROS),
    ],
)
def test_the_sentence_says_what_was_measured(speedups, skips, start, end):
    measured = {size: {"speedup": x, "range": [0.9 * x, 1.1 * x]} for size, x in zip("18", speedups, strict=True)}
    note = speed_note("form", measured, skips, "form")
    assert note.startswith(start) and note.endswith(end)


@pytest.mark.parametrize(
    ("values", "agreement", "note"),
    [
        ("float32", 1.0, ""),
        ("int8", 0.875, "a: with weights rounded to int8, outputs differ by at most 0.012, and 87.5% of the examples"),
        ("float16", None, "a: with weights rounded to float16, outputs differ by at most 0.012."),
    ],
)
def test_the_effect_of_rounded_weights_is_said(values, agreement, note):
    said = rounding_note("a", {"values": values, "agreement": agreement, "max_difference": 0.0123})
    assert said.startswith(note) and bool(said) == bool(note)


@pytest.mark.parametrize(("speedup", "spread"), [(1.5, [0.8, 2.0]), (0.7, [0.5, 1.3])])
def test_calls_that_disagree_are_neither_faster_nor_slower(speedup, spread):
    assert speed_note("form", {"1": {"speedup": speedup, "range": spread}}, True, "other").startswith(NO_SPEED)


def test_a_rounded_file_is_timed_beside_the_dense_network_in_float32():
    dense = ["plain", "packed", "tflite/float32", "tflite/float16", "tflite/int8"]
    assert [dense_partner(form, dense) for form in dense] == ["plain", "packed", *["tflite/float32"] * 3]
    assert dense_partner("tflite_int8", ["tflite_int8", "tflite_float32"]) == "tflite_float32"
    assert dense_partner("tflite_int8", ["tflite_int8"]) == "tflite_int8"  # that in float32 could not be written
    note = speed_note("tflite/int8", {"1": {"speedup": 0.5, "range": [0.4, 0.6]}}, False, "tflite/float32")
    assert "slower here (0.50x at batch 1 (slower), compared with the dense network as tflite/float32)" in note


def test_a_busy_moment_strikes_both_and_not_their_ratio():
    assert latency([1, 1, 10, 10, 10], [1, 1, 1, 10, 10]) == {
        "ms": 10,
        "dense_ms": 1,
        "speedup": 1,
        "ms_range": [1, 10],
        "dense_ms_range": [1, 10],
        "range": [1, 1],
    }
    assert latency([1, 2, 4], [2, 4, 8])["speedup"] == 2


def test_plain_alone_says_what_packed_would_save():
    report = {"parameters": {"total": 1000}, "bound_bytes": 500, "forms": {"plain": {}}}
    assert size_note(report).endswith("--formats=packed, the weights take about 500 bytes instead of 4,000.")
    assert (
        size_note(report | {"forms": {"plain": {}, "packed": {}}})
        == ""
        == size_note(report | {"forms": {"compact": {}}})
    )
    assert size_note(report | {"bound_bytes": 3900}) == ""


@pytest.mark.slow  # in the fast tests that of test_export.py and of the README's snippet
def test_latency_is_measured_in_a_fresh_process(model, tmp_path):
    report = export_with(model, tmp_path, formats=["plain"])
    assert Path(tmp_path, "plain").is_dir()
    (measured,) = [facts["latency"] for facts in report["forms"].values()]
    assert list(measured) == ["1", "8", "64"] and all(times["range"][0] > 0 for times in measured.values())
    speed, size = report["forms"]["plain"]["notes"]
    assert speed.startswith(NO_SPEED.replace("form", "plain", 1)) and "--formats=packed" in size
    report = export_with(model, tmp_path, formats=["tflite_float16"])
    assert report["forms"]["tflite_float16"]["latency_beside"] == "dense tflite_float32"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("README.md", "export.json", "plain", "probe.npz", "tflite_float16")
    ]
