"""Runs on a user's own numbers: a table with classes, a regression, tokens; what they write, and what is exported."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf import sweep
from dlth_tf.analysis.pages.run_page import write_run_report
from dlth_tf.analysis.report import write_report
from dlth_tf.commands import DONE, run_command
from dlth_tf.errors import BadInput
from dlth_tf.export import describe
from dlth_tf.export_options import ExportOptions, ServingOptions
from dlth_tf.runs.dry_run import dry_run
from dlth_tf.runs.exporting.export_run import export_run
from dlth_tf.runs.exporting.trust import Trust
from dlth_tf.runs.inputs import load_inputs
from dlth_tf.runs.runner import run

SHORT: dict[str, Any] = {
    "model": "mlp",
    "model_args": '{"hidden": [16]}',
    "method": "rst",
    "sparsity": 0.5,
    "epochs": 2,
    "batch_size": 16,
    "transform_batch_size": 16,
    "transform_epochs": 2,
    "lr": 0.05,
    "verbosity": 0,
}
QUICK = ExportOptions(("packed",), measure_latency=False)


def table(regression: bool) -> pd.DataFrame:
    """Twenty columns of very different sizes, of which the first two decide."""
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 20))
    answer = x[:, 0] - x[:, 1]
    frame = pd.DataFrame(x * 10.0 ** np.arange(-3, 1).repeat(5) + 5, columns=[f"f{number}" for number in range(20)])
    return frame.assign(label=answer if regression else np.where(answer > 0, "yes", "no"))


@pytest.fixture(scope="module")
def regressed(tmp_path_factory: pytest.TempPathFactory) -> dlth.RunConfig:
    folder = tmp_path_factory.mktemp("regression")
    table(regression=True).to_csv(folder / "t.csv", index=False)
    config = dlth.RunConfig(
        dataset=f"csv:{folder / 't.csv'}", task="regression", run_dir=str(folder / "sweep/run"), **SHORT
    )
    run(config)
    return config


def test_a_regression_is_measured_by_its_error(regressed: dlth.RunConfig) -> None:
    result = json.loads(Path(regressed.run_dir, "result.json").read_text())
    assert result["task"] == "regression" and 1 < result["target_variance"] < 4
    assert result["test"]["mse_last"] == result["test"]["loss_last"] >= result["test"]["mse_best"] > 0
    assert not any("accuracy" in name for name in [*result["test"], *result["val"]])
    history = pd.read_csv(Path(regressed.run_dir, "history.csv"))
    assert {"mse", "val_mse", "test_mse"} <= set(history) and "accuracy" not in history
    np.testing.assert_allclose(history["test_mse"], history["test_loss"])


def test_reports_on_a_regression_speak_of_its_error(regressed: dlth.RunConfig) -> None:
    root = Path(regressed.run_dir).parent
    assert write_report(root).results["test_mse_last"].notna().all()
    texts = [(root / name).read_text() for name in ("table.md", "report.html", "verdict.json", "results.csv")]
    page = write_run_report(regressed.run_dir).page
    for text in [*texts, page.read_text()]:
        assert "accuracy" not in text
    assert "Test mean squared error (lower is better)" in texts[0] and '"metric": "test.mse_last"' in texts[2]
    assert (root / "mse_vs_sparsity.png").exists() and not (root / "accuracy_vs_sparsity.png").exists()


@pytest.mark.slow
def test_a_served_regression_takes_raw_columns_and_returns_predictions(
    regressed: dlth.RunConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = export_run(regressed.run_dir, tmp_path / "export", QUICK, Trust.of(regressed))
    assert report["verification"]["on"] == "test examples of csv:t.csv"
    serve = tf.saved_model.load(str(tmp_path / "export/packed")).signatures["serving_default"]
    data = dlth.load_dataset(regressed.dataset, task="regression")
    predicted = next(iter(serve(images=tf.constant(data.test.images)).values())).numpy()
    error = np.square(predicted - data.test.labels).mean()
    result = json.loads(Path(regressed.run_dir, "result.json").read_text())
    assert error == pytest.approx(result["test"]["mse_last"], rel=1e-4)
    assert report["verification"]["mse"] == pytest.approx(error, rel=1e-4)
    assert report["forms"]["packed"]["mse"] == pytest.approx(error, rel=1e-4)
    assert report["verification"]["accuracy"] is report["forms"]["packed"]["accuracy"] is None
    card = (tmp_path / "export/README.md").read_text()
    assert f"| mean squared error of the Keras model on them | {error:.4g} |" in card and "accuracy" not in card
    describe(report, tmp_path / "export")
    printed = capsys.readouterr().out
    assert f"mean squared error of the Keras model on them: {error:.4g}" in printed and "accuracy" not in printed
    assert re.search(
        rf"packed: outputs differ by at most .*, mean squared error {error:.4g}", " ".join(printed.split())
    )
    with pytest.raises(BadInput, match="task=classifier: is for classes"):
        export_run(regressed.run_dir, tmp_path / "other", QUICK, served=ServingOptions(task="classifier"))


@pytest.mark.slow
def test_a_file_that_a_run_names_is_only_opened_if_the_user_names_it(
    regressed: dlth.RunConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copy = Path(shutil.copytree(regressed.run_dir, tmp_path / "run"))
    report = export_run(copy, tmp_path / "export", QUICK)
    assert report["verification"]["on"] == "random images"
    assert "names a file outside of the run (--dataset=csv:" in caplog.text and "--trust_run" in caplog.text
    assert str(tmp_path.parent) not in json.dumps(report["origin"])


@pytest.mark.slow
def test_tokens_reach_a_network_of_ones_own_as_integers(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    tokens = random.integers(0, 4000, (120, 6))
    np.savez(tmp_path / "t.npz", x=tokens, y=(tokens[:, 0] > 2000).astype(int))
    config = dlth.RunConfig(
        **{**SHORT, "model": f"{__name__}:reader", "model_args": "{}", "method": "dense", "epochs": 1},
        dataset=f"npz:{tmp_path / 't.npz'}",
        precision="mixed_bfloat16",
        run_dir=str(tmp_path / "run"),
    )
    assert 0 <= run(config)["test"]["accuracy_last"] <= 1
    report = export_run(config.run_dir, tmp_path / "export", QUICK, Trust.of(config))
    assert report["served"]["inputs"]["images"] == {"dtype": "int32", "shape": [None, 6]}


def reader(shape: tuple[int, ...], classes: int) -> tf_keras.Model:
    x = inputs = tf_keras.Input(shape, dtype="int32", name="tokens")
    x = tf_keras.layers.Embedding(4000, 8, name="embedding")(x)
    x = tf_keras.layers.GlobalAveragePooling1D(name="pool")(x)
    return tf_keras.Model(inputs, tf_keras.layers.Dense(classes, name="logits")(x))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "resnet8", "model_args": "{}"}, "needs images of shape"),
        ({"augment": "crop_flip"}, "augment=crop_flip: is for uint8 images, and the examples of csv:"),
        ({"normalization": "unit"}, "normalization=unit: is for uint8 images, and the examples are float32"),
        ({"task": "classification"}, "give --task=regression"),
    ],
)
def test_what_does_not_fit_a_table_is_one_sentence_and_writes_nothing(
    regressed: dlth.RunConfig, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    options = {**SHORT, "dataset": regressed.dataset, "task": "regression", **changes}
    with pytest.raises(BadInput) as refused:
        run(dlth.RunConfig(**options, run_dir=str(tmp_path / "run")))
    assert message in str(refused.value) and not (tmp_path / "run").exists()


def test_labels_of_a_regression_are_not_mixed() -> None:
    with pytest.raises(BadInput, match="cannot be combined with --task=regression"):
        dlth.RunConfig(**SHORT, dataset="csv:t.csv", task="regression", augment="mixup")
    with pytest.raises(BadInput, match="must be one of classification, regression"):
        dlth.RunConfig(**SHORT, dataset="csv:t.csv", task="ranking")


def test_a_dry_run_plans_a_table(regressed: dlth.RunConfig) -> None:
    phases, _, source = dry_run(regressed)
    assert [phase["phase"] for phase in phases] == ["transform", "finetune"] and source == "the data"


@pytest.mark.slow
def test_one_command_compares_methods_on_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    table(regression=False).to_csv("table.csv", index=False)
    flags = [f"--{name}={value}" for name, value in SHORT.items() if name not in ("method", "sparsity", "verbosity")]
    more = ["--dataset=csv:table.csv", "--methods=dense,rst", "--sparsities=0.5", "--seeds=0", "--sweep_dir=s"]
    assert run_command("dlth_tf.sweep", sweep.main, [*flags, *more]) == DONE
    results = write_report("s").results
    assert sorted(results["method"]) == ["dense", "rst"] and results["test_accuracy_last"].between(0, 1).all()


def test_a_trial_is_evaluated_on_a_sample_and_trained_on_everything(regressed: dlth.RunConfig) -> None:
    whole, part = (
        load_inputs(dataclasses.replace(regressed, eval_examples=count, run_dir="unused")) for count in (None, 10)
    )
    assert len(part.data.test) == len(part.data.validation) == 10 and part.examples == whole.examples
    assert part.to_json()["examples"]["test"] == 10


@pytest.mark.slow
@pytest.mark.parametrize("method", ["snip", "grasp", "synflow", "early_bird", "lth_long", "rigl"])
def test_other_methods_learn_a_regression(method, regressed, tmp_path):
    config = dataclasses.replace(regressed, method=method, epochs=6, run_dir=str(tmp_path / method))
    result = run(config)
    assert result["sparsity"]["target"] == 0.5 and result["sparsity"]["prunable"] == pytest.approx(0.5, abs=0.01)
    assert result["test"]["mse_last"] < 0.9 * result["target_variance"]
