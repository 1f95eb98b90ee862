"""network.json: a run directory alone is enough to export a network of one's own, and runs nothing unless trusted."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tf_keras

from dlth_tf import files, masking, models
from dlth_tf.errors import BadInput
from dlth_tf.registry import NoModule
from dlth_tf.runs.exporting import export_run as module
from dlth_tf.runs.exporting.export_run import export_run
from dlth_tf.runs.exporting.own_network import keras_config, save_own_network
from dlth_tf.runs.exporting.trust import Trust
from tests.runs.tiny import TinyRuns, environment, tiny, tiny_flags

NAME = "module_that_is_gone:net"
TRUSTED = Trust(everything=True)
NAMED = Trust(frozenset({NAME}))


def lenet(width: float = 0.1) -> tf_keras.Model:
    return models.build("lenet_300_100", (8, 8, 1), 10, 5, {"width": width})


@pytest.fixture
def run_dir(tmp_path: Path, tiny_runs: TinyRuns, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose module is gone, with a network.json; an export returns the digest of the network's weights."""
    copy = Path(shutil.copytree(tiny_runs["rst"].config.run_dir, tmp_path / "run"))
    document = json.loads((copy / "config.json").read_text())
    document["config"]["model"] = NAME
    files.write_json(copy / "config.json", document)
    describe(copy, keras=keras_config(lenet()))
    digest = lambda source, *_: {"sha256": files.arrays_sha256(masking.weight_arrays(source.model))}  # noqa: E731
    monkeypatch.setattr(module, "export_source", digest)
    return copy


def describe(run_dir: Path, **changes: Any) -> None:
    files.write_json(run_dir / "network.json", {"model": NAME, "folder": "/home/me/project", "keras": None, **changes})


def exported(run_dir: Path, trust: Trust) -> dict[str, Any]:
    return export_run(run_dir, run_dir.parent / "out", trust=trust)


def refusal(run_dir: Path, trust: Trust) -> str:
    with pytest.raises(BadInput) as refused:
        exported(run_dir, trust)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_trusted_directory_alone_gives_the_network_with_the_weights_of_the_run(run_dir, tiny_runs):
    assert exported(run_dir, TRUSTED) == {"sha256": tiny_runs["rst"].result["weights_sha256"]}


def test_a_name_that_the_command_repeats_is_no_trust_in_the_configuration(run_dir):
    missing = f"model={NAME}: there is no module module_that_is_gone: the folder that holds it must be the working "
    place = "directory or in PYTHONPATH; when the run was trained, it was /home/me/project"
    hint = "; with --trust_run, the layers in the run's network.json are used instead"
    assert refusal(run_dir, NAMED) == missing + place + hint
    describe(run_dir)  # of a network without a configuration
    assert refusal(run_dir, NAMED) == refusal(run_dir, TRUSTED) == missing + place
    (run_dir / "network.json").unlink()  # of an earlier version
    assert refusal(run_dir, TRUSTED) == missing + "directory or in PYTHONPATH"


def code(folder: Path) -> dict[str, Any]:
    """The configuration of a network with a lambda that leaves a file."""
    place = str(folder / "touched")
    touch = tf_keras.layers.Lambda(lambda x, place=place: (open(place, "w").close(), x)[1], name="touch")
    config = keras_config(tf_keras.Sequential([*lenet().layers, touch]))
    (folder / "touched").unlink()
    assert config is not None
    return config


def test_a_lambda_only_runs_in_a_directory_that_is_trusted(run_dir, tmp_path):
    describe(run_dir, keras=code(tmp_path))
    for trust in (Trust(), NAMED):
        refusal(run_dir, trust)
        assert not (tmp_path / "touched").exists()
    exported(run_dir, TRUSTED)
    assert (tmp_path / "touched").exists()


def test_a_class_is_only_imported_in_a_directory_that_is_trusted(run_dir, tmp_path, monkeypatch):
    (tmp_path / "hostile_canary.py").write_text("import pathlib\npathlib.Path(__file__).with_name('touched').touch()\n")
    monkeypatch.syspath_prepend(tmp_path)
    describe(run_dir, keras={"module": "hostile_canary", "class_name": "Net", "config": {}, "registered_name": "Net"})
    refusal(run_dir, NAMED)
    assert not (tmp_path / "touched").exists()
    assert "its network.json cannot be built (" in refusal(run_dir, TRUSTED)
    assert (tmp_path / "touched").exists()


