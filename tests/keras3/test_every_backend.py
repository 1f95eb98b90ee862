"""The tests of this folder and the recorded traces, on the backends of Keras 3 other than that of this process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dlth_tf.onednn import VARIABLE

ROOT = Path(__file__).resolve().parents[2]
OTHERS = ("jax", "torch")
GOLDEN = "tests/golden/test_official_traces_keras3.py"
TRACES = f"{GOLDEN}::test_agrees_with_the_official_code_at_every_recorded_step"
SAME_SCORES = "test_scores_and_ticket_are_those_of_the_same_network_in_tf_keras"
# Of each kind one.
ONE_OF_EACH = (
    *(
        "tests/keras3/test_callbacks.py::test_every_callback_reaches_its_sparsity_and_zeros_hold",
        "tests/keras3/test_files.py",
    ),
    *("tests/keras3/test_seam.py::test_gradient_accumulation_takes_one_step_for_several_batches",),
    *("tests/keras3/test_seam.py::test_removed_weights_stay_zero_with_every_stock_optimizer",),
    *("tests/keras3/test_seam.py::test_the_step_is_compiled_anew_for_every_hook",),
    *("tests/keras3/test_models.py::test_what_is_prunable_and_that_it_stays_removed[transformer]",),
    "tests/keras3/test_export.py::test_a_transformed_model_is_exported_with_its_zeros",
    "tests/keras3/test_compaction.py::test_the_smaller_network_is_that_of_the_same_network_in_tf_keras[signals]",
    *(f"tests/keras3/test_scores.py::{SAME_SCORES}[{name}]" for name in ("snip", "synflow")),
    *(f"{TRACES}[{name}.f64-auto]" for name in ("o3_rst_x_conv", "o5_lth_iter2_mlp")),
)


def run(backend: str, *arguments: str) -> str:
    pytest.importorskip(backend, reason=f"{backend} is not installed: pip install 'dlth-tf[{backend}]'")
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)}
    environment.pop("PYTEST_XDIST_WORKER", None)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", *arguments]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-1000:]
    return ended.stdout


@pytest.mark.slow
@pytest.mark.parametrize("backend", OTHERS)
def test_one_of_each_kind(backend):
    run(backend, "-m", "not slow", *ONE_OF_EACH)


@pytest.mark.faults
@pytest.mark.parametrize("backend", OTHERS)
def test_everything(backend):
    run(backend, "tests/keras3", f"--ignore={__file__}")
    run(backend, "-m", "not slow", GOLDEN)


@pytest.mark.faults
@pytest.mark.parametrize("backend", OTHERS)
def test_every_trace_in_both_precisions_compiled_and_not(backend):
    run(backend, GOLDEN)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", *OTHERS])
def test_the_examples_of_the_page_run(backend, tmp_path):
    pytest.importorskip(backend)
    page = (ROOT / "docs" / "keras3.md").read_text()
    code = "\n".join(part.split("```")[0] for part in page.split("```python\n")[1:])
    code += "\nprint(round(float(np.mean(np.concatenate([mask.ravel() for mask in ticket.values()]))), 2))"
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert "50.00% by the ticket" in ended.stdout
    assert ended.stdout.splitlines()[-1] == "0.1"
    assert (tmp_path / "best.keras").exists()


WITHOUT_TENSORFLOW = """
import sys
import keras, numpy as np
import dlth_tf as dlth
from dlth_tf import masking, scores
layers = [keras.layers.Conv2D(8, 2, name="a"), keras.layers.Flatten(), keras.layers.Dense(2, name="b")]
model = keras.Sequential([keras.Input((2, 2, 1)), *layers])
model.compile(dlth.keras3.SGD(.1, momentum=.9), "mse")
rst = dlth.callbacks.RSTPenalty(step=.5, every=1, hold_steps=2)
both = [dlth.callbacks.RandomMask(.5, dense_layers="last"), rst]
model.fit(np.ones((8, 2, 2, 1)), np.ones((8, 2)), epochs=rst.epochs(1), verbose=0, callbacks=both)
model.compile(dlth.keras3.SGD(.1), "mse")
monitor = dlth.callbacks.SparsityMonitor("logs", histograms=True)
model.fit(np.ones((8, 2, 2, 1)), np.ones((8, 2)), verbose=0, callbacks=[dlth.callbacks.KeepMask(), monitor])
weights = {name: entry.weight for name, entry in masking.prunable_weights(model).items()}
found = scores.snip(model, weights, np.ones((8, 2, 2, 1), "float32"), np.arange(8) % 2)
assert found["b/kernel"].max() > 0
print(sorted(name for name in ("tensorflow", "tf_keras", "tensorflow_model_optimization") if name in sys.modules))
print(float((model.get_layer("a").kernel.numpy() == 0).mean()))
"""


@pytest.mark.fast_cases("jax")
@pytest.mark.parametrize("backend", OTHERS)
def test_a_fit_its_log_and_scores_on_another_backend_import_no_tensorflow(backend, tmp_path):
    pytest.importorskip(backend)
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)}
    environment.pop(VARIABLE, None)  # the hint at oneDNN is for models that compute with TensorFlow
    command = [sys.executable, "-c", WITHOUT_TENSORFLOW]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines() == ["[]", "0.5"]
    assert list((tmp_path / "logs" / "sparsity").glob("events*"))
