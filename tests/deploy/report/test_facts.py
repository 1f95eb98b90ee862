"""The numbers of export.json and the tables on the screen."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import tf_keras
from rich.console import Console

import dlth_tf
from dlth_tf.core import Ticket
from dlth_tf.deploy import export as export_with
from dlth_tf.deploy.report.facts import latency, multiply_adds, speed_note
from dlth_tf.deploy.report.tables import show
from dlth_tf.files import sha256

layers = tf_keras.layers
MASK = np.random.default_rng(0).random((3, 3, 8, 8)) < 0.25


@pytest.fixture(scope="module")
def model() -> tf_keras.Model:
    images = tf_keras.Input((10, 10, 1))
    x = layers.ReLU()(layers.Conv2D(8, 3, padding="same", name="first")(images))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, padding="same", name="body")(x))
    model = tf_keras.Model(images, layers.Dense(3, name="head")(x))
    kernel = model.get_layer("body").kernel
    kernel.assign(np.where(MASK, kernel.numpy(), 0))
    return model


@pytest.fixture
def report(model, tmp_path, checked_here) -> dict:
    ticket = Ticket.from_masks({"body/kernel": MASK})
    return dlth_tf.export(
        model, tmp_path, formats=["plain", "packed"], ticket=ticket, label_names=list("abc"), measure_latency=False
    )


def test_multiply_adds_are_counted_by_hand(model):
    kept = int(MASK.sum())
    assert multiply_adds(model, (10, 10, 1)) == {
        "dense": 100 * 72 + 100 * 576 + 24,
        "nonzero": 100 * 72 + 100 * kept + 24,
    }
    assert multiply_adds(model, (None, None, 1)) is None


def test_bytes_bound_and_dense_twin(report, tmp_path):
    kept = int(MASK.sum())
    assert report["parameters"] == {
        "total": 576 + 115,
        "nonzero": 72 + kept + 24,
        "prunable": 576,
        "removed": 576 - kept,
    }
    share = MASK.mean()
    entropy = -share * np.log2(share) - (1 - share) * np.log2(1 - share)
    assert abs(report["bound_bytes"] - (576 * (entropy + 32 * share) / 8 + 4 * 115)) <= 1
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
    assert report["forms"]["packed"]["dense_bytes"] - report["forms"]["packed"]["bytes"] > 576 * 0.6 * 3
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


def printed(report: dict, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    show(report, console)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [24, 40, 80, 200])
def test_the_tables_fit_any_width_and_lose_nothing(report, width):
    for facts in report["forms"].values():
        facts["latency"] = {batch: {"ms": 1.25, "dense_ms": 2.5, "speedup": 2.0} for batch in ("1", "8", "64")}
        facts["notes"] = [speed_note("plain", facts["latency"], False)]
    text = printed(report, width)
    assert max(map(len, text.splitlines())) <= width and "…" not in text
    if width >= 80:
        assert "packed" in text and f"{report['forms']['packed']['bytes']:,}" in text and "1.25 (2.5)" in text
        assert "mult-adds" in text and "/ bound" in text


@pytest.mark.parametrize(
    ("speedup", "skips", "start", "end"),
    [
        (2.0, False, "form: 2.00x at batch 1, 0.50x at batch 8 the speed", "in the same form."),
        (
            1.1,
            False,
            "form: sparsity brings no speed here (1.10x at batch 1,",
            "zeros are multiplied like any other number.",
        ),
        (1.1, True, "form: sparsity brings no speed here (1.10x at batch 1,", "in the same form)."),
    ],
)
def test_the_sentence_says_what_was_measured(speedup, skips, start, end):
    note = speed_note("form", {"1": {"speedup": speedup}, "8": {"speedup": 0.5}}, skips)
    assert note.startswith(start) and note.endswith(end)


def test_a_busy_moment_strikes_both_and_not_their_ratio():
    assert latency([1, 1, 10, 10, 10], [1, 1, 1, 10, 10]) == {"ms": 10, "dense_ms": 1, "speedup": 1}
    assert latency([1, 2, 4], [2, 4, 8])["speedup"] == 2


def test_latency_is_measured_in_a_fresh_process(model, tmp_path):
    report = export_with(model, tmp_path, formats=["plain"])
    assert Path(tmp_path, "plain").is_dir()
    (measured,) = [facts["latency"] for facts in report["forms"].values()]
    assert list(measured) == ["1", "8", "64"] and all(min(times.values()) > 0 for times in measured.values())
    assert len(report["forms"]["plain"]["notes"]) == 1
