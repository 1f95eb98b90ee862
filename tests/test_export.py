"""`python -m dlth_tf.export`: from a run or a sweep to a verified SavedModel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf
import tf_keras

import dlth_tf.export as command
from dlth_tf.commands import BAD_INPUT, DONE, FAILED, run_command
from tests.deploy.conftest import checked_here as checked_here
from tests.runs.tiny import as_flags, environment, listing


def ended(**values: object) -> int:
    return run_command("dlth_tf.export", command.main, as_flags(**values))


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_is_exported_and_described(here, capsys, tiny_runs):
    assert ended(run_dir=tiny_runs["rst"].config.run_dir, export_dir="out") == DONE
    said = capsys.readouterr()
    parameters = tiny_runs["rst"].result["parameters"]
    assert said.err == "" and f"{parameters['nonzero']:,} of {parameters['total']:,} parameters are nonzero" in said.out
    assert "alone, on 500 test images of digits:\nout/plain: outputs differ by at most " in said.out
    assert "Median milliseconds per call" in said.out  # --measure_latency is on
    loaded = tf.saved_model.load(str(here / "out" / "plain"))
    assert loaded.signatures["serving_default"].structured_input_signature[1]["images"] == tf.TensorSpec(
        (None, 8, 8, 1), tf.uint8, "images"
    )


@pytest.mark.usefixtures("checked_here")
def test_an_export_is_only_replaced_when_asked_to(here, capsys, tiny_runs):
    values = {"run_dir": tiny_runs["rst"].config.run_dir, "export_dir": "out", "measure_latency": False}
    assert ended(**values) == DONE
    before = listing(here)
    assert ended(**values) == BAD_INPUT
    assert (
        "--export_dir=out: already holds an export (plain); --overwrite (overwrite=True) replaces it"
        in capsys.readouterr().err
    )
    assert listing(here) == before
    assert ended(**values, overwrite=True) == DONE
    assert listing(here) != before


@pytest.mark.usefixtures("checked_here")
def test_a_sweep_gives_its_best_run_under_the_runs_name(here, capsys, tiny_runs):
    shutil.copytree(tiny_runs["rst"].config.run_dir, here / "sweep" / "rst-0.9-s0")
    assert ended(sweep_dir="sweep", sparsity=0.9, seed=0, measure_latency=False) == DONE
    assert os.listdir(here / "saved_models") == ["rst-0.9-s0"]
    said = capsys.readouterr().out
    assert "\nsaved_models/rst-0.9-s0/plain: " in said and "Median milliseconds" not in said


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({}, "--run_dir=(missing): exactly one of --run_dir, --sweep_dir and --keras_model is required"),
        (
            {"run_dir": "a", "sweep_dir": "b"},
            "--run_dir=a: exactly one of --run_dir, --sweep_dir and --keras_model is required",
        ),
        ({"run_dir": "nowhere"}, "--run_dir=nowhere: is not the directory of a complete run"),
        ({"keras_model": "file", "model": "x"}, "--model=x: is for --run_dir and --sweep_dir, not for --keras_model"),
        ({"keras_model": "file"}, "--keras_model=file: is not a model that tf_keras saved"),
        ({"keras_model": "file", "examples": "none.npz"}, "--examples=none.npz: there is no such file"),
        (
            {"keras_model": "file", "examples": "file", "dataset": "digits"},
            "--examples=file: cannot be combined with --dataset, which has examples of its own",
        ),
        ({"run_dir": "a", "examples": "file"}, "--examples=file: is for --keras_model, not for --run_dir"),
        ({"keras_model": "file", "labels": False}, "--labels=False: is for models with --dataset"),
        ({"sweep_dir": "nowhere"}, "--sweep_dir=nowhere: contains no complete run"),
        (
            {"run_dir": "complete", "formats": "coreml"},
            "--formats=coreml: must be one or more of plain, packed, compact, tflite",
        ),
        (
            {"run_dir": "complete", "formats": "plain,plain"},
            "--formats=plain: must be one or more of plain, packed, compact, tflite, tflite_float32, tflite_float16, "
            "tflite_int8, onnx, each at most once",
        ),
        ({"run_dir": "complete", "values": "int4"}, "--values=int4: must be one of float32, float16, bfloat16, int8"),
        ({"run_dir": "complete", "export_dir": "file/out"}, "--export_dir=file/out: cannot be written to"),
    ],
    ids=str,
)
def test_bad_input_is_one_line_and_nothing_is_written(values, line, here, capsys, tiny_runs):
    shutil.copytree(tiny_runs["rst"].config.run_dir, here / "complete")
    (here / "file").write_text("mine")
    before = listing(here)
    assert ended(**values) == BAD_INPUT
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith(f"dlth_tf.export: {line}") and said.err.count("\n") == 1
    assert listing(here) == before


WITHOUT_TENSORFLOW = """
import sys
import dlth_tf.export as command
from dlth_tf.commands import run_command