@pytest.mark.fast_cases("another network", "a list", "not a model", "nonsense", "other widths")
@pytest.mark.parametrize(
    ("changes", "observed"),
    [
        ({"model": "other:net"}, f"its network.json is not that of --model={NAME}"),
        ({"keras": ["Dense"]}, f"its network.json is not that of --model={NAME}"),
        ({"keras": {"class_name": "Dense"}}, "its network.json is that of a dict, not a model"),
        ({"keras": {"class_name": "Sequential", "config": 3, "module": "keras"}}, "its network.json cannot be built ("),
        ({"keras": lambda: keras_config(lenet(0.2))}, "its weights.npz cannot be used"),
        ({"keras": lambda: keras_config(lenet(40))}, "describes a network of more than"),
    ],
    ids=["another network", "a list", "not a model", "nonsense", "other widths", "too large"],
)
def test_a_network_json_that_does_not_fit_is_refused_in_one_sentence(run_dir, changes, observed):
    describe(run_dir, **{name: value() if callable(value) else value for name, value in changes.items()})
    assert observed in refusal(run_dir, TRUSTED)


def test_a_file_that_is_not_json_is_refused(run_dir):
    (run_dir / "network.json").write_text('{"keras": ' + "[" * 100)
    assert "network.json is not valid JSON (" in refusal(run_dir, TRUSTED)


class Own(tf_keras.Model):
    def __init__(self, size: Any = object()) -> None:  # noqa: B008 (something that is not JSON)
        super().__init__()
        self.head = tf_keras.layers.Dense(size if isinstance(size, int) else 3)

    def call(self, images: Any) -> Any:
        return self.head(images)


class Configured(Own):
    def get_config(self) -> dict[str, Any]:
        return {"size": 3}


class Broken(Own):
    def get_config(self) -> dict[str, Any]:
        raise RuntimeError("not implemented")


@pytest.mark.parametrize(("build", "known"), [(Own, False), (Configured, True), (Broken, False)])
def test_a_subclassed_network_has_a_configuration_if_its_author_wrote_one(build: Callable[[], tf_keras.Model], known):
    config = keras_config(build())
    assert config == (config and {**config, "class_name": build.__name__, "config": {"size": 3}})
    assert (config is not None) == known


def test_only_a_network_of_the_users_own_is_described_with_the_folder_of_its_module(tmp_path, tiny_runs):
    save_own_network(tiny("rst", tmp_path), lenet(), directory := tiny_runs["rst"].directory)
    assert not directory.network.exists()
    config = tiny("rst", tmp_path, model=f"{__name__}:lenet", model_args="{}")
    save_own_network(config, lenet(), directory := type(directory)(tmp_path))
    facts = json.loads(directory.network.read_text())
    assert (facts["model"], facts["folder"]) == (config.model, str(Path(__file__).resolve().parents[3]))
    rebuilt = tf_keras.saving.deserialize_keras_object(facts["keras"])
    assert rebuilt.get_config() == lenet().get_config()


def test_the_error_of_a_missing_module_is_bad_input():
    with pytest.raises(NoModule, match="there is no module module_that_is_gone"):
        models.build(NAME, (8, 8, 1), 10, 0)


OWN = """
import tf_keras

@tf_keras.saving.register_keras_serializable()
class Centered(tf_keras.layers.Layer):
    def call(self, images):
        return images - 0.5

def net(image_shape, classes):
    x = inputs = tf_keras.Input(image_shape)
    x = tf_keras.layers.Lambda(lambda x: 2 * x, name="double")(x) if LAMBDA else Centered(name="center")(x)
    x = tf_keras.layers.Dense(8, "relu", name="hidden")(tf_keras.layers.Flatten(name="flat")(x))
    return tf_keras.Model(inputs, tf_keras.layers.Dense(classes, name="head")(x))
"""


def command(folder: Path, name: str, *flags: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", f"dlth_tf.{name}", *flags]
    return subprocess.run(
        words, cwd=folder, env=environment(), capture_output=True, text=True, timeout=200, check=False
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lambda", "class"])
def test_a_colleague_exports_a_run_without_the_module(kind, tmp_path):
    (tmp_path / "mine.py").write_text(f"LAMBDA = {kind == 'lambda'}\n{OWN}")
    trained = command(tmp_path, "train", *tiny_flags("scratch", tmp_path / "run", model="mine:net", model_args="{}"))
    assert trained.returncode == 0, trained.stderr
    there = tmp_path / "colleague"
    there.mkdir()
    flags = ["--run_dir=../run", "--trust_run", "--export_dir=out", "--nomeasure_latency"]
    ended = command(there, "export", *flags)
    if kind == "class":  # whose code is in the module that is not here
        assert ended.returncode == 2 and f"it was {tmp_path}\n" in ended.stderr, ended.stderr
        return
    assert ended.returncode == 0, ended.stderr
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert json.loads((there / "out/export.json").read_text())["weights_sha256"] == result["weights_sha256"]
