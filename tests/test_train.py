"""`python -m dlth_tf.train` from flags to exit code, in this process: its output, its errors and its files."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from dlth_tf import train
from dlth_tf.commands import BAD_INPUT, DONE, FAILED, run_command
from tests.deploy.conftest import checked_here as checked_here
from tests.runs import tiny
from tests.runs.tiny import as_flags, listing, tiny_flags

MODELS = """
import tensorflow as tf
import tf_keras

layers = tf_keras.layers

def net(image_shape, classes, units=4):
    inputs = tf_keras.Input(image_shape)
    x = layers.Dense(units, name="hidden")(layers.Flatten()(inputs))
    return tf_keras.Model(inputs, layers.Dense(classes, name="out")(x))

def too_few(image_shape, classes):
    return net(image_shape, classes - 1)

def nothing(image_shape, classes):
    pass

def raises(image_shape, classes):
    return helper(image_shape)

def helper(shape):
    raise ValueError("my own mistake\\nin two lines")
"""


def ended(*argv: str) -> int:
    return run_command("dlth_tf.train", train.main, argv)


def lines(capsys: pytest.CaptureFixture[str]) -> tuple[list[str], list[str]]:
    captured = capsys.readouterr()
    return captured.out.splitlines(), captured.err.splitlines()


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def their_models(tmp_path_factory, monkeypatch) -> str:
    folder = tmp_path_factory.mktemp("theirs")
    (folder / "their_nets.py").write_text(MODELS)
    monkeypatch.syspath_prepend(folder)
    return "their_nets"


BAD = [
    ({"sparsity": "1.0"}, "--sparsity=1.0: must be above 0 and below 1"),
    ({"sparsity": "-0.1"}, "--sparsity=-0.1: must be above 0 and below 1"),
    ({"sparsity": "abc"}, "--sparsity=abc: must be a number"),
    ({"method": "rts"}, "--method=rts: no such method; did you mean rst or grasp?"),
    ({"dataset": "digit"}, "--dataset=digit: no such dataset; did you mean digits"),
    ({"model": "lenet_300"}, "--model=lenet_300: no such model; did you mean lenet_300_100"),
    ({"data_dir": "nowhere"}, "--data_dir=nowhere: must be a directory that exists and can be read"),
    ({"penalty_step": "0"}, "--penalty_step=0.0: must be a finite number above 0"),
    ({"epochs": "0"}, "--epochs=0: must be a positive whole number of epochs (160ep) or steps (500it)"),
    ({"batch_size": "1098"}, "--batch_size=1098: must be at most 1097, the number of training images of digits"),
    ({"transform_batch_size": "2000"}, "--transform_batch_size=2000: must be at most 1097"),
    ({"lr_boundaries": "1"}, "--lr_boundaries=1: 1 boundaries do not fit 3 learning rates: give 2"),
    ({"lr_boundaries": "1ep,5it"}, "--lr_boundaries=1ep,5it: must be in increasing order"),
    ({"dense_layers": "conv*"}, "--dense_layers=conv*: matches no prunable layer"),
    ({"dense_layers": "fc*"}, "--dense_layers=fc*: leaves nothing to prune"),
    ({"model_args": '{"depth": 3}'}, "--model_args={'depth': 3}: lenet_300_100 does not take them: it takes width"),
    ({"model": "no_such_package:net"}, "--model=no_such_package:net: there is no module no_such_package"),
    ({"dataset": "no_such_package:data"}, "--dataset=no_such_package:data: there is no module no_such_package"),
    ({"run_dir": "file"}, "--run_dir=file: is a file, and must be a directory"),
    ({"run_dir": "file/run"}, "--run_dir=file/run: cannot be written to (Not a directory)"),
    ({"run_dir": "others"}, "--run_dir=others: contains other files but no config.json"),
    ({"export_dir": "exported"}, "--export_dir=exported: already holds an export (plain)"),
    ({"export_dir": "file"}, "--export_dir=file: is not a folder, and must be one that can be written to"),
]


@pytest.mark.parametrize(("changes", "line"), BAD, ids=lambda value: str(value)[:40])
def test_bad_input_is_one_line_and_exit_code_2_and_nothing_is_written(changes, line, here, capsys):
    (here / "file").write_text("mine")
    (here / "others").mkdir()
    (here / "others" / "thesis.tex").write_text("years of work")
    (here / "exported" / "plain").mkdir(parents=True)
    before = listing(here)
    assert ended(*tiny_flags("rst", "run"), *as_flags(**changes)) == BAD_INPUT
    out, err = lines(capsys)
    assert out == [] and len(err) == 1 and err[0].startswith(f"dlth_tf.train: {line}")
    assert listing(here) == before


def test_a_directory_of_another_configuration_is_refused(here, capsys, tiny_runs):
    done = tiny_runs["scratch"]
    before = listing(done.directory.path)
    assert ended(*tiny_flags("scratch", done.config.run_dir, seed=5)) == BAD_INPUT
    out, err = lines(capsys)
    assert (
        out == []
        and len(err) == 1
        and err[0].endswith("holds a run of another configuration: seed is 0 there and 5 here")
    )
    assert listing(done.directory.path) == before


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("too_few", "must return 10 logits per image, but its output has shape (None, 9)"),
        ("nothing", "must return a tf_keras.Model of Keras 2 (tf_keras), not builtins.NoneType"),
        ("none", "no such name in their_nets; did you mean net or nothing?"),
    ],
)
def test_a_dotted_path_to_no_model_is_refused(name, line, their_models, here, capsys):
    assert ended(*tiny_flags("rst", "run", model=f"{their_models}:{name}", model_args="{}")) == BAD_INPUT
    _, err = lines(capsys)
    assert len(err) == 1 and err[0].startswith(f"dlth_tf.train: --model={their_models}:{name}: ") and line in err[0]
    assert not os.listdir(here)


def test_an_exception_in_the_users_function_shows_their_traceback_and_not_ours(their_models, here, capsys):
    assert ended(*tiny_flags("rst", "run", model=f"{their_models}:raises", model_args="{}")) == BAD_INPUT
    out, err = lines(capsys)
    assert out == [] and not os.listdir(here)
    assert err[0] == "Traceback (most recent call last):"
    assert [line.split(", ")[-1] for line in err if "File " in line] == ["in raises", "in helper"]
    assert (
        err[-1] == f"dlth_tf.train: --model={their_models}:raises: failed with ValueError: my own mistake in two lines"
    )


def test_a_model_of_the_users_own_is_trained(their_models, here, capsys):
    argv = tiny_flags("scratch", "run", model=f"{their_models}:net", model_args='{"units": 6}', verbosity=1)
    assert ended(*argv) == DONE
    out, err = lines(capsys)
    assert err == [] and out[-1].startswith("scratch: test accuracy ")
    result = json.loads((here / "run" / "result.json").read_text())
    assert result["model"] == f"{their_models}:net"
    assert result["sparsity"]["per_tensor"] == {"hidden/kernel": 346 / 384, "out/kernel": 0.0}  # ceil(.9 * 64 * 6)


def test_a_complete_directory_says_so_and_is_left_alone(capsys, tiny_runs):
    done = tiny_runs["rst"]
    before = listing(done.directory.path)
    assert ended(*tiny_flags("rst", done.config.run_dir, verbosity=1)) == DONE
    out, err = lines(capsys)
    assert err == [] and len(out) == 2
    assert out[0] == f"{done.config.run_dir} is already complete with this configuration: nothing to do"
    accuracy = done.result["test"]["accuracy_last"]
    outcome = f"rst: test accuracy {accuracy:.2%}, 90.00% of the prunable weights removed"
    assert out[1] == f"{outcome}, {done.config.run_dir}/result.json"
    assert listing(done.directory.path) == before


def test_verbosity_0_prints_nothing_at_all(capsys, tiny_runs):
    assert ended(*tiny_flags("rst", tiny_runs["rst"].config.run_dir)) == DONE
    assert lines(capsys) == ([], [])


def test_dry_run_prints_phases_and_layers_and_writes_nothing(here, capsys):
    assert ended(*tiny_flags("rst", "run"), "--dry_run") == DONE
    out, err = lines(capsys)
    assert err == [] and not os.listdir(here)
    rows = [line.split() for line in out]
    assert ["transform", "9", "0.53", "576", "4.01e+06", "64", "0.001"] in rows
    assert ["finetune", "16", "2.00", "2048", "1.43e+07", "128", "0.1", "0.01@8", "0.001@12"] in rows
    layers = {row[0]: row for row in rows if row and row[0].startswith(("fc", "flatten"))}
    assert layers["fc1"][:7] == ["fc1", "Dense", "kernel", "64x30", "1920", "192", "pruned"]
    assert layers["fc3"][:7] == ["fc3", "Dense", "kernel", "10x10", "100", "100", "dense"]


TABLE = "a,b,label\n" + "".join(f"{number},{number * number % 7},{number % 2}\n" for number in range(200))


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ({"augment": "crop_flip"}, "is for uint8 images, and the examples of csv:ok.csv are float32[2]"),
        ({"augment": "mixup+cutout"}, "is for uint8 images"),
        ({"normalization": "imagenet"}, "is for uint8 images, and the examples are float32: use standard or none"),
        ({"normalization": "unit"}, "is for uint8 images"),
        ({"dataset": "digits", "normalization": "imagenet"}, "needs images with 3 channels, and these have 1"),
        ({"normalization": "standard"}, None),
        ({"dataset": "digits", "augment": "crop_flip"}, None),
    ],
    ids=str,
)
def test_dry_run_refuses_preparations_that_do_not_fit_the_data(option, line, here, capsys):
    (here / "ok.csv").write_text(TABLE)
    flags = {"dataset": "csv:ok.csv", "batch_size": 16, **option}
    assert ended(*tiny_flags("scratch", "run", **flags), "--dry_run") == (BAD_INPUT if line else DONE)
    _, err = lines(capsys)
    assert len(err) == bool(line) and (not line or line in err[0])
    if line:  # as the run itself
        assert ended(*tiny_flags("scratch", "run", **flags)) == BAD_INPUT and lines(capsys)[1] == err


@pytest.mark.parametrize(
    ("method", "allocation", "known"),
    [
        ("snip", None, False),
        ("lth", "global", False),
        ("snip", "uniform", True),
        ("lth", "erk", True),
        ("rst", "global", True),  # drawn from the initial network
        ("scratch", "global", True),
        ("rst_iter", "global", False),
    ],
)
def test_dry_run_tells_shares_by_layer_only_where_they_are_known(method, allocation, known, here, capsys):
    more = {} if allocation is None else {"allocation": allocation}
    assert ended(*tiny_flags(method, "run", **more), "--dry_run") == DONE
    rows = [line for line in lines(capsys)[0] if "pruned" in line.split()]
    assert len(rows) == 2 and all(("% by the ticket" in row) == known for row in rows)
    assert all(("its share is known once the ticket is drawn" in row) != known for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("pick", ["random", "magnitude"])
def test_shares_of_a_dry_run_are_those_of_the_run(pick, here, capsys):
    flags = tiny_flags("scratch", "run", allocation="global", ticket_pick=pick)
    assert ended(*flags, "--dry_run") == DONE
    told = {row.split()[0]: int(row.split()[5]) for row in lines(capsys)[0] if "pruned" in row.split()}
    assert ended(*flags) == DONE
    weights = np.load(here / "run" / "weights.npz")
    assert {name: int(np.count_nonzero(weights[f"{name}/kernel"])) for name in told} == told


@pytest.mark.parametrize("words", [["--dry_run"], pytest.param(["--verbosity=2"], marks=pytest.mark.slow)], ids=str)
def test_a_transformation_out_of_proportion_to_its_training_is_named_in_one_line(words, here, capsys):
    assert ended(*tiny_flags("rst", "run", transform_epochs=20), *words) == DONE
    out, err = lines(capsys)
    assert [line for line in out if "times as many examples" in line] == [
        "phase transform (340 steps) sees 11 times as many examples as a full training (--epochs): "
        "--transform_epochs=2 makes a transformation as long as that"
    ]
    assert err == []


def test_a_transformation_in_proportion_is_not_remarked_upon(here, capsys):
    assert ended(*tiny_flags("rst", "run", transform_epochs=18), "--dry_run") == DONE
    assert "times as many" not in capsys.readouterr().out


def test_dry_run_refuses_what_a_run_would(here, capsys):
    assert ended(*tiny_flags("rst", "run", batch_size=2000), "--dry_run") == BAD_INPUT
    assert len(lines(capsys)[1]) == 1


def test_a_run_that_fails_is_exit_code_1_and_can_be_told_from_a_complete_one(here, capsys):
    assert ended(*tiny_flags("dense", "run", lr_values="1e30")) == FAILED
    out, err = lines(capsys)
    sentence = "dlth_tf.train: failed with NotFinite: the loss is nan in phase train, one of the steps 1 to 8; "
    assert out == [] and err[-1].startswith(sentence)
    assert not (here / "run" / "result.json").exists()


@pytest.mark.usefixtures("checked_here")
def test_an_export_is_made_with_the_run_or_made_up_for_later(here, capsys, tiny_runs):
    done = tiny_runs["scratch"]
    argv = tiny_flags("scratch", done.config.run_dir, verbosity=1, export_dir="out")
    before = listing(done.directory.path)
    assert ended(*argv) == DONE
    assert lines(capsys)[0][-1] == "exported to out" and sorted(os.listdir(here / "out")) == [
        "README.md",
        "export.json",
        "plain",
        "probe.npz",
    ]
    after = listing(here / "out")
    assert ended(*argv) == DONE  # neither the run nor the export is repeated
    assert lines(capsys)[0][-1] == "already exported to out"
    assert listing(here / "out") == after and listing(done.directory.path) == before


def test_the_default_run_directory_says_what_is_in_it(here, capsys):
    argv = [
        flag for flag in tiny_flags("dense", "unused", epochs="1it", verbosity=1) if not flag.startswith("--run_dir")
    ]
    assert ended(*argv) == DONE
    assert os.listdir(here / "runs") == ["digits-lenet_300_100-dense-0-s0"]
    weights = np.load(here / "runs" / "digits-lenet_300_100-dense-0-s0" / "weights.npz")
    assert sum(weights[name].size for name in weights) == 2370
    assert lines(capsys)[0][-1].endswith("runs/digits-lenet_300_100-dense-0-s0/result.json")


def test_the_flags_of_these_tests_are_the_configuration_of_the_shared_runs():
    assert tiny.tiny("rst", "run").to_json()["epochs"] == "2ep" and "--deterministic=True" in tiny_flags("rst", "run")
