"""Measures what re-estimating the statistics of batch norms gains after the removal in a transformed network.

python scripts/batch_norm_study.py DIR    # the folder of the prepared data sets

Trains ResNet-8 on Fashion-MNIST by flags/fashion_mnist/resnet8/rst.flags, three seeds at each of two sparsities, about
20 minutes of CPU time. Between removal and finetuning the network is evaluated with the statistics that it has, and
with their means over 10,000 training images of the network as it is then; these are put back, so that the run ends as
it does without the study. Writes docs/results/transform_causes/batch_norm.json, of which scripts/causes_study.py makes
a table.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from absl import flags

from dlth_tf.commands import define_fields
from dlth_tf.flag_files import expanded
from dlth_tf.runs.config import RunConfig
from dlth_tf.tensorflow_start import start_tensorflow

ROOT = Path(__file__).resolve().parents[1]
FLAGS = ROOT / "flags" / "fashion_mnist" / "resnet8" / "rst.flags"
RESULT = ROOT / "docs" / "results" / "transform_causes" / "batch_norm.json"
SPARSITIES = (0.9, 0.98)
SEEDS = (0, 1, 2)
BATCHES, BATCH = 20, 500


def config_of(*changes: str) -> RunConfig:
    """Returns the run of the flagfile with some flags changed."""
    values = flags.FlagValues()
    define_fields(values, dataclasses.fields(RunConfig))
    values(["batch_norm_study", *expanded([f"--flagfile={FLAGS}"]), *changes])
    return RunConfig(**{field.name: values[field.name].value for field in dataclasses.fields(RunConfig)})


def reestimated(network: Any) -> dict[str, float]:
    """Evaluates a network with the means of its batches' statistics, and puts its own statistics back."""
    import tf_keras

    norms = [
        layer for layer in network.model._flatten_layers() if isinstance(layer, tf_keras.layers.BatchNormalization)
    ]
    own = [(variable, variable.numpy()) for layer in norms for variable in (layer.moving_mean, layer.moving_variance)]
    momenta = [layer.momentum for layer in norms]
    for number in range(BATCHES):
        for layer in norms:
            layer.momentum = number / (number + 1)  # the mean of all batches so far
        network.model(network.inputs.batch(f"statistics {number}", BATCH)[0], training=True)
    found: dict[str, float] = network.evaluate()
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
    for variable, value in own:
        variable.assign(value)
    return found


def study(config: RunConfig) -> dict[str, float]:
    """Trains a run, and returns its accuracies on validation images around the removal and at the end."""
    from dlth_tf.runs.runner import run
    from dlth_tf.runs.training_run import Observer

    found: dict[str, float] = {}

    class AfterRemoval(Observer):
        def on_phase_begin(self, phase: Any, network: Any) -> None:
            if phase.name == "finetune":
                found["before"] = network.before_removal["val_accuracy"]
                found["after"] = network.evaluate()["val_accuracy"]
                found["reestimated"] = reestimated(network)["val_accuracy"]

    result = run(config, observer=AfterRemoval())
    return {**found, "last": result["val"]["accuracy_last"], "test": result["test"]["accuracy_last"]}


def main(arguments: list[str]) -> None:
    """Runs the study, and writes its file after every run."""
    if len(arguments) != 1:
        raise SystemExit(__doc__)
    start_tensorflow()
    found: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as runs:
        for sparsity in SPARSITIES:
            for seed in SEEDS:
                changes = f"--sparsity={sparsity} --seed={seed} --verbosity=0 --data_dir={arguments[0]}"
                outcome = study(config_of(*changes.split(" "), f"--run_dir={runs}/{sparsity}-{seed}"))
                found.setdefault(f"{sparsity:g}", {})[str(seed)] = outcome
                RESULT.write_text(json.dumps(found, indent=1) + "\n")
                print(sparsity, seed, outcome, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
