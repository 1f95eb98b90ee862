"""The network that a file describes is no larger than its weights: a few bytes of text do not take memory."""

from __future__ import annotations

import json
import os
import shutil
import tracemalloc
import zipfile
from pathlib import Path

import keras
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf.export as export_command
from dlth_tf.commands import BAD_INPUT, run_command
from dlth_tf.errors import BadInput
from dlth_tf.runs.exporting.keras_files import load_keras_model
from dlth_tf.runs.exporting.network_size import limited_variables
from tests.runs.tiny import as_flags

TOO_LARGE = BadInput("x", 1, "is too large")


def test_the_variable_above_the_limit_is_not_initialized():
    with pytest.raises(BadInput, match="is too large"), limited_variables(100, TOO_LARGE):
        layer = tf_keras.layers.Dense(5, use_bias=False, kernel_initializer=pytest.fail)
        tf_keras.layers.Dense(5, use_bias=False).build((None, 4))
        layer.build((None, 4))


def test_variables_up_to_the_limit_and_those_of_values_are_created():
    with limited_variables(100, TOO_LARGE):
        tf_keras.layers.Dense(5).build((None, 4))
        tf.Variable([1.0] * 99)


def test_other_errors_stay_themselves():
    with pytest.raises(ZeroDivisionError), limited_variables(100, TOO_LARGE):
        raise ZeroDivisionError


@pytest.mark.timeout(60)
@pytest.mark.parametrize("arguments", [{"width": 200}, {"width": 1e5}], ids=str)
def test_a_run_with_a_network_that_its_weights_are_not_of_is_one_line_at_once(tmp_path, tiny_runs, capsys, arguments):
    run_dir = Path(shutil.copytree(tiny_runs["rst"].config.run_dir, tmp_path / "run"))
    document = json.loads((run_dir / "config.json").read_text())
    document["config"] |= {"model": "lenet_300_100", "model_args": arguments}
    (run_dir / "config.json").write_text(json.dumps(document))
    argv = as_flags(run_dir=run_dir, export_dir=tmp_path / "out")
    assert run_command("dlth_tf.export", export_command.main, argv) == BAD_INPUT
    assert "its config.json describes a network of more than" in capsys.readouterr().err


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", [tf_keras, keras], ids=["tf_keras", "keras"])
def test_a_saved_model_whose_configuration_is_larger_than_its_weights_is_one_line(tmp_path, kind):
    kind.Sequential([kind.Input((3,)), kind.layers.Dense(2, name="a")]).save(tmp_path / "good.keras")
    assert load_keras_model(tmp_path / "good.keras").count_params() == 8
    with zipfile.ZipFile(tmp_path / "good.keras") as good, zipfile.ZipFile(tmp_path / "bad.keras", "w") as bad:
        for name in good.namelist():
            data = good.read(name)
            bad.writestr(name, data.replace(b'"units": 2', b'"units": 3000000000') if name == "config.json" else data)
    assert os.path.getsize(tmp_path / "bad.keras") < 100_000
    tracemalloc.start()
    with pytest.raises(BadInput, match="describes a network of more than"):
        load_keras_model(tmp_path / "bad.keras")
    assert tracemalloc.get_traced_memory()[1] < 2**26
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("kind", "layer"),
    [
        (tf_keras, tf_keras.layers.RepeatVector(10**9)),
        (tf_keras, tf_keras.Sequential([tf_keras.layers.RepeatVector(2**28 // 3 + 1)])),
        (keras, keras.layers.RepeatVector(10**9)),
        (keras, keras.Sequential([keras.layers.RepeatVector(2**28 // 3 + 1)])),
    ],
    ids=["plain", "nested", "keras", "keras nested"],
)
def test_a_layer_that_repeats_without_bound_is_one_line(tmp_path, kind, layer):
    images = kind.Input((3,))
    kind.Model(images, kind.layers.GlobalMaxPool1D()(layer(images))).save(tmp_path / "a.keras")
    with pytest.raises(BadInput, match="has more than 268,435,456 numbers for one example, and is only loaded"):
        load_keras_model(tmp_path / "a.keras")
    load_keras_model(tmp_path / "a.keras", trusted=True)


def test_a_batch_of_a_fixed_size_counts(tmp_path):
    tf_keras.Sequential([tf_keras.layers.Flatten(batch_input_shape=(10**9, 3))]).save(tmp_path / "a.keras")
    with pytest.raises(BadInput, match="has more than 268,435,456 numbers for one example"):
        load_keras_model(tmp_path / "a.keras")