codes = [run_command("dlth_tf.export", command.main, line.split()) for line in sys.stdin]
print(codes, "tensorflow" in sys.modules)
"""


def test_flags_are_checked_before_tensorflow_loads(here, tiny_runs):
    run_dir = tiny_runs["rst"].config.run_dir
    wrong = [
        "seed=1",
        "ticket=x",
        "keras_model=x",
        "formats=coreml",
        "values=int8",
        "values=float16",
        "task=regression",
        "batch=0",
        "image_size=8x",
        "sweep_dir=.",
    ]
    lines = [*(f"--run_dir={run_dir} --{flag}" for flag in wrong), "--run_dir=nowhere", "--keras_model=nowhere"]
    lines.append("--keras_model=. --dataset=npz:")
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert ended.stdout == f"{[BAD_INPUT] * len(lines)} False\n", ended.stderr
    assert "--values=float16: is for the form packed, and the forms to write are plain" in ended.stderr


@pytest.mark.usefixtures("checked_here")
def test_the_run_directory_may_be_the_present_one(here, monkeypatch, tiny_runs):
    run_dir = shutil.copytree(tiny_runs["rst"].config.run_dir, here / "mine")
    monkeypatch.chdir(run_dir)
    assert ended(run_dir=".", measure_latency=False) == DONE
    assert (run_dir / "saved_models" / "mine" / "export.json").exists()


@pytest.mark.usefixtures("checked_here")
@pytest.mark.parametrize(
    ("saved", "name"), [("net_0.98", "net_0.98"), ("net.v2.keras", "net.v2"), ("net_0.95.h5", "net_0.95")]
)
def test_the_folder_of_a_saved_model_has_its_name_without_the_ending_of_a_file(here, saved, name):
    tf_keras.Sequential([tf_keras.Input((4,)), tf_keras.layers.Dense(2)]).save(here / saved)
    assert ended(keras_model=saved, measure_latency=False) == DONE
    assert os.listdir(here / "saved_models") == [name]


@pytest.mark.faults
def test_of_two_processes_that_export_into_one_directory_one_wins_and_the_other_is_refused(here, tiny_runs):
    run_dir = tiny_runs["rst"].config.run_dir
    flags = [f"--run_dir={run_dir}", "--export_dir=out", "--formats=plain,packed", "--nomeasure_latency"]
    command_line = [sys.executable, "-m", "dlth_tf.export"]
    started = [
        subprocess.Popen([*command_line, *flags], env=environment(), stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    lines = [process.communicate(timeout=600)[1] for process in started]
    codes = [process.returncode for process in started]
    assert sorted(codes) == [DONE, BAD_INPUT]
    assert "--export_dir=out: already holds an export (plain)" in lines[codes.index(BAD_INPUT)]
    assert os.listdir(here) == ["out"]
    checked = subprocess.run([*command_line, "--check", "out"], env=environment(), check=False)
    assert checked.returncode == DONE


@pytest.mark.usefixtures("checked_here")
def test_a_failed_verification_is_exit_code_1_and_leaves_nothing(here, capsys, tiny_runs):
    shutil.copytree(tiny_runs["rst"].config.run_dir, here / "run")
    for name in ("ticket.npz", "ticket.json"):
        shutil.copy(tiny_runs["lth"].directory.path / name, here / "run" / name)
    assert ended(run_dir="run", export_dir="out") == FAILED
    assert capsys.readouterr().err.splitlines()[-1].endswith("has nonzero weights that the ticket removes")
    assert os.listdir(here) == ["run"]
