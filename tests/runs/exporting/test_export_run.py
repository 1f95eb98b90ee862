"""From a run directory to a SavedModel that TensorFlow alone can serve."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from dlth_tf import files
from dlth_tf.core import Ticket
from dlth_tf.errors import BadInput
from dlth_tf.export_options import ExportOptions, ServingOptions
from dlth_tf.methods import METHODS
from dlth_tf.runs.directory import RunDirectory
from dlth_tf.runs.exporting.best_run import Choice, best_run
from dlth_tf.runs.exporting.examples import without_home
from dlth_tf.runs.exporting.export_run import export_run, origin_of
from dlth_tf.runs.exporting.trust import Trust
from dlth_tf.runs.runner import run
from tests.deploy.conftest import checked_here as checked_here
from tests.deploy.conftest import checks_in_this_process
from tests.runs.tiny import EXAMPLES, TinyRuns, environment, tiny

BATCHES = (1, 7, 64)
FAST = ExportOptions(measure_latency=False)
# A process with TensorFlow alone: importing this package, Keras 2 or their dependencies fails.
ALONE = """
import sys

class Blocked:
    names = ("dlth_tf", "tf_keras", "tensorflow_model_optimization", "tensorflow_datasets", "keras_cv")
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.names:
            raise ImportError(name + " is not there")

sys.meta_path.insert(0, Blocked())
try:
    import dlth_tf
except ImportError:
    pass
else:
    sys.exit("the blocker does not block")
import numpy as np, tensorflow as tf

loaded = tf.saved_model.load(sys.argv[1])
images = dict(np.load(sys.argv[2]))
found = {f"variable{index}": variable.numpy() for index, variable in enumerate(loaded.network_variables)}
for batch, given in images.items():
    for name, value in loaded.signatures["serving_default"](images=tf.constant(given)).items():
        found[f"{batch}/{name}"] = value.numpy().astype(str) if value.dtype == tf.string else value.numpy()
np.savez(sys.argv[3], **found)
print(sorted(set(sys.modules) & set(Blocked.names)))
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory, tiny_runs: TinyRuns) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("exported")
    with checks_in_this_process(folder):  # `alone` loads it in a process of its own
        return folder, export_run(tiny_runs["rst"].config.run_dir, folder / "out", FAST)


@pytest.fixture(scope="module")
def images() -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    return {str(batch): draw.integers(0, 17, (batch, 8, 8, 1), dtype=np.uint8) for batch in BATCHES}


