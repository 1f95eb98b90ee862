"""The plan of a sweep directory: one recipe, to which methods, sparsities and seeds may be added."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dlth_tf import sweep
from dlth_tf.analysis.planned_runs import missing_runs
from dlth_tf.analysis.settings import WHERE_ONLY
from dlth_tf.commands import BAD_INPUT, DONE, FAILED, run_command
from dlth_tf.errors import BadInput
from dlth_tf.sweeps.grid import make_grid
from dlth_tf.sweeps.plan import OF_A_RUN, write_plan
from tests.runs.tiny import TINY, as_flags, listing

SHARED = {name: value for name, value in TINY.items() if name not in ("sparsity", "verbosity")}


def plan(folder: Path, methods: str = "scratch,rst", sparsities: str = ".9", seeds: str = "0", **changes: Any) -> dict:
    """Plans a sweep like the command, and returns the content of plan.json."""
    write_plan(
        make_grid(methods, sparsities, seeds, str(folder), {**SHARED, **changes}),
        str(folder),
        changes.get("allocation"),
    )
    return json.loads((folder / "plan.json").read_text())


def begin(folder: Path, methods: str = "rst", sparsities: str = ".9", seeds: str = "0", **changes: Any) -> None:
    """Begins runs of a sweep: they have written their configuration."""
    for run in make_grid(methods, sparsities, seeds, str(folder), {**SHARED, **changes}):
        Path(run.run_dir).mkdir()
        Path(run.run_dir, "config.json").write_text(json.dumps({"config": run.to_json()}))


def names(content: dict) -> list[str]:
    return [run["run_dir"] for run in content["runs"]]


def test_the_recipe_has_what_all_runs_share_and_changes_their_outcome(tmp_path):
    recipe = plan(tmp_path)["recipe"]
    assert recipe["epochs"] == "2ep" and recipe["hold_steps"] == "3it"
    assert not {*OF_A_RUN, *WHERE_ONLY} & set(recipe)


@pytest.mark.parametrize(
    ("changes", "added"),
    [
        ({"seeds": "0,1"}, ["scratch-0.9-s1", "rst-0.9-s1"]),
        ({"seeds": "2"}, ["scratch-0.9-s2", "rst-0.9-s2"]),
        ({"methods": "snip"}, ["snip-0.9-s0"]),  # whose default allocation is another one
        ({"methods": "dense", "sparsities": None}, ["dense-s0"]),
        ({"sparsities": ".5"}, ["scratch-0.5-s0", "rst-0.5-s0"]),
        ({"epochs": "2ep", "hold_steps": "3", "model_args": '{"width":0.1}'}, []),  # the same in another form
        ({"allocation": "uniform"}, []),
        ({"data_dir": "elsewhere", "checkpoint_every": "1ep", "tensorboard": True}, []),
    ],
    ids=str,
)
def test_runs_are_added_to_those_of_the_earlier_plan(changes, added, tmp_path):
    earlier = plan(tmp_path)
    later = plan(tmp_path, **changes)
    assert names(later) == [*names(earlier), *added] and later["recipe"] == earlier["recipe"]
    assert later["methods"] == list(dict.fromkeys(["scratch", "rst", *(run["method"] for run in later["runs"])]))
    assert [run.run_dir for run in missing_runs(tmp_path)] == names(later)
    assert plan(tmp_path) == later


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"seeds": "2", "epochs": "8"}, "epochs is 2ep there and 8ep here"),
        ({"sparsities": ".5", "batch_size": "32"}, "batch_size is 128 there and 32 here"),
        ({"methods": "lth", "model": "mlp", "model_args": "{}"}, "model is lenet_300_100 there and mlp here"),
        ({"methods": "dense", "granularity": "filter"}, "granularity is weight there and filter here"),
        ({"methods": "scratch", "seeds": "1", "allocation": "erk"}, "allocation is uniform there and erk here"),
        ({"methods": "snip", "allocation": "uniform"}, "allocation is global there and uniform here"),
    ],
    ids=str,
)
@pytest.mark.parametrize("dry_run", ["false", "true"])
def test_another_recipe_is_refused_in_one_line_that_names_flag_and_values(
    dry_run, changes, difference, tmp_path, capsys
):
    plan(tmp_path)
    begin(tmp_path)
    before = listing(tmp_path)
    flags = {**SHARED, "methods": "scratch,rst", "sparsities": ".9", "seeds": "0", **changes}
    words = as_flags(**flags, sweep_dir=tmp_path, dry_run=dry_run)
    assert run_command("dlth_tf.sweep", sweep.main, words) == BAD_INPUT
    said = capsys.readouterr()
    assert difference in said.err and said.err.count("\n") == 1 and said.out == ""
    assert said.err.startswith(f"dlth_tf.sweep: --sweep_dir={tmp_path}: holds runs of another recipe")
    assert listing(tmp_path) == before


def test_an_allocation_that_was_given_counts_for_every_method(tmp_path):
    plan(tmp_path, allocation="erk")
    begin(tmp_path, allocation="erk")
    plan(tmp_path, methods="snip", allocation="erk")
    with pytest.raises(BadInput, match="allocation is erk there and global here"):
        plan(tmp_path, methods="snip")


@pytest.mark.parametrize("began", [True, False])
def test_a_plan_of_an_earlier_version_has_the_recipe_of_its_runs(began, tmp_path):
    earlier = plan(tmp_path)
    del earlier["recipe"]
    (tmp_path / "plan.json").write_text(json.dumps(earlier))
    if began:
        begin(tmp_path)
        with pytest.raises(BadInput, match="epochs is 2ep there and 3ep here"):
            plan(tmp_path, seeds="1", epochs=3)
    later = plan(tmp_path, methods="rst,snip", seeds="0,1")
    assert names(later) == [*names(earlier), "rst-0.9-s1", "snip-0.9-s0", "snip-0.9-s1"]
    assert later["recipe"]["epochs"] == "2ep" and later["recipe"]["allocation"] is None


def test_a_recipe_that_no_run_has_begun_is_replaced(tmp_path):
    plan(tmp_path, batch_size=2048, seeds="0,1")
    (tmp_path / "failures.json").write_text('{"rst-0.9-s1": "BadInput: batch_size=2048"}')
    later = plan(tmp_path, methods="scratch", batch_size=64)
    assert names(later) == ["scratch-0.9-s0"] and later["methods"] == ["scratch"]
    assert later["recipe"]["batch_size"] == 64 and [run.reason for run in missing_runs(tmp_path)] == [""]
    begin(tmp_path, methods="scratch", batch_size=64)
    with pytest.raises(BadInput, match="batch_size is 64 there and 32 here"):
        plan(tmp_path, methods="scratch", batch_size=32)


@pytest.mark.slow
def test_a_sweep_whose_first_command_was_wrong_begins_with_the_right_one(tmp_path, capsys):
    def swept(**changes: Any) -> int:
        flags = {**SHARED, "methods": "scratch", "sparsities": ".9", "sweep_dir": tmp_path, **changes}
        return run_command("dlth_tf.sweep", sweep.main, as_flags(**flags))

    assert swept(batch_size=2048) == FAILED and "must be at most" in capsys.readouterr().err
    assert swept() == DONE and not (tmp_path / "failures.json").exists()


@pytest.mark.parametrize("recipe", [[], "uniform", None])
def test_a_recipe_that_is_none_is_refused(recipe, tmp_path):
    content = {**plan(tmp_path), "recipe": recipe}
    (tmp_path / "plan.json").write_text(json.dumps(content))
    with pytest.raises(BadInput, match=r"plan\.json is not a valid plan: its recipe must be an object"):
        plan(tmp_path)


@pytest.mark.slow
def test_a_finished_sweep_is_continued_with_another_seed_and_reported_as_one(tmp_path, capsys):
    def swept(**changes: Any) -> int:
        flags = {**SHARED, "methods": "scratch", "sparsities": ".9", "sweep_dir": tmp_path, **changes}
        return run_command("dlth_tf.sweep", sweep.main, as_flags(**flags))

    assert swept(seeds="0") == swept(seeds="0,1") == swept(seeds="1") == DONE
    assert swept(seeds="2", epochs=3) == BAD_INPUT
    assert len(list(tmp_path.glob("*/result.json"))) == 2
    assert [entry["seed"] for entry in json.loads((tmp_path / "plan.json").read_text())["runs"]] == [0, 1]
