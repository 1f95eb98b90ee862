"""Pages of results stand on committed results: they are written anew from these and must not change."""

from __future__ import annotations

import importlib
import json
import re
import shutil
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "results"


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    return importlib.import_module("length_study")


@pytest.fixture
def causes(study: ModuleType) -> ModuleType:
    return importlib.import_module("causes_study")


def test_every_number_of_the_length_study_comes_from_its_committed_results(study: ModuleType) -> None:
    assert study.PAGE.read_text() == study.write_page(study.committed())
    for name in study.committed():
        assert study.PARTS[name].plot.stat().st_size < 300_000


def test_the_length_study_names_flagfiles_and_folders_that_exist(study: ModuleType, causes: ModuleType) -> None:
    page = study.PAGE.read_text()
    for part in study.PARTS.values():
        assert part.flagfiles[0] == "reference" and len(part.flagfiles) > 3
        for name in part.flagfiles:
            flags = causes.flags_of(study.FLAGS / part.flags / f"{name}.flags")
            assert flags["sweep_dir"] == f"runs/{part.sweeps}/{name}"
            assert name == "reference" or flags["transform_epochs"] == f"{study.steps_of(name)}it"
        assert (f"flags/{part.flags}/$name.flags" in page) == part.results.is_dir()


def test_the_readme_quotes_intervals_of_the_page() -> None:
    readme = (ROOT / "README.md").read_text()
    paragraph = " ".join(readme[readme.index("**On real images**") :].split("\n\n")[0].split())
    quoted = re.findall(r"-?\d+\.\d\d \[-?\d+\.\d\d, -?\d+\.\d\d\]", paragraph)
    assert len(quoted) == 6
    pages = [(RESULTS / f"{name}.md").read_text() for name in ("transform_fresh_seeds", "transform_length")]
    assert all(any(numbers in page for page in pages) for numbers in quoted)


