"""Directories that a process has left unfinished, or that another process has used in the meantime."""

from __future__ import annotations

import json

import filelock
import pytest

from dlth_tf.errors import BadInput
from dlth_tf.runs import runner
from dlth_tf.runs.directory import RunDirectory
from tests.runs.tiny import listing, tiny


def test_what_a_process_leaves_that_was_killed_before_config_json_is_free(tmp_path):
    for name in (".lock", ".config.json.abcd_123.part"):
        (tmp_path / name).write_text("{")
    config = tiny("scratch", tmp_path)
    RunDirectory(tmp_path).refuse_other_runs(config)
    with RunDirectory(tmp_path).open(config, {}):
        assert set(listing(tmp_path)) == {".lock", "config.json"}
    (tmp_path / "config.json").unlink()
    (tmp_path / "thesis.part").write_text("years of work")
    with pytest.raises(BadInput, match="contains other files"):
        RunDirectory(tmp_path).refuse_other_runs(config)


@pytest.mark.parametrize(
    ("seed", "reason"),
    [(1, "another configuration: seed is 1 there and 0 here"), (0, "just completed by another process")],
)
def test_what_another_process_did_in_the_meantime_is_not_overwritten(seed, reason, tmp_path, tiny_runs):
    """It ran between the first check of this process and its lock."""
    with RunDirectory(tmp_path).open(tiny("scratch", tmp_path, seed=seed), {}):
        (tmp_path / "result.json").write_bytes(tiny_runs["scratch"].directory.result.read_bytes())
    before = listing(tmp_path)
    with pytest.raises(BadInput, match=reason):
        RunDirectory(tmp_path).open(tiny("scratch", tmp_path), {})
    assert listing(tmp_path) == before
    filelock.FileLock(tmp_path / ".lock").acquire(timeout=0)  # a refused process does not keep it


def test_a_run_that_began_with_other_examples_is_refused_and_stays_as_it_is(tmp_path):
    config = tiny("scratch", tmp_path)
    with RunDirectory(tmp_path).open(config, {"sha256": "ab"}):
        (tmp_path / "checkpoints").mkdir()
    with RunDirectory(tmp_path).open(config, {"sha256": "ab"}):
        before = listing(tmp_path)
    with pytest.raises(BadInput, match=r"began with other examples: those of digits have changed since"):
        RunDirectory(tmp_path).open(config, {"sha256": "cd"})
    assert listing(tmp_path) == before


def test_a_run_of_a_version_that_did_not_record_its_examples_goes_on(tmp_path):
    config = tiny("scratch", tmp_path)
    with RunDirectory(tmp_path).open(config, {}):
        pass
    with RunDirectory(tmp_path).open(config, {"sha256": "cd"}):
        assert json.loads((tmp_path / "config.json").read_text())["data"] == {"sha256": "cd"}


@pytest.mark.slow
def test_a_table_that_changes_while_its_run_is_stopped_is_noticed(tmp_path):
    def table(places: int) -> None:
        rows = [f"{index},{index % 7},{(index // 10 + places) % 2}" for index in range(120)]
        (tmp_path / "mine.csv").write_text("\n".join(["a,b,label", *rows]))

    options = {"dataset": f"csv:{tmp_path / 'mine.csv'}", "model": "mlp", "model_args": "{}", "batch_size": 8}
    config = tiny("scratch", tmp_path / "run", **options)
    table(0)
    inputs, *_ = runner.prepare(config)
    RunDirectory(tmp_path / "run").open(config, inputs.to_json()).release()
    table(1)
    with pytest.raises(BadInput, match="began with other examples"):
        runner.run(config)
    table(0)
    assert runner.run(config)["test"]


@pytest.mark.parametrize("text", ["{}", '{"config": []}', '{"config": null}'])
def test_a_config_json_without_a_configuration_is_refused(text, tmp_path):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(BadInput, match=r"its config\.json does not contain a configuration"):
        runner.run(tiny("scratch", tmp_path))


def test_a_result_json_without_a_result_is_refused(tmp_path, tiny_runs):
    (tmp_path / "config.json").write_bytes(tiny_runs["scratch"].directory.config.read_bytes())
    (tmp_path / "result.json").write_text('{"test": {}}')
    with pytest.raises(BadInput, match=r"its result\.json lacks sparsity, phases, weights_sha256"):
        runner.run(tiny("scratch", tmp_path))
