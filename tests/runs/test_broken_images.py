"""A run that comes upon an image that cannot be read names it, and goes on from its checkpoint once it is repaired."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlth_tf import train as train_command
from dlth_tf.commands import BAD_INPUT, run_command
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.training_run import Observer
from tests.data.sets.test_folder import folder
from tests.runs.tiny import TINY, as_flags, train

PICTURES = {**TINY, "batch_size": 10, "augment": "none", "normalization": "unit", "method": "scratch"}


class Breaking(Observer):
    """Breaks an image when the run begins to train, after everything that is checked before."""

    def __init__(self, image: Path) -> None:
        super().__init__()
        self.image = image

    def on_fit(self, phase, batches):
        self.image.write_bytes(b"")


def test_the_command_ends_with_one_line_that_names_the_image(tmp_path, capsys):
    name = f"folder:{folder(tmp_path / 'set', train=40, test=6)}@8"
    broken = tmp_path / "set" / "train" / "dog" / "011.jpg"
    broken.write_bytes(b"not an image")
    flags = as_flags(**{**PICTURES, "dataset": name, "run_dir": tmp_path / "run"})
    assert run_command("dlth_tf.train", train_command.main, flags) == BAD_INPUT
    (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
    assert line.startswith(f"dlth_tf.train: --dataset={name}: 1 of its 46 images cannot be read")
    assert f"{broken} (it is too short for an image)" in line


@pytest.mark.slow
@pytest.mark.parametrize("split", ["train", pytest.param("test", marks=pytest.mark.slow)])
def test_a_run_that_is_stopped_by_a_broken_image_is_resumed_when_it_is_repaired(tmp_path, split, monkeypatch):
    from dlth_tf.errors import BadInput
    from dlth_tf.runs import evaluation, runner

    monkeypatch.setattr(evaluation, "MOST_KEPT", 0)  # as for sets that do not fit, whose images are read at every epoch
    name = f"folder:{folder(tmp_path / 'set', train=40, test=6)}@8"
    shared = {**PICTURES, "dataset": name, "checkpoint_every": "1it", "steps_per_execution": 1}
    straight = train(RunConfig(**shared, run_dir=str(tmp_path / "straight")))
    image = tmp_path / "set" / split / "cat" / "000.jpg"
    content = image.read_bytes()
    config = RunConfig(**shared, run_dir=str(tmp_path / "run"))
    with pytest.raises(BadInput, match=rf"1 of its 46 images .*: {image} \(it is too short for an image\)$"):
        runner.run(config, observer=Breaking(image))
    assert not (tmp_path / "run" / "result.json").exists()
    image.write_bytes(content)
    assert train(config).result["weights_sha256"] == straight.result["weights_sha256"]
