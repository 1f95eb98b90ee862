"""The model card says what the export says, shows foreign text as text, and its commands run."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf
from dlth_tf.data import Normalization
from dlth_tf.deploy.report.model_card import MARK, model_card
from dlth_tf.deploy.serving import Serving
from tests.deploy.conftest import checked_here as checked_here
from tests.deploy.conftest import checks_in_this_process
from tests.deploy.test_export import network

layers = tf_keras.layers
FORMS = ("plain", "packed", "tflite_float32")
FAST = {"measure_latency": False}
HOSTILE = "<img src=x>|[a](http://b)`"
LABELS = ("cat", HOSTILE, "dog")


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("exported")
    known = {"normalization": Normalization(1 / 255, (0.5,), (0.25,)), "label_names": LABELS}
    with checks_in_this_process(folder):
        report = dlth_tf.export(network(), folder / "out", formats=FORMS, origin={"model": HOSTILE}, **known, **FAST)
    return folder / "out", report


def test_it_stands_beside_the_export_and_says_the_same(exported):
    folder, report = exported
    card = (folder / "README.md").read_text()
    assert card == model_card(report, LABELS) and card.startswith(MARK)
    for text in (
        "42 of 123 parameters are not zero; 75 % of the prunable weights were removed",
        f"| packed | {report['forms']['packed']['bytes']:,} |",
        r"| input | images | uint8 | \[any, 4, 4, 1\] |",
        r"| output | label | string | \[any\] |",
        "the normalization of the training is inside",
        "0 cat, 1 &lt;img src=x&gt;",
        "mean 0 and standard deviation 1: it is inside. It returns no labels: `class` counts from 0, under Classes",
        "## Licence",
    ):
        assert text in card
    assert report["weights_sha256"] in card and "## Speed" not in card


@pytest.mark.parametrize("same", [True, False])
def test_the_hash_of_the_weights_stands_there_once_and_one_of_others_beside_it(exported, same):
    report = exported[1]
    told = report["weights_sha256"] if same else "0" * 64
    card = model_card({**report, "origin": {**report["origin"], "weights_sha256": told}}, LABELS)
    assert card.count(report["weights_sha256"]) == 1 and card.count("sha256") + card.count("SHA-256") == 2 - same
    assert ("0" * 64 in card) != same


def test_foreign_text_is_escaped(exported):
    card = (exported[0] / "README.md").read_text()
    assert r"# &lt;img src=x&gt;\|\[a\](http://b)\`" in card and "<img" not in card and "[a](" not in card


def test_a_thousand_classes_are_listed_and_no_million(exported):
    _, report = exported
    assert "999 class number 999.\n" in model_card(report, [f"class number {number}" for number in range(1000)])
    card = model_card(report, ["x" * 100] * 10_000)
    assert len(card) < 200_000 and " more.\n" in card


def test_times_are_shown_with_the_speed_up(exported):
    times = {batch: {"ms": 0.25, "dense_ms": 0.5, "speedup": 2.0, "range": [1.9, 2.1]} for batch in ("1", "8", "64")}
    times["64"] |= {"speedup": 0.5, "range": [0.4, 0.6]}
    report = exported[1] | {"forms": {"plain": exported[1]["forms"]["plain"] | {"latency": times}}}
    assert "| plain | 0.25 (2.00x) | 0.25 (2.00x) | 0.25 (0.50x, slower) |" in model_card(report, None)


@pytest.mark.parametrize("word", ["tf.saved_model", "Interpreter"])
def test_the_code_in_it_runs(exported, monkeypatch, word):
    monkeypatch.chdir(exported[0])
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", (exported[0] / "README.md").read_text(), re.M)
    code = next(re.sub("^    ", "", block, flags=re.M) for block in blocks if word in block)
    code = code.replace("from ai_edge_litert.interpreter import Interpreter", "Interpreter = tf.lite.Interpreter")
    variables = {"images": np.zeros((1, 4, 4, 1), np.uint8), "tf": tf}
    exec(code, variables)
    assert np.shape(variables["outputs"]["logits"]) == (1, 3)


@pytest.mark.usefixtures("checked_here")
def test_a_readme_of_the_users_own_is_kept_and_an_earlier_card_is_replaced(exported, tmp_path):
    out = Path(shutil.copytree(exported[0], tmp_path / "out"))
    dlth_tf.export(network(), out, overwrite=True, **FAST)
    assert r"| input | images | float32 | \[any, 4, 4, 1\] |" in (out / "README.md").read_text()
    (out / "README.md").write_text("mine")
    dlth_tf.export(network(), out, overwrite=True, **FAST)
    assert (out / "README.md").read_text() == "mine"
    (out / "README.md").unlink()
    os.mkfifo(out / "README.md")
    dlth_tf.export(network(), out, overwrite=True, **FAST)
    assert not (out / "README.md").is_file()


def images(*more: tf_keras.layers.Layer) -> tf_keras.Model:
    return tf_keras.Sequential([tf_keras.Input((None, None, 3)), *more])


@pytest.mark.parametrize(
    ("model", "task", "labels"),
    [
        (network(), "classifier", ("a", "b", "c")),
        (tf_keras.Sequential([tf_keras.Input((4,)), layers.Dense(3, "softmax")]), "probabilities", None),
        (images(layers.Conv2D(2, 1)), "raw", None),
        (images(layers.GlobalMaxPool2D(), layers.Dense(1, dtype="float16")), "raw", None),
    ],
)
@pytest.mark.parametrize("batch", [None, 2])
def test_the_described_outputs_are_those_of_the_signature(model, task, labels, batch):
    from dlth_tf.deploy.interface import interface_of

    serving = Serving(task=task, label_names=labels, batch=batch)
    specs = serving.inputs(model)
    call = tf.function(lambda x: serving.outputs(model, {"images": x}), input_signature=list(specs.values()))
    found = call.get_concrete_function().structured_outputs
    described = serving.output_specs(interface_of(model))
    assert list(found) == list(described)
    for name, spec in described.items():
        assert (spec.dtype, spec.shape.as_list()) == (found[name].dtype, found[name].shape.as_list())