def test_another_result_changes_the_page(study: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in study.committed():
        shutil.copytree(study.PARTS[name].results, tmp_path / name)
    monkeypatch.setattr(study, "DOCS", tmp_path)
    assert study.PAGE.read_text() == study.write_page(study.committed())
    for name in study.committed():
        changed = min((tmp_path / name).glob("*.rst-*.result.json"))
        right = changed.read_text()
        result = json.loads(right)
        result["test"]["accuracy_last"] -= 0.01
        changed.write_text(json.dumps(result))
        assert study.PAGE.read_text() != study.write_page(study.committed())
        changed.write_text(right)


def test_results_are_small_whole_and_of_the_runs_that_their_names_say(study: ModuleType, causes: ModuleType) -> None:
    for name in study.committed():
        part = study.PARTS[name]
        paths = sorted(part.results.glob("*.result.json"))
        assert paths
        for path in paths:
            result = json.loads(path.read_text())
            sweep, _, run = path.name.partition(".")
            flags = causes.flags_of(study.FLAGS / part.flags / f"{sweep}.flags")
            assert path.stat().st_size < 5_000
            assert run == f"{result['method']}-{result['sparsity']['target']:g}-s{result['seed']}.result.json"
            assert result["sparsity"]["target"] == float(flags["sparsities"])
            assert result["method"] in flags["methods"] and str(result["seed"]) in flags["seeds"]
            assert 0 <= result["test"]["accuracy_last"] <= 1 and result["weights_sha256"]


def test_every_number_of_the_causes_comes_from_committed_results(causes: ModuleType) -> None:
    assert causes.PAGE.read_text() == causes.write_page(*causes.read())


def test_another_result_changes_the_causes(causes: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in causes.RESULTS.glob("*.result.json"):
        (tmp_path / path.name).write_text(path.read_text())
    changed = min(tmp_path.glob("*@rst-*.result.json"))
    result = json.loads(changed.read_text())
    result["test"]["accuracy_last"] -= 0.01
    changed.write_text(json.dumps(result))
    monkeypatch.setattr(causes, "RESULTS", tmp_path)
    assert causes.PAGE.read_text() != causes.write_page(*causes.read())


def test_results_of_causes_are_those_of_flagfiles(causes: ModuleType) -> None:
    paths = sorted(causes.RESULTS.glob("*.result.json"))
    assert paths
    for path in paths:
        name, _, run = path.name.partition("@")
        result = json.loads(path.read_text())
        flags = causes.flags_of(causes.FLAGS / f"{name}.flags")
        assert path.stat().st_size < 5_000
        assert run.startswith(f"{result['method']}-{result['sparsity']['target']:g}-s{result['seed']}.")
        assert result["method"] in flags["methods"].split(",")
        assert str(result["seed"]) in flags["seeds"].split(",")


def test_headers_of_causes_give_the_figures_of_the_committed_results(causes: ModuleType, study: ModuleType) -> None:
    reference, experiments = causes.read()
    assert {item.name for item in experiments} == {path.stem for path in causes.FLAGS.glob("*.flags")}
    for experiment in experiments:
        header = (causes.FLAGS / f"{experiment.name}.flags").read_text()
        for method, runs in experiment.runs.items():
            assert f" {method} {study.cell(study.accuracies(runs)).replace('±', '+-')}" in header
        for method in ("rst", "lth"):
            mean = study.cell(study.accuracies(reference.runs[method])).replace("±", "+-")
            assert f"{mean} for {method}" in header


def test_the_shrinkage_of_an_experiment_is_that_of_its_flags(causes: ModuleType) -> None:
    flags = {
        "penalty_schedule": "x",
        "penalty_step": ".5",
        "penalty_every": "2",
        "penalty_limit": "1",
        "hold_steps": "3",
        "transform_lr": ".1",
    }
    lambdas = [0.5, 0.5, 1.0, 1.0, 1.5, 1.5, 1.5, 1.5]  # grows until it is above 1, then is held for 3 more steps
    assert causes.Experiment("any", "?", flags, {}).shrinkage == pytest.approx(0.1 * sum(lambdas))
    flags = {"penalty_schedule": "x", "transform_epochs": "9it", "transform_lr": ".1"}
    assert 0.5 < causes.Experiment("any", "?", flags, {}).shrinkage < 0.1 * 9 * 1.2


def test_a_cause_of_two_methods_is_compared_with_its_own_controls(causes: ModuleType) -> None:
    reference, experiments = causes.read()
    page = causes.write_page(reference, experiments)
    for experiment in experiments:
        for method in set(experiment.runs) - {"rst"}:
            assert f"| {experiment.name} | {method} |" in page


def test_statistics_of_batch_norms_are_those_of_the_committed_file(
    causes: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = {"before": 0.9, "after": 0.7, "reestimated": 0.75, "last": 0.85, "test": 0.84}
    monkeypatch.setattr(causes, "RESULTS", tmp_path)
    assert causes._batch_norms() == []
    (tmp_path / "batch_norm.json").write_text(json.dumps({"0.9": {"0": run, "1": {**run, "reestimated": 0.77}}}))
    row = causes._batch_norms()[-2]
    assert [cell.split(" ±")[0].strip() for cell in row.split("|")[1:-1]] == [
        "0.9",
        "90.0",
        "70.0",
        "76.0",
        "6.0",
        "85.0",
    ]


@pytest.fixture
def sweeps(study: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script for pages of sweeps, which writes into a folder of the test."""
    module = importlib.import_module("sweep_study")
    monkeypatch.setattr(module, "DOCS", tmp_path)
    return module


def test_pages_of_sweeps_come_from_committed_results(sweeps: ModuleType, tmp_path: Path) -> None:
    committed = [name for name in sweeps.STUDIES if (RESULTS / name / "plan.json").is_file()]
    for name in committed:
        shutil.copytree(RESULTS / name, tmp_path / name)
        assert (RESULTS / f"{name}.md").read_text() == sweeps.write(sweeps.STUDIES[name])
    assert sorted(name for name in sweeps.STUDIES if (RESULTS / f"{name}.md").exists()) == sorted(committed)


def test_headers_of_sweeps_give_the_figures_of_their_pages(sweeps: ModuleType) -> None:
    for study in sweeps.STUDIES.values():
        page, header = RESULTS / f"{study.name}.md", (ROOT / "flags" / study.flagfile).read_text()
        table = page.read_text().split("| --- |", 1)[1].split("\n\n", 1)[0] if page.exists() else ""
        for row in table.splitlines()[1:]:
            method, *cells = (cell.strip(" *") for cell in row.strip("|").split("|"))
            line = re.search(rf"^# .*\b{method} +\d.*", header, re.M)
            assert line, f"{study.flagfile} gives no figures of {method}"
            assert [cell for cell in cells if cell != "–" and cell.replace("±", "+-") not in line[0]] == []


def test_pages_of_sweeps_name_flagfiles_and_folders_that_exist(sweeps: ModuleType, causes: ModuleType) -> None:
    for study in sweeps.STUDIES.values():
        flags = causes.flags_of(ROOT / "flags" / study.flagfile)
        assert flags["sweep_dir"] == f"runs/{study.sweep}"


def test_a_sweep_is_collected_and_its_page_names_what_is_missing(
    sweeps: ModuleType, study: ModuleType, tmp_path: Path
) -> None:
    sweep = tmp_path / "sweep"
    runs = [
        {"run_dir": f"{method}-0.98-s{seed}", "method": method, "sparsity": 0.98, "seed": seed}
        for method in ("rst", "lth_long")
        for seed in (0, 1, 2)
    ]
    for run in runs[:-1]:
        (sweep / run["run_dir"]).mkdir(parents=True)
        result = study.LENET.results / f"steps_10000.{run['run_dir']}.result.json"
        shutil.copyfile(result, sweep / run["run_dir"] / "result.json")
    (sweep / "plan.json").write_text(json.dumps({"methods": ["rst", "lth_long"], "runs": runs}))
    mine = sweeps.Study("mine", "mine.flags", "mine", "A study", "What was run.", 10, 10_000)
    sweeps.collect(mine, sweep)
    page = sweeps.write(mine)
    assert page.startswith("# A study\n\nWhat was run.\n")
    assert "Missing (1): lth_long-0.98-s2" in page
    assert "rst is undecided beside lth_long, like with like, at equal budget" in page
    assert {path.name for path in mine.folder.glob("*.png")} == set(sweeps.PICTURES)