@pytest.fixture(scope="module")
def alone(exported, images) -> dict[str, np.ndarray]:
    folder, _ = exported
    np.savez(folder / "images.npz", **images)
    arguments = [str(folder / "out" / "plain"), str(folder / "images.npz"), str(folder / "outputs.npz")]
    without = {
        name: value for name, value in environment().items() if name not in ("PYTHONPATH", "TF_USE_LEGACY_KERAS")
    }
    ended = subprocess.run(
        [sys.executable, "-I", "-c", ALONE, *arguments],
        env=without,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (ended.returncode, ended.stdout) == (0, "[]\n"), ended.stderr
    return dict(np.load(folder / "outputs.npz"))


def by_hand(tiny_runs: TinyRuns, images: np.ndarray) -> np.ndarray:
    """The logits of the trained network in NumPy, from weights.npz alone."""
    weights = tiny_runs["rst"].weights
    x = images.reshape(len(images), -1).astype(np.float32) / 16
    for name in ("fc1", "fc2"):
        x = np.maximum(x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"], 0)
    return x @ weights["fc3/kernel"] + weights["fc3/bias"]


@pytest.mark.parametrize("batch", BATCHES)
def test_tensorflow_alone_gives_the_same_outputs(alone, images, exported, batch, tiny_runs):
    here = tf.saved_model.load(str(exported[0] / "out" / "plain")).signatures["serving_default"](
        images=tf.constant(images[str(batch)])
    )
    logits = by_hand(tiny_runs, images[str(batch)])
    for name in ("logits", "probabilities"):
        assert np.allclose(alone[f"{batch}/{name}"], here[name], rtol=0, atol=1e-6)
    assert np.allclose(alone[f"{batch}/logits"], logits, rtol=0, atol=1e-5)
    assert np.allclose(alone[f"{batch}/probabilities"].sum(1), 1, atol=1e-6)
    assert alone[f"{batch}/class"].tolist() == logits.argmax(1).tolist()
    assert alone[f"{batch}/label"].tolist() == [str(digit) for digit in logits.argmax(1)]
    assert not np.allclose(alone[f"{batch}/logits"], by_hand(tiny_runs, images[str(batch)] // 2), rtol=0, atol=1e-3)


def test_zeros_in_the_loaded_variables_are_the_tickets(alone, tiny_runs):
    done = tiny_runs["rst"]
    variables = [value for name, value in alone.items() if name.startswith("variable")]
    assert files.arrays_sha256(dict(zip(done.weights, variables, strict=True))) == done.result["weights_sha256"]
    ticket = Ticket.load(done.directory.ticket)
    assert (
        [int((~mask).sum()) for mask in ticket.values()]
        == [int((variables[index] == 0).sum()) for index in (0, 2)]
        == [1728, 270]
    )


def test_the_report_counts_what_the_run_counted(exported, tiny_runs):
    folder, report = exported
    assert (
        tiny_runs["rst"].result["parameters"].items()
        >= {name: report["parameters"][name] for name in ("total", "nonzero")}.items()
    )
    assert json.loads((folder / "out" / "export.json").read_text()) == report
    assert 0 <= report["forms"]["plain"]["max_difference"] < 1e-5


def test_it_is_compared_on_the_test_images_and_has_the_accuracy_of_the_run(exported, tiny_runs):
    _, report = exported
    compared, accuracy = report["verification"], tiny_runs["rst"].result["test"]["accuracy_last"]
    assert (compared["images"], compared["on"]) == (EXAMPLES["test"], "test images of digits")
    assert abs(compared["accuracy"] - accuracy) < 1e-6 and abs(report["forms"]["plain"]["accuracy"] - accuracy) < 1e-6


@pytest.mark.usefixtures("checked_here")
def test_a_limit_is_judged_on_the_validation_images(tmp_path, tiny_runs):
    options = ExportOptions(("plain",), measure_latency=False, min_agreement=1.0)
    report = export_run(tiny_runs["rst"].config.run_dir, tmp_path / "out", options)
    judged = report["forms"]["plain"]["validation"]
    assert (judged["images"], judged["on"]) == (EXAMPLES["validation"], "validation images of digits")
    assert abs(judged["accuracy"] - tiny_runs["rst"].result["val"]["accuracy_last"]) < 1e-6


@pytest.mark.fast_cases("rigl")
@pytest.mark.slow_cases("rst_iter", "lth", "small_dense", "early_bird", "snip", "gmp", "ste")
@pytest.mark.usefixtures("checked_here")
@pytest.mark.parametrize(
    "name", [n if n in ("small_dense", "rigl") else pytest.param(n, marks=pytest.mark.slow) for n in METHODS.names()]
)
def test_the_network_of_every_method_is_exported_with_the_accuracy_of_its_run(name, tmp_path, tiny_runs):
    done = tiny_runs[name]
    report = export_run(done.config.run_dir, tmp_path / "out", ExportOptions(("packed",), measure_latency=False))
    assert abs(report["forms"]["packed"]["accuracy"] - done.result["test"]["accuracy_last"]) < 1e-6
    assert report["parameters"]["total"] == done.result["parameters"]["total"]


def test_the_range_of_pixels_is_that_of_the_run(exported, tiny_runs):
    stated = json.loads(Path(tiny_runs["rst"].config.run_dir, "config.json").read_text())["data"]["value_range"]
    assert exported[1]["served"]["value_range"] == stated == 16
    assert "as they are stored (0 to 16)" in (exported[0] / "out" / "README.md").read_text()


@pytest.mark.parametrize("value", [0, -1, 2**40, "16", 1.5, None, [16]])
def test_a_range_that_is_none_is_refused(tmp_path, tiny_runs, value):
    run_dir = copied(tiny_runs, tmp_path)
    document = json.loads((run_dir / "config.json").read_text())
    document["data"]["value_range"] = value
    (run_dir / "config.json").write_text(json.dumps(document))
    assert "value_range must be a whole number from 1 to" in refusal(run_dir)


@pytest.mark.usefixtures("checked_here")
def test_without_the_data_set_it_is_compared_on_random_images(tmp_path, caplog, tiny_runs):
    run_dir = copied(tiny_runs, tmp_path)
    document = json.loads((run_dir / "config.json").read_text())
    document["config"]["dataset"] = "folder:nowhere"
    (run_dir / "config.json").write_text(json.dumps(document))
    with caplog.at_level("INFO", "dlth_tf"):
        report = export_run(run_dir, tmp_path / "out", FAST)
    assert (report["verification"]["on"], report["verification"]["accuracy"]) == ("random images", None)
    assert "the data set of the run is not available: dataset=folder:nowhere" in caplog.text


@pytest.mark.fast_cases(
    "{'strategy': 'multi_worker'}", "{'strategy': 'mirrored', 'num_replicas': 2, 'jit_compile': True}"
)
@pytest.mark.usefixtures("checked_here")
@pytest.mark.parametrize(
    "machine",
    [
        {"strategy": "tpu"},
        {"strategy": "multi_worker"},
        {"strategy": "mirrored", "num_replicas": 2, "jit_compile": True},
        {"jit_compile": True},
    ],
    ids=str,
)
def test_a_run_of_another_machine_is_exported_on_this_one(machine, tmp_path, tiny_runs):
    run_dir = copied(tiny_runs, tmp_path)
    document = json.loads((run_dir / "config.json").read_text())
    document["config"] |= machine
    (run_dir / "config.json").write_text(json.dumps(document))
    report = export_run(run_dir, tmp_path / "out", FAST)
    assert report["origin"]["weights_sha256"] == tiny_runs["rst"].result["weights_sha256"]


@pytest.mark.parametrize("name", ["rst", "rigl"])
def test_no_saved_weight_is_a_negative_zero(name, tiny_runs):
    weights = tiny_runs[name].weights
    assert not any(np.signbit(value[value == 0]).any() for value in weights.values())
    assert any((value == 0).any() for key, value in weights.items() if key.endswith("kernel"))


SUBCLASSED = """
import tf_keras

class Custom(tf_keras.Model):
    def __init__(self, classes):
        super().__init__()
        self.flat = tf_keras.layers.Flatten()
        self.hidden = tf_keras.layers.Dense(8, "relu", name="hidden")
        self.head = tf_keras.layers.Dense(classes, name="head")

    def call(self, images):
        return self.head(self.hidden(self.flat(images)))

def build(image_shape, classes):
    return Custom(classes)
"""


@pytest.mark.usefixtures("checked_here")
@pytest.mark.slow
def test_a_subclassed_network_of_the_users_trains_ends_and_exports(tmp_path, monkeypatch):
    (tmp_path / "networks_of_the_user.py").write_text(SUBCLASSED)
    monkeypatch.syspath_prepend(tmp_path)
    network = {"model": "networks_of_the_user:build", "model_args": "{}", "epochs": 1, "deterministic": False}
    config = tiny("rst", tmp_path / "run", **network)
    result = run(config)
    named = Trust(frozenset({network["model"]}), False)
    options = ExportOptions(("plain", "packed"), measure_latency=False)
    report = export_run(tmp_path / "run", tmp_path / "out", options, named)
    assert run(config) == result and result["sparsity"]["prunable"] > 0.8
    ticket = Ticket.load(tmp_path / "run" / "ticket.npz")
    assert report["parameters"]["removed"] == sum(int((~mask).sum()) for mask in ticket.values()) > 0


def copied(tiny_runs: TinyRuns, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_runs["rst"].config.run_dir, tmp_path / "run"))


def refusal(run_dir: Path) -> str:
    with pytest.raises(BadInput) as refused:
        export_run(run_dir, run_dir.parent / "out")
    assert not (run_dir.parent / "out").exists() and "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("name", ["config.json", "weights.npz", "ticket.npz", "result.json"])
def test_an_incomplete_run_is_refused(name, tmp_path, tiny_runs):
    run_dir = copied(tiny_runs, tmp_path)
    (run_dir / name).unlink()
    assert f"is not the directory of a complete run (it lacks {name})" in refusal(run_dir)


def test_a_directory_that_does_not_exist_is_refused(tmp_path):
    assert "is not the directory of a complete run (there is no such directory)" in refusal(tmp_path / "nowhere")


def test_a_config_that_is_not_a_runs_is_refused(tmp_path, tiny_runs):
    run_dir = copied(tiny_runs, tmp_path)
    (run_dir / "config.json").write_text('{"config": {"depth": 3}}')
    assert "its config.json is not that of a run" in refusal(run_dir)


def test_tampered_weights_are_refused(tmp_path, tiny_runs):
    run_dir, weights = copied(tiny_runs, tmp_path), tiny_runs["rst"].weights
    weights["fc3/bias"] = weights["fc3/bias"] + 1
    (run_dir / "weights.npz").write_bytes(files.npz_bytes(weights))
    assert "its weights.npz does not match the digest in its result.json" in refusal(run_dir)


@pytest.mark.parametrize("damage", ["cut", "missing", "shape", "dtype"])
def test_weights_of_another_form_are_refused(damage, tmp_path, tiny_runs):
    run_dir, weights = copied(tiny_runs, tmp_path), tiny_runs["rst"].weights
    if damage == "missing":
        del weights["fc3/bias"]
    if damage == "shape":
        weights["fc1/kernel"] = weights["fc1/kernel"].T
    if damage == "dtype":
        weights["fc1/kernel"] = weights["fc1/kernel"].astype(np.float64)
    data = files.npz_bytes(weights)
    (run_dir / "weights.npz").write_bytes(data[: len(data) // 2] if damage == "cut" else data)
    assert "its weights.npz cannot be used" in refusal(run_dir)


@pytest.mark.usefixtures("checked_here")
def test_the_ticket_of_another_run_is_refused_by_its_zeros(tmp_path, tiny_runs):
    run_dir = copied(tiny_runs, tmp_path)
    for name in ("ticket.npz", "ticket.json"):
        (run_dir / name).write_bytes((tiny_runs["lth"].directory.path / name).read_bytes())
    with pytest.raises(RuntimeError, match="has nonzero weights that the ticket removes"):
        export_run(run_dir, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_forged_ticket_is_refused(tmp_path, tiny_runs):
    run_dir = copied(tiny_runs, tmp_path)
    (run_dir / "ticket.npz").write_bytes((run_dir / "ticket.npz").read_bytes()[::-1])
    assert "is not a valid ticket" in refusal(run_dir)


def sweep(tiny_runs: TinyRuns, folder: Path, *runs: tuple[str, float, int, float]) -> Path:
    """Run directories with only a result.json, from (method, sparsity, seed, validation accuracy)."""
    for method, sparsity, seed, accuracy in runs:
        result = tiny_runs["rst"].result
        result |= {"method": method, "seed": seed, "sparsity": {**result["sparsity"], "target": sparsity}}
        result["val"]["accuracy_last"], result["test"]["accuracy_last"] = accuracy, 1 - accuracy
        run_dir = folder / f"{method}-{sparsity:g}-s{seed}"
        run_dir.mkdir()
        files.write_json(run_dir / "result.json", result)
    return folder


def test_best_run_goes_by_validation_and_never_by_test_accuracy(tmp_path, tiny_runs):
    folder = sweep(
        tiny_runs, tmp_path, ("rst", 0.9, 0, 0.5), ("rst", 0.9, 1, 0.8), ("rst", 0.95, 0, 0.7), ("lth", 0.9, 0, 0.9)
    )
    assert best_run(folder, Choice("rst")) == folder / "rst-0.9-s1"
    assert best_run(folder, Choice("lth")) == folder / "lth-0.9-s0"


def test_among_equals_the_sparsest_then_the_first_seed_is_best(tmp_path, tiny_runs):
    folder = sweep(tiny_runs, tmp_path, ("rst", 0.9, 0, 0.8), ("rst", 0.95, 2, 0.8), ("rst", 0.95, 1, 0.8))
    assert best_run(folder, Choice("rst")) == folder / "rst-0.95-s1"


def test_a_method_without_a_run_is_refused(tmp_path, tiny_runs):
    folder = sweep(tiny_runs, tmp_path, ("rst", 0.9, 0, 0.5))
    with pytest.raises(BadInput, match=r"method=lth: has no complete run in .*; there are rst"):
        best_run(folder, Choice("lth"))


def test_sparsity_and_seed_choose_within_a_sweep(tmp_path, tiny_runs):
    folder = sweep(
        tiny_runs, tmp_path, ("rst", 0.9, 0, 0.8), ("rst", 0.9, 1, 0.5), ("rst", 0.95, 2, 0.9), ("lth", 0.98, 3, 1.0)
    )
    assert best_run(folder, Choice("rst", sparsity=0.9)) == folder / "rst-0.9-s0"
    assert best_run(folder, Choice("rst", seed=1)) == folder / "rst-0.9-s1"
    for choice, there in [(Choice("rst", sparsity=0.98), "0.9, 0.95"), (Choice("rst", 0.9, seed=2), "0, 1")]:
        with pytest.raises(BadInput, match=rf"has no complete run of rst in .*; there are {there}$"):
            best_run(folder, choice)


@pytest.mark.usefixtures("checked_here")
def test_labels_may_be_left_out_and_the_run_is_named_without_the_folders_above(tmp_path, monkeypatch, tiny_runs):
    run_dir = copied(tiny_runs, tmp_path)
    report = export_run(run_dir, tmp_path / "out", FAST, served=ServingOptions(labels=False))
    serve = tf.saved_model.load(str(tmp_path / "out" / "plain")).signatures["serving_default"]
    assert set(serve.structured_outputs) == {"logits", "probabilities", "class"}
    assert report["origin"]["run_dir"] == run_dir.name
    monkeypatch.chdir(tmp_path.parent)
    assert without_home(run_dir) == f"{tmp_path.name}/{run_dir.name}"
    result = run_dir / "result.json"
    result.write_text(json.dumps({**json.loads(result.read_text()), "dataset": "folder:/home/me/pictures"}))
    assert origin_of(RunDirectory(run_dir), 0.9)["dataset"] == "folder:pictures"
