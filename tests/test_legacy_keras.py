"""Packages that need Keras 2 leave no trace in the process: fresh processes compare themselves before and after."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]

# What the process did with Keras before it loads a package.
BEFORE = {
    "nothing": "",
    "keras imported": "import keras",
    "tf.keras used": "tf.keras.Sequential([tf.keras.layers.Dense(2)])(tf.zeros([1, 3]))",
}
NIGHTLY = pytest.mark.faults
LOAD = {
    "tf-mot": "import dlth_tf.masking.keras2.tfmot",
    "keras-cv": "legacy_keras.import_keras_cv()",
    "tf-mot by a plain import": "import tensorflow_model_optimization",
    "keras-cv by a plain import": "import keras_cv",
}
PROBE = """
import json, os, sys
import tensorflow as tf
import tf_keras  # replaces the lazy loader of tf.compat.v1.keras when it is imported
from dlth_tf import legacy_keras

def state():
    loaded = dict(sys.modules)
    return {
        "environment": dict(os.environ),
        "tf.keras": {"v2": id(vars(tf)["keras"]), "v1": id(vars(tf.compat.v1)["keras"])},
        "tensorflow.keras": {key: id(value) for key, value in loaded.items() if key.startswith("tensorflow.keras")},
        "keras": {key: id(value) for key, value in loaded.items() if key.split(".")[0] == "keras"},
    }
"""
COMPARED = """
before = state()
%s
after = state()
print(json.dumps({
    "changed": [key for key in before if before[key] != after[key]],
    "tf.keras": tf.keras.Model.__module__.split(".")[0] if os.environ.get("KERAS_BACKEND") != "jax" else None,
    "keras_cv on Keras 2": "keras_cv" in sys.modules
        and issubclass(sys.modules["keras_cv"].layers.RandAugment, tf_keras.layers.Layer),
}))
"""


def run(code: str, legacy: str | None = None, backend: str | None = None) -> subprocess.CompletedProcess[str]:
    """Runs the probe and `code` in a fresh process with these values of TF_USE_LEGACY_KERAS and KERAS_BACKEND."""
    environment = {key: os.environ[key] for key in os.environ if key not in ("TF_USE_LEGACY_KERAS", "KERAS_BACKEND")}
    environment |= {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    environment |= {"TF_USE_LEGACY_KERAS": legacy} if legacy is not None else {}
    environment |= {"KERAS_BACKEND": backend} if backend is not None else {}
    return subprocess.run(
        [sys.executable, "-c", PROBE + code], env=environment, cwd=ROOT, capture_output=True, text=True
    )


def compared(before: str, *packages: str, legacy: str | None = None, backend: str | None = None) -> dict[str, object]:
    """Returns the report of a process that loads `packages` after what BEFORE calls `before`."""
    loading = "\n".join(LOAD[package] for package in packages)
    done = run(f"{BEFORE[before]}\n{COMPARED % loading}", legacy, backend)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_tf_mot_and_keras_cv_leave_a_process_with_keras_3_as_it_was():
    report = compared("tf.keras used", "tf-mot", "keras-cv")
    assert report == {"changed": [], "tf.keras": "keras", "keras_cv on Keras 2": True}


def every_process() -> list[Any]:
    """Returns packages, states and settings: in the slow tests each package with each state and each setting."""
    return [
        pytest.param(package, before, legacy, marks=pytest.mark.slow if (number + turn) % 3 == 0 else NIGHTLY)
        for package in ("tf-mot", "keras-cv")
        for number, before in enumerate(BEFORE)
        for turn, legacy in enumerate((None, "0", "1"))
    ]


@pytest.mark.slow_cases("tf-mot-nothing-None", "keras-cv-tf.keras used-0")
@pytest.mark.parametrize(("package", "before", "legacy"), every_process())
def test_a_package_leaves_every_process_as_it_was(package: str, before: str, legacy: str | None):
    report = compared(before, package, legacy=legacy)
    assert report["changed"] == []
    assert report["tf.keras"] == ("tf_keras" if legacy == "1" else "keras")
    assert report["keras_cv on Keras 2"] == (package == "keras-cv")


@pytest.mark.slow_cases("tf-mot-jax-None")
@pytest.mark.parametrize(
    ("backend", "legacy"),
    [
        pytest.param("tensorflow", None, marks=NIGHTLY),
        pytest.param("tensorflow", "1", marks=pytest.mark.slow),
        pytest.param("jax", None, marks=pytest.mark.slow),
        pytest.param("jax", "1", marks=NIGHTLY),
    ],
)
@pytest.mark.parametrize("package", ["tf-mot", "keras-cv"])
def test_the_backend_of_keras_3_makes_no_difference_installed_or_not(package: str, backend: str, legacy: str | None):
    report = compared("nothing", package, legacy=legacy, backend=backend)
    assert report["changed"] == []
    assert report["keras_cv on Keras 2"] == (package == "keras-cv")


@pytest.mark.slow
def test_the_comparison_sees_what_plain_imports_change():
    assert "environment" in compared("nothing", "tf-mot by a plain import")["changed"]
    assert "keras" in compared("nothing", "keras-cv by a plain import", legacy="1")["changed"]


RAND_AUGMENT = """
from hashlib import sha256
from dlth_tf.data import BatchFormat, BatchOrder, train_batches
from tests.data.conftest import RAW3, random_split

batches = train_batches(random_split(30, (8, 8, 3)), BatchOrder(6, 1, "x", steps=2), BatchFormat(RAW3, "randaugment"))
print(sha256(b"".join(images.numpy().tobytes() for images, _ in batches)).hexdigest())
"""


@pytest.mark.faults
def test_rand_augment_works_whatever_keras_the_process_has():
    use = BEFORE["tf.keras used"]
    digests = set()
    for code, legacy, backend in (
        (RAND_AUGMENT, "1", None),
        (use + RAND_AUGMENT + use, None, None),
        (RAND_AUGMENT, None, "jax"),
    ):
        done = run(code, legacy, backend)
        assert done.returncode == 0, done.stderr
        digests.add(done.stdout.splitlines()[-1])
    assert len(digests) == 1


REFUSED = """
import keras_cv
try:
    legacy_keras.import_keras_cv()
except Exception as error:
    print(type(error).__name__, error)
else:
    print("accepted")
"""


@pytest.mark.slow
def test_keras_cv_that_is_already_loaded_on_keras_3_is_refused_in_one_sentence():
    done = run(REFUSED)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("BadInput keras_cv=")
    assert "is already imported on Keras 3 in this process" in done.stdout
    assert "set TF_USE_LEGACY_KERAS=1 before importing keras_cv" in done.stdout


@pytest.mark.slow
def test_keras_cv_that_is_already_loaded_on_keras_2_is_used():
    done = run(REFUSED, legacy="1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "accepted"
