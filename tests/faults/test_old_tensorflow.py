"""Exports run in the oldest TensorFlow that is promised, in an environment of its own, with the outputs of the newest.

The environment is made by pip on the first run, in `.old-tensorflow/` of the checkout, and kept (1.5 GB).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import dlth_tf
from dlth_tf.data import Normalization
from tests.deploy.families import sparse_network

pytestmark = pytest.mark.faults
ROOT = Path(__file__).resolve().parents[2]
OLD = "2.12"
NEWEST_PYTHON = (3, 11)  # for which there are packages of it
FORMS = ("plain", "packed", "compact", "tflite_float32")
NETWORKS = {"lenet_300_100": "weight", "resnet8": "filter", "mobilenet_v1": "channel"}
CLIENT = """
import json, os, sys
import numpy as np, tensorflow as tf

folder = sys.argv[1]
images = np.load(os.path.join(folder, "probe.npz"))["input/images"]
found = {"version": tf.__version__}
for form in ("plain", "packed", "compact"):
    path = os.path.join(folder, form)
    loaded = tf.saved_model.load(path)
    found[form] = loaded.signatures["serving_default"](images=tf.constant(images))["logits"].numpy()
    if "image_bytes" in loaded.signatures:
        encoded = tf.constant([tf.io.encode_png(image).numpy() for image in images])
        found[form + ", encoded"] = loaded.signatures["image_bytes"](image_bytes=encoded)["logits"].numpy()
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        meta = tf.compat.v1.saved_model.load(session, ["serve"], path)
        signature = meta.signature_def["serving_default"]
        found[form + ", session"] = session.run(
            signature.outputs["logits"].name, {signature.inputs["images"].name: images}
        )
interpreter = tf.lite.Interpreter(os.path.join(folder, "tflite_float32", "float32.tflite"))
run = interpreter.get_signature_runner("serving_default")
found["tflite_float32"] = np.concatenate([run(images=image[None])["logits"] for image in images])
print(json.dumps({key: value if isinstance(value, str) else value.tolist() for key, value in found.items()}))
"""


@pytest.fixture(scope="module")
def old_python() -> Path:
    """The interpreter of an environment with the old TensorFlow."""
    if sys.version_info[:2] > NEWEST_PYTHON:
        pytest.skip(f"there is no TensorFlow {OLD} for Python {sys.version_info.major}.{sys.version_info.minor}")
    environment = ROOT / ".old-tensorflow"
    python = environment / "bin" / "python"
    done = environment / ".installed"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", environment], check=True)
        install = [python, "-m", "pip", "install", "-q", f"tensorflow-cpu=={OLD}.*"]
        installed = subprocess.run(install, capture_output=True, text=True, check=False)
        if installed.returncode:
            pytest.skip(f"pip cannot install TensorFlow {OLD}: {(installed.stderr.strip().splitlines() or ['?'])[-1]}")
        done.touch()
    return python


@pytest.mark.parametrize("name", NETWORKS)
def test_every_form_has_the_same_outputs_in_the_old_version(old_python, tmp_path, name):
    model, ticket = sparse_network(name, NETWORKS[name])
    channels = model.input_shape[-1]
    known = {
        "normalization": Normalization(1 / 255, (0.5,) * channels, (0.25,) * channels),
        "label_names": ("a", "b", "c"),
        "ticket": ticket,
        "image_bytes": True,
    }
    report = dlth_tf.export(model, tmp_path / "out", formats=FORMS, measure_latency=False, **known)
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    without = {key: value for key, value in quiet.items() if not key.startswith("PYTHON")}
    ended = subprocess.run(
        [old_python, "-I", "-c", CLIENT, tmp_path / "out"],
        env=without,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    assert found.pop("version").startswith(OLD) and not tf.__version__.startswith(OLD)
    with np.load(tmp_path / "out" / "probe.npz") as probe:
        expected = probe["output/logits"]
    scale = max(1, np.abs(expected).max())
    assert len(found) == 3 * 3 + 1 and np.ptp(expected) > 0
    for form, logits in found.items():
        allowed = report["forms"][form.split(",")[0]]["probe_tolerance"]
        assert np.abs(np.array(logits) - expected).max() <= allowed * scale, form
