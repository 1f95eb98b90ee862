"""Recipes of the paper's experiments: their values, and a quick twin of each that runs on synthetic images."""

from __future__ import annotations

import dataclasses
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds
from absl import flags

from dlth_tf.commands import define_fields
from dlth_tf.flag_files import expanded
from dlth_tf.methods import METHODS, LearningRate
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.plan import make_recipe
from dlth_tf.runs.runner import run
from tests.data.conftest import real_data_dir as real_data_dir
from tests.data.pictures import jpeg, prepare

ROOT = Path(__file__).resolve().parents[1]
PAPER = ("cifar10_resnet56", "cifar100_resnet56", "imagenet200_resnet18")


def read(*words: str) -> RunConfig:
    """Returns the configuration of a command line."""
    values = flags.FlagValues()
    define_fields(values, dataclasses.fields(RunConfig))
    values(["train", *expanded(words)])
    return RunConfig(**{field.name: values[field.name].value for field in dataclasses.fields(RunConfig)})


@pytest.mark.parametrize("folder", PAPER)
def test_there_is_a_recipe_for_every_method_and_all_share_their_base(folder, monkeypatch):
    monkeypatch.chdir(ROOT)
    configs = {name: read(f"--flagfile=flags/{folder}/{name}.flags") for name in METHODS.names()}
    assert {name: config.method for name, config in configs.items()} == {name: name for name in METHODS.names()}
    own = {"method", "sparsity", "allocation", "run_dir", "cycles", "penalty_every", "hold_steps", "round_epochs"}
    shared = [{key: value for key, value in config.to_json().items() if key not in own} for config in configs.values()]
    assert all(values == shared[0] for values in shared)


def test_the_recipe_of_cifar_is_the_published_one(monkeypatch):
    monkeypatch.chdir(ROOT)
    config = read("--flagfile=flags/cifar10_resnet56/rst.flags")
    assert (config.epochs, config.batch_size, config.momentum, config.weight_decay) == ("200ep", 128, 0.9, 5e-4)
    one_step_per_epoch = make_recipe(config, examples=128)
    assert one_step_per_epoch.learning_rate == LearningRate((0.1, 0.01, 0.001), (100, 150))
    assert (config.transform_lr, config.transform_batch_size) == (0.001, 64)
    assert config.penalty(1).steps == 89_996  # the official one-shot protocol
    iterative = read("--flagfile=flags/cifar10_resnet56/rst_iter.flags")
    assert (iterative.cycles, iterative.penalty(1).steps) == (5, 20_000)


def made_up(name: str, folder: Path) -> str:
    """Writes a few small images in the file format of the data set that a recipe names."""
    draw = np.random.default_rng(0)
    if name.startswith("imagenet"):
        pictures = [jpeg(colour, 20, 30) for colour in range(0, 256, 16)]

        def photograph(split: str, number: int) -> dict[str, Any]:
            return {
                "image": io.BytesIO(pictures[number % 16]),
                "label": number % 1000,
                "file_name": f"{split}_{number}.JPEG",
            }

        return prepare("imagenet2012", folder, {"train": 2000, "validation": 1000}, photograph)
    features = tfds.builder(name, data_dir=folder).info.features
    classes, shape = features["label"].num_classes, features["image"].shape

    def example(split: str, number: int) -> dict[str, Any]:
        values = {"image": draw.integers(0, 256, shape, dtype=np.uint8), "label": number % classes}
        return {**{other: "x" if other == "id" else 0 for other in features if other not in values}, **values}

    return prepare(name, folder, {"train": 200, "test": 100}, example)


@pytest.mark.slow_cases("cifar100_resnet56-lth_iter", "fashion_mnist-lth_iter")
@pytest.mark.parametrize(
    ("folder", "method"),
    [
        ("cifar10_resnet56", "rst"),
        pytest.param("fashion_mnist", "lth_iter", marks=pytest.mark.slow),
        pytest.param("fashion_mnist", "resnet8/rst_iter", marks=pytest.mark.slow),
        pytest.param("cifar100_resnet56", "lth_iter", marks=pytest.mark.slow),
        pytest.param("imagenet200_resnet18", "rst_iter", marks=pytest.mark.slow),
    ],
)
def test_the_quick_twin_of_a_recipe_runs(folder, method, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    data = made_up(folder.removesuffix("_resnet56").removesuffix("_resnet18"), tmp_path / "data")
    files = [f"--flagfile=flags/{folder}/{name}.flags" for name in (method, "quick")]
    result = run(read(*files, f"--data_dir={data}", f"--run_dir={tmp_path / 'run'}", "--verbosity=0", "--sparsity=.5"))
    assert result == json.loads((tmp_path / "run" / "result.json").read_text())
    assert abs(result["sparsity"]["prunable"] - 0.5) < 1e-3


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.timeout(1200)
def test_rst_on_fashion_mnist_reaches_what_its_header_expects(real_data_dir, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    name = "flags/fashion_mnist/rst.flags"
    expected = float(re.search(r"([\d.]+) % at \.98", Path(name).read_text())[1])
    result = run(
        read(f"--flagfile={name}", f"--data_dir={real_data_dir}", f"--run_dir={tmp_path / 'run'}", "--verbosity=0")
    )
    assert result["sparsity"]["target"] == 0.98
    # Less than three standard deviations over seeds below the mean.
    assert 100 * result["test"]["accuracy_last"] > expected - 1.5


@pytest.mark.parametrize(
    ("folder", "method"),
    [
        *(("fashion_mnist", method) for method in ("dense", "scratch", "scratch_long", "lth_iter", "rst", "rst_iter")),
        *(("fashion_mnist/resnet8", method) for method in ("dense", "scratch", "lth_iter", "rst", "rst_iter")),
    ],
)
def test_the_table_of_fashion_mnist_and_the_methods_own_files_are_the_same_runs(method, folder, monkeypatch):
    monkeypatch.chdir(ROOT)
    names = re.search(r"--methods=(\S+)", Path(f"flags/{folder}/table.flags").read_text())[1].split(",")
    assert (
        (method in names)
        == Path(f"flags/{folder}/{method}.flags").exists()
        == ((folder, method) != ("fashion_mnist/resnet8", "scratch_long"))
    )
    if method not in names:
        return
    config = read(f"--flagfile=flags/{folder}/{method}.flags")
    assert config.method == method and config.sparsity == (0.0 if method == "dense" else 0.98)
    assert config.penalty(843) == read(f"--flagfile=flags/{folder}/rst.flags").penalty(843)


@pytest.mark.faults
def test_the_small_dense_networks_of_the_deployment_study_see_as_many_images_as_the_transformed_ones(monkeypatch):
    monkeypatch.chdir(ROOT)
    images = {}
    for name in ("deploy", "deploy_small_dense", "deploy_weights"):
        words = ["-m", "dlth_tf.sweep", f"--flagfile=flags/fashion_mnist/{name}.flags", "--dry_run"]
        done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)
        images |= {
            (name, method): int(seen.replace(",", ""))
            for method, seen in re.findall(r"(\w+) +9 +\S+ +(\S+)", done.stdout)
        }
    assert images["deploy", "rst"] == images["deploy_weights", "rst"]
    assert abs(images["deploy_small_dense", "small_dense"] / images["deploy", "rst"] - 1) < 1e-3
