"""The script that checks exports runs with TensorFlow alone, and detects every kind of defect."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from dlth_tf.deploy.checks import standalone
from dlth_tf.deploy.checks.standalone import Failed, checked, timed
from tests.runs.tiny import environment

LABELS = ["a", "b", "c"]
KERNEL = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32) * np.array([[1], [0], [1], [1]], np.float32)
IMAGES = np.random.default_rng(1).random((300, 4)).astype(np.float32)
DATA = {
    "input/images": IMAGES,
    "output/logits": IMAGES @ KERNEL,
    "labels": (IMAGES @ KERNEL).argmax(1),
    "mask/body/kernel": KERNEL != 0,
}
FORM: dict[str, Any] = {
    "name": "plain",
    "kind": "saved_model",
    "tolerance": 1e-5,
    "label_names": LABELS,
    "weights": ["body/kernel"],
    "places": None,
    "nonzero": {"body/kernel": 9},
    "same_weights": True,
    "image_bytes": False,
    "optional": False,
    "compared": ["logits"],
    "batch": None,
}
Change = Callable[[dict[str, tf.Tensor]], dict[str, tf.Tensor]]


def saved(folder: Path, kernel: np.ndarray = KERNEL, change: Change = dict, name: str = "served") -> dict[str, Any]:
    """Writes a SavedModel and returns its description for the script."""
    module = tf.Module()
    module.network_variables = [tf.Variable(kernel)]

    @tf.function(input_signature=[tf.TensorSpec((None, 4), tf.float32, name="images")])
    def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.name_scope(name):
            logits = images @ module.network_variables[0]
        outputs = {"logits": logits, "probabilities": tf.nn.softmax(logits), "class": tf.argmax(logits, -1)}
        return change({**outputs, "label": tf.gather(tf.constant(LABELS), outputs["class"])})

    tf.saved_model.save(module, os.fspath(folder), signatures={"serving_default": serve.get_concrete_function()})
    return {**FORM, "path": os.fspath(folder)}


def test_what_is_right_passes(tmp_path):
    facts = checked(saved(tmp_path), DATA)
    assert facts["accuracy"] == facts["agreement"] == 1 and facts["max_difference"] <= facts["tolerance"] < 1e-4


def other_row(kernel: np.ndarray) -> np.ndarray:
    other = kernel.copy()
    other[1] = 1e-9  # too small to show in the logits
    return other


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "weights": ({"kernel": KERNEL * 1.001}, "logits differ from the model's by"),
    "zeros": ({"kernel": other_row(KERNEL)}, "body/kernel has nonzero weights that the ticket removes"),
    "probabilities": (
        {"change": lambda outputs: {**outputs, "probabilities": outputs["logits"]}},
        "probabilities are not those of the logits",
    ),
    "class": (
        {"change": lambda outputs: {**outputs, "class": outputs["class"] * 0}},
        "class is not that of the largest logit",
    ),
    "label": (
        {"change": lambda outputs: {**outputs, "label": outputs["label"] + "!"}},
        "a label is not the name of its class",
    ),
    "no label": (
        {"change": lambda outputs: {name: output for name, output in outputs.items() if name != "label"}},
        "the output label must exist if and only if label names are known",
    ),
    "wrapper": ({"name": "prune_low_magnitude_fc"}, "is a leftover of the pruning wrappers"),
    "batches": (
        {
            "change": lambda outputs: {
                **outputs,
                "logits": outputs["logits"] + tf.cast(tf.shape(outputs["logits"])[0] < 8, tf.float32),
            }
        },
        "a batch of 1 yields other logits",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_seen(arguments, message, tmp_path):
    with pytest.raises(Failed, match=f"plain: .*{message}"):
        checked(saved(tmp_path, **arguments), DATA)


def test_more_numbers_that_are_not_zero_than_the_models_are_seen(tmp_path):
    with pytest.raises(Failed, match="body/kernel has 9 nonzero values, and the model's has 8"):
        checked({**saved(tmp_path), "nonzero": {"body/kernel": 8}}, DATA)


def test_an_operation_that_is_not_tensorflows_is_seen(tmp_path):
    form = saved(tmp_path)
    graph = (tmp_path / "saved_model.pb").read_bytes()
    (tmp_path / "saved_model.pb").write_bytes(graph.replace(b"Softmax", b"Softmix"))
    with pytest.raises(Failed, match=r"Softmix is not a stock TensorFlow operation|cannot be loaded"):
        checked(form, DATA)


def test_a_model_that_cannot_be_loaded_is_one_sentence(tmp_path):
    with pytest.raises(Failed, match=r"plain: cannot be loaded \("):
        checked({**FORM, "path": os.fspath(tmp_path)}, DATA)


def test_the_script_imports_nothing_of_this_package():
    modules = {
        node.module
        for node in ast.walk(ast.parse(Path(standalone.__file__).read_text()))
        if isinstance(node, ast.ImportFrom)
    }
    assert "tensorflow.python.framework" in modules and not [name for name in modules if name.startswith("dlth_tf")]


@pytest.mark.parametrize("package", standalone.BLOCKED)
def test_packages_that_users_do_not_have_are_blocked(package):
    code = (
        f"import sys, runpy; script = runpy.run_path({standalone.__file__!r}); "
        f"sys.meta_path.insert(0, script['Blocker']()); import {package}"
    )
    ended = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, timeout=60)
    assert ended.returncode != 0 and f"{package} is not available" in ended.stderr


def test_the_script_gives_a_result_or_a_sentence(tmp_path):
    np.savez(tmp_path / "data.npz", **DATA)
    forms = [saved(tmp_path / "right")]
    answers = []
    for form in (forms[0], {**forms[0], "nonzero": {"body/kernel": 1}}):
        task = {
            "what": "check",
            "threads": 0,
            "forms": [form],
            "data": str(tmp_path / "data.npz"),
            "packages": "/nowhere",
        }
        (tmp_path / "task.json").write_text(json.dumps(task))
        standalone.main(str(tmp_path / "task.json"), str(tmp_path / "result.json"))
        answers.append(json.loads((tmp_path / "result.json").read_text()))
        sys.path.remove("/nowhere")
    assert answers[0]["forms"]["plain"]["accuracy"] == 1 and "nonzero values" in answers[1]["error"]


def test_calls_that_are_timed_take_turns():
    order = []
    times = timed(
        {name: lambda inputs, name=name: order.append((name, len(inputs["images"]))) for name in "ab"},
        {"images": IMAGES[:3]},
        seconds=0,
    )
    assert set(times) == {"a", "b"} and all(set(batches) == {"1", "8", "64"} for batches in times.values())
    # One call each to warm up, and five rounds.
    assert "".join(name for name, batch in order if batch == 1) == "ab" + "abbaabbaab"
    assert all(len(calls) == 5 and min(calls) >= 0 for batches in times.values() for calls in batches.values())


def test_equal_infinite_numbers_are_equal_and_others_are_named():
    expected = {"logits": np.array([[1.0, -np.inf, np.nan], [2.0, -np.inf, np.nan]], np.float32)}
    assert standalone.compared(FORM, expected, expected) == (0.0, 2e-5)
    for place, value in (((0, 1), np.inf), ((0, 1), -9.0), ((1, 2), 0.0)):
        found = expected["logits"].copy()
        found[place] = value
        with pytest.raises(Failed, match="plain: the export's logits differ from the model's where these are not fin"):
            standalone.compared(FORM, {"logits": found}, expected)
    with pytest.raises(Failed, match="differ from the model's by inf"):
        standalone.compared(FORM, {"logits": np.full((2, 3), np.inf)}, {"logits": np.zeros((2, 3))})
