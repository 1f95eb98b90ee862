"""The HParams table of a sweep: one line per run, read back as TensorBoard reads it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
from tensorboard.context import RequestContext
from tensorboard.data.provider import ListHyperparametersResult
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

from dlth_tf.runs import runner
from dlth_tf.runs.watching.tensorboard import SETTINGS, write_outcome
from tests.runs.tiny import TinyRuns, tiny

REQUEST = RequestContext()
NOTHING_ELSE = ListHyperparametersResult(hyperparameters=[], session_groups=[])


def table(logdir: Path) -> dict[str, tuple[dict[str, object], dict[str, float]]]:
    """Trial -> (hyperparameters, metrics), as the HParams tab lists them for `tensorboard --logdir`."""
    found = plugin_event_multiplexer.EventMultiplexer().AddRunsFromDirectory(str(logdir)).Reload()
    provider = data_provider.MultiplexerDataProvider(found, str(logdir))
    context = backend_context.Context(TBContext(logdir=str(logdir), data_provider=provider, multiplexer=found))
    experiment = context.experiment_from_metadata(
        REQUEST, "", True, context.hparams_metadata(REQUEST, ""), NOTHING_ELSE
    )
    wanted = [api_pb2.ColParams(metric=info.name) for info in experiment.metric_infos]
    wanted += [api_pb2.ColParams(hparam=info.name) for info in experiment.hparam_infos]
    request = api_pb2.ListSessionGroupsRequest(
        col_params=wanted,
        slice_size=100,
        allowed_statuses=list(api_pb2.Status.values()),
        aggregation_type=api_pb2.AGGREGATION_AVG,
    )
    groups = list_session_groups.Handler(REQUEST, context, "", request).run().session_groups
    return {
        group.name: (
            {name: getattr(value, value.WhichOneof("kind")) for name, value in group.hparams.items()},
            {value.name.tag: value.value for value in group.metric_values},
        )
        for group in groups
    }


def written(tiny_runs: TinyRuns, folder: Path, method: str, seed: int, accuracy: float) -> str:
    """The outcome of a run with that accuracy; returns its directory."""
    done = tiny_runs[method]
    config = dataclasses.replace(done.config, run_dir=str(folder / f"{method}-s{seed}"), seed=seed)
    write_outcome(config, {**done.result, "test": {**done.result["test"], "accuracy_last": accuracy}})
    return config.run_dir


def test_a_sweep_is_a_table_of_settings_and_outcomes(tmp_path, tiny_runs):
    first, second = written(tiny_runs, tmp_path, "rst", 0, 0.75), written(tiny_runs, tmp_path, "scratch", 1, 0.5)
    rows = table(tmp_path)
    assert set(rows) == {first, second}
    settings, outcome = rows[first]
    assert (settings["method"], settings["sparsity"], settings["seed"], settings["lr_values"]) == (
        "rst",
        0.9,
        0.0,
        "0.1,0.01,0.001",
    )
    assert set(settings) == set(SETTINGS)
    assert outcome["test_accuracy_last"] == 0.75 and rows[second][1]["test_accuracy_last"] == 0.5
    assert outcome["val_accuracy_last"] == pytest.approx(tiny_runs["rst"].result["val"]["accuracy_last"], abs=1e-6)


def test_a_run_writes_its_line_and_no_metric_of_its_epochs_gets_into_it(tmp_path):
    config = tiny("scratch", tmp_path / "run", epochs="1it", tensorboard=True)
    result = runner.run(config)
    ((settings, outcome),) = table(tmp_path).values()
    assert settings["method"] == "scratch" and set(outcome) == {"test_accuracy_last", "val_accuracy_last"}
    assert outcome["test_accuracy_last"] == pytest.approx(result["test"]["accuracy_last"], abs=1e-6)


def test_without_the_flag_there_is_none(tiny_runs):
    assert not (Path(tiny_runs["rst"].config.run_dir) / "tensorboard").exists() and not table(
        Path(tiny_runs["rst"].config.run_dir)
    )
