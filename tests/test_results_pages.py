"""Pages of results stand on committed results: they are written anew from these and must not change."""

from __future__ import annotations

import importlib
import io
import json
import re
import shutil
from pathlib import Path
from types import ModuleType

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from dlth_tf.analysis.findings import read_findings
from dlth_tf.analysis.sentences import interval_words, points

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
    for name, results in study.committed().items():
        assert same_picture(study.PARTS[name].plot.read_bytes(), study.draw(results))


def test_the_length_study_names_flagfiles_and_folders_that_exist(study: ModuleType, causes: ModuleType) -> None:
    page = study.PAGE.read_text()
    for part in study.PARTS.values():
        assert part.flagfiles[0] == "reference" and len(part.flagfiles) > 2
        for name in part.flagfiles:
            flags = study.flags_of(study.FLAGS / part.flags / f"{name}.flags")
            assert flags["sweep_dir"] == f"runs/{part.sweeps}/{name}"
            assert name == "reference" or flags["transform_epochs"] == f"{study.steps_of(name)}it"
        assert (f"flags/{part.flags}/$name.flags" in page) == part.results.is_dir()


def test_the_page_on_gpus_quotes_what_another_device_changes(study: ModuleType) -> None:
    words = r"up to (\d\.\d\d) points, and by (-?\d\.\d\d) on average"
    quoted = re.search(words, " ".join((ROOT / "docs" / "gpu.md").read_text().split()))
    found = re.search(words, study.PAGE.read_text())
    assert quoted and found and quoted.groups() == found.groups()


def same_picture(ours: bytes, theirs: bytes) -> bool:
    """Returns whether two PNGs show the same, up to the edges of letters, which the version of FreeType decides."""
    left, right = (plt.imread(io.BytesIO(png)).astype(float) for png in (ours, theirs))
    return left.shape == right.shape and float(np.abs(left - right).mean()) < 1e-3


def fresh_seeds(sweeps: ModuleType, folder: Path) -> dict[tuple[str, str], tuple[str, str]]:
    """Returns difference and interval of every pair of methods on the fresh seeds, with the millions of images seen."""
    folder.mkdir()
    sweeps.restore(sweeps.STUDIES["transform_fresh_seeds"], folder)
    return {
        (verdict.method, comparison.against): (
            f"{verdict.runs.images_seen / 1e6:.2f} and {verdict.others[comparison.against].images_seen / 1e6:.2f}",
            f"{points(comparison.difference.mean)} {interval_words(comparison.interval_95)}",
        )
        for verdict in read_findings(folder, 0.5).verdicts
        for comparison in verdict.comparisons
    }


@pytest.fixture
def finetuning(study: ModuleType) -> ModuleType:
    return importlib.import_module("longer_finetuning_study")


def test_the_page_on_longer_finetuning_is_that_of_its_committed_results(finetuning: ModuleType) -> None:
    assert finetuning.PAGE.exists() == finetuning.RESULTS.is_dir()
    if finetuning.PAGE.exists():
        assert finetuning.PAGE.read_text() == finetuning.write_page(finetuning.read())


def test_longer_finetuning_compares_equal_budgets_and_names_what_is_missing(
    finetuning: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = {path.stem for path in finetuning.FLAGS.glob("*.flags")}
    assert planned | {finetuning.FRESH.name} == {
        name for pair in finetuning.PAIRS for name, _ in (pair.ticket, pair.other)
    }
    result = json.loads((finetuning.FRESH / "rst_iter-0.98-s12.result.json").read_text())
    sweep = tmp_path / "runs" / "iterative_11_epochs"
    for seed, accuracy in ((12, 0.88), (13, 0.87), (14, 0.89)):
        ours = {**result, "method": "lth_iter", "seed": seed, "test": {**result["test"], "accuracy_last": accuracy}}
        (sweep / f"lth_iter-0.98-s{seed}").mkdir(parents=True)
        (sweep / f"lth_iter-0.98-s{seed}" / "result.json").write_text(json.dumps(ours))
    monkeypatch.setattr(finetuning, "RESULTS", tmp_path / "results")
    finetuning.collect(tmp_path / "runs")
    found = finetuning.read()
    page = finetuning.write_page(found)
    assert re.search(
        r"^- `rst_iter` beside `lth_iter`, like with like, at equal budget: \w.*, difference -?\d\.\d\d \[", page, re.M
    )
    assert "- Not run: `iterative_11_epochs.flags`: lth_iter (seeds 15, 16, 17, 18, 19)." in page
    assert "- Not run: `transformed.flags`: rst (all), scratch_long (all)." in page and "(3 of 8 seeds)" in page
    for run in found["iterative_11_epochs", "lth_iter"].values():
        run["cost"]["images_seen"] *= 2
    with pytest.raises(ValueError, match="different budgets"):
        finetuning.write_page(found)


def test_the_readme_quotes_every_pair_with_its_cost_and_interval(study: ModuleType, tmp_path: Path) -> None:
    found = fresh_seeds(importlib.import_module("sweep_study"), tmp_path / "sweep")
    readme = (ROOT / "README.md").read_text()
    text = readme[readme.index("**On real images**") :].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` minus `(\w+)`.* \| (.*) \| (.*) \|$", text, re.M)
    pairs = [*(("rst", name) for name in ("scratch_long", "lth", "lth_long", "lth_iter")), ("rst_iter", "lth_iter")]
    assert rows == [(*pair, *found[pair]) for pair in pairs]
    at_95 = {steps: study.comparisons(study.read(study.LENET_95), steps) for steps in (2_500, 10_000, 40_000, 90_000)}
    assert re.findall(r"-?\d\.\d\d \[.*?\]", " ".join(text[text.index("At 95 %") :].split("[Longer")[0].split())) == [
        study.difference(at_95[steps][name]) for name in ("scratch_long", "lth_long") for steps in (10_000, 90_000)
    ]
    assert not any(each["scratch_long"].outcome == "better" for each in at_95.values()), "no advantage is shown"
    # With 2,500 steps, lth_long sees more images than rst.
    below = [steps for steps, each in at_95.items() if steps > 2_500 and each["lth_long"].interval_95[1] < 0]
    words = "not above the direct training with any length, and below the winning ticket with "
    words += " and ".join(f"{steps:,}" for steps in below)
    assert f"At 95 % and equal budget it is {words} steps" in (ROOT / "docs" / "reproducing.md").read_text()
    longer = " ".join(text[text.index("[Longer trans") :].split("Other [")[0].split())
    found_longer = [study.comparisons(study.read(), steps)["scratch_long"] for steps in (40_000, 90_000)]
    assert re.findall(r"-?\d\.\d\d \[.*?\]", longer) == [study.difference(each) for each in found_longer]
    of_resnet = {part: study.read(part) for part in (study.RESNET, study.RESNET_95)}
    lengths = {part: tuple(results.by_length) for part, results in of_resnet.items()}
    assert list(lengths.values()) == [(2_500, 10_000, 40_000), (2_500, 10_000)], "the README speaks of these lengths"
    resnets = " ".join(text[text.index("With batch norms") :].split("On CIFAR-10")[0].split())
    differences = re.findall(r"-?\d\.\d\d \[.*?\]", resnets)
    assert differences == [
        study.difference(study.comparisons(results, length)[name])
        for part, results in of_resnet.items()
        for name in ("scratch_long", "lth_long")
        for length in lengths[part]
    ]
    below = study.comparisons(of_resnet[study.RESNET_95], 10_000)
    assert all(below[name].interval_95[1] < 0 for name in ("scratch_long", "lth_long"))
    assert "at 95 %, with 10,000 steps, it is below both" in (ROOT / "docs" / "reproducing.md").read_text()


def digits_differences(name: str) -> list[str]:
    """Returns difference and interval of rst minus another method at 95, 98 and 99 %, from the page on digits."""
    page = (RESULTS / "digits_verdict.md").read_text()
    return re.findall(rf"beside {name}, [^;]*?\(difference (.*?\])\)", page)


def test_readme_and_header_quote_the_page_on_digits() -> None:
    text = " ".join((ROOT / "README.md").read_text().split())
    part = text[text.index("**With eight seeds**") : text.index("**On real images**")]
    pairs = {name: digits_differences(name) for name in ("scratch_long", "lth_long", "lth", "lth_iter")}
    at_98, at_99 = ([pairs[name][column] for name in pairs] for column in (1, 2))
    assert re.findall(r"-?\d\.\d\d \[.*?\]", part) == [*at_98, at_99[2], at_99[3]]
    header = (ROOT / "flags" / "digits" / "verdict.flags").read_text()
    rows = dict(re.findall(r"^#   (\w+) +(-?\d.*\])$", header, re.M))
    assert {name: re.split(r"(?<=\]) +", row) for name, row in rows.items()} == pairs


def test_the_guide_to_the_schedule_quotes_the_pages(study: ModuleType, tmp_path: Path) -> None:
    found = fresh_seeds(importlib.import_module("sweep_study"), tmp_path / "sweep")
    text = " ".join((ROOT / "docs" / "schedule.md").read_text().split())
    assert f"`rst` is then {found['rst', 'scratch_long'][1]} points above `scratch_long`" in text
    for part in (study.LENET, study.LENET_95):
        assert "images is 10,000 steps" in study._shortest(study.read(part))
    gains = {
        (part.name, method): study.versus(*(study.read(part).runs(method, steps) for steps in (40_000, 10_000)), method)
        for part in (study.LENET, study.LENET_95)
        for method in ("rst", "scratch_long")
    }
    at_98, at_95 = (gains[part.name, "rst"] for part in (study.LENET, study.LENET_95))
    assert f"better than 10,000 at 98 % (difference {study.difference(at_98)})" in text and at_98.outcome != "better"
    assert f"at 95 % they do ({study.difference(at_95)})" in text and at_95.outcome == "better"
    most, most_at_95 = (
        study.versus(*(study.read(part).runs("rst", steps) for steps in (90_000, 40_000)), "rst")
        for part in (study.LENET, study.LENET_95)
    )
    quoted = f"90,000 are better than 40,000 ({study.difference(most)} at 98 %, {study.difference(most_at_95)} at 95 %)"
    assert quoted in text and "better" not in (most.outcome, most_at_95.outcome)
    assert gains[study.LENET_95.name, "scratch_long"].difference.mean > at_95.difference.mean


def test_headers_of_longer_finetuning_give_the_figures_of_its_page(finetuning: ModuleType) -> None:
    for (name, method), runs in finetuning.read().items():
        if name != finetuning.FRESH.name and len(runs) == finetuning.SEEDS:
            header = (finetuning.FLAGS / f"{name}.flags").read_text()
            figures = finetuning.length.cell(finetuning.length.accuracies(runs), finetuning.SEEDS).replace("±", "+-")
            assert f"{method} {figures}" in header, name


def test_readme_and_guide_quote_the_longer_finetuning(finetuning: ModuleType) -> None:
    differences = {
        pair: finetuning.length.difference(comparison) for pair, comparison in finetuning.compared(finetuning.read())
    }
    found = {pair.other[1]: words for pair, words in differences.items() if pair.ticket[1] == "rst"}
    (iterative,) = (words for pair, words in differences.items() if pair.ticket[1] == "rst_iter")
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert f"`rst_iter` minus `lth_iter` is {iterative} (2.35 and 2.37 million images)" in readme
    for path, before in (("README.md", "minus"), ("docs/schedule.md", "beside")):
        text = " ".join((ROOT / path).read_text().split())
        part = text[text.index("longer_finetuning.md") :][:400]
        for name, difference in found.items():
            pair = f"{before} `{name}`"
            place = part.index(pair)
            near = part[place : place + 60] if before == "minus" else part[max(0, place - 45) : place]
            assert difference in near, (path, name)


def test_a_length_is_chosen_on_validation_images_and_by_whole_groups_of_seeds(study: ModuleType) -> None:
    def runs(**by_split: list[float]) -> dict[int, dict]:
        seeds = range(len(by_split["val"]))
        return {seed: {name: {"accuracy_last": v[seed]} for name, v in by_split.items()} for seed in seeds}

    lth = {"lth": runs(val=[0.9, 0.9, 0.9], test=[0.9, 0.9, 0.9])}
    by_test_alone = {"rst": runs(val=[0.88, 0.89, 0.89], test=[0.9, 0.91, 0.9])}
    one_seed = {"rst": runs(val=[0.95], test=[0.95])}
    enough = {"rst": runs(val=[0.9, 0.899, 0.9], test=[0.88, 0.88, 0.89])}
    said = study._shortest(study.Study({1: by_test_alone, 2: one_seed, 4: enough}, lth))
    assert "on validation images is 4 steps (difference -0.03 [" in said
    assert "On test images the difference is -1.67" in said
    assert study._shortest(study.Study({1: by_test_alone}, lth)).startswith("- No length here loses less than half a")
    assert study._shortest(study.Study({2: one_seed}, lth)) == "- No length has 3 seeds of `rst` and `lth` yet."


def test_runs_that_a_flagfile_plans_and_nobody_ran_are_named(study: ModuleType, tmp_path: Path) -> None:
    flagfile = tmp_path / "a.flags"
    flagfile.write_text("--methods=rst,lth\n--seeds=0,1,2\n")
    assert study.lacking(flagfile, {"rst": {0: {}, 1: {}, 2: {}}, "lth": {1: {}}}) == "lth (seeds 0, 2)"
    assert study.lacking(flagfile, {}) == "rst (all), lth (all)"
    assert study.lacking(flagfile, {"rst": {0: {}, 1: {}, 2: {}}, "lth": {0: {}, 1: {}, 2: {}}}) == ""


def test_a_control_at_chance_is_named_and_not_compared(study: ModuleType, causes: ModuleType) -> None:
    page = causes.PAGE.read_text()
    assert "| all_layers_pruned | lth | 0.86 | 10.0 ± 0.0, at chance in 3 of 3 seeds |  |  |" in page
    results = study.read()
    dead = {0: {**results.reference["scratch"][0], "test": {"accuracy_last": 0.1}}}
    findings = study._findings(study.LENET, study.Study(results.by_length, {**results.reference, "scratch": dead}))
    assert "- At chance: `scratch` of `reference.flags`, seed 0, which its mean includes." in findings
    assert "- Not run: `reference.flags`: scratch (seeds 1, 2)." in findings


def test_the_change_of_a_difference_is_paired_by_seed(causes: ModuleType) -> None:
    def item(rst: list[float], lth: list[float]):
        runs = {"rst": rst, "lth": lth}
        results = {m: {s: {"test": {"accuracy_last": v}} for s, v in enumerate(vs)} for m, vs in runs.items()}
        return causes.Experiment("any", "?", {}, results)

    change = causes.change_of_gap(item([0.9, 0.8, 0.7], [0.8, 0.8, 0.8]), item([0.5, 0.5], [0.6, 0.6]), "lth")
    assert change.difference.seeds_a == 2
    assert change.difference.mean == pytest.approx(15)  # of 10 and 0, which were -10 and -10
    assert causes.change_of_gap(item([0.9], [0.8]), item([], []), "lth") is None


def test_another_result_changes_the_page(study: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    again = [part.again for part in study.PARTS.values() if part.again]
    for name in (*study.committed(), *again):
        shutil.copytree(study.DOCS / name, tmp_path / name)
    monkeypatch.setattr(study, "DOCS", tmp_path)
    assert study.PAGE.read_text() == study.write_page(study.committed())
    for name in (*study.committed(), *again):
        changed = min((tmp_path / name).glob("*.rst-*.result.json"))
        right = changed.read_text()
        result = json.loads(right)
        result["test"]["accuracy_last"] -= 0.01
        changed.write_text(json.dumps(result))
        assert study.PAGE.read_text() != study.write_page(study.committed())
        changed.write_text(right)


def test_results_are_small_whole_and_of_the_runs_that_their_names_say(study: ModuleType, causes: ModuleType) -> None:
    folders = [(part, part.results) for part in study.PARTS.values() if part.results.is_dir()]
    folders += [(part, study.DOCS / part.again) for part in study.PARTS.values() if part.again]
    for part, folder in folders:
        paths = sorted(folder.glob("*.result.json"))
        assert paths
        for path in paths:
            result = json.loads(path.read_text())
            sweep, _, run = path.name.partition(".")
            flags = study.flags_of(study.FLAGS / part.flags / f"{sweep}.flags")
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


def test_results_of_causes_are_those_of_flagfiles(causes: ModuleType, study: ModuleType) -> None:
    paths = sorted(causes.RESULTS.glob("*.result.json"))
    assert paths
    for path in paths:
        name, _, run = path.name.partition("@")
        result = json.loads(path.read_text())
        flags = study.flags_of(causes.FLAGS / f"{name}.flags")
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
            assert re.search(rf"^\| {experiment.name} \| (\w+, )*{method}(, \w+)* \|", page, re.M)
    assert page.count("| lth, lth_long |") == 1, "the same runs have one row"


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
        for picture in (RESULTS / name).glob("*.png"):
            assert same_picture(picture.read_bytes(), (tmp_path / name / picture.name).read_bytes())
    assert sorted(name for name in sweeps.STUDIES if (RESULTS / f"{name}.md").exists()) == sorted(committed)


def accuracies(name: str) -> dict[str, list[str]]:
    """Method -> the cells of its row in the table of accuracies of a page, none for a page that is not written yet."""
    page = RESULTS / f"{name}.md"
    table = page.read_text().split("| --- |", 1)[1].split("\n\n", 1)[0] if page.exists() else ""
    rows = ([cell.strip(" *") for cell in row.strip("|").split("|")] for row in table.splitlines()[1:])
    return {method: [cell for cell in cells if cell != "–"] for method, *cells in rows}


def test_headers_of_sweeps_give_the_figures_of_their_pages(sweeps: ModuleType) -> None:
    for study in sweeps.STUDIES.values():
        header = (ROOT / "flags" / study.flagfile).read_text()
        for method, cells in accuracies(study.name).items():
            line = re.search(rf"^# .*\b{method} +\d.*", header, re.M)
            assert line, f"{study.flagfile} gives no figures of {method}"
            assert [cell for cell in cells if cell.replace("±", "+-") not in line[0]] == []


def test_the_readme_quotes_the_table_of_cifar10() -> None:
    text = " ".join((ROOT / "README.md").read_text().split())
    part = text[text.index("On CIFAR-10") : text.index("## In your own")]
    found = re.findall(r"`(\w+)` (?:is |\()?(?:at )?(\d\d\.\d ± \d\.\d)", part)
    table = accuracies("cifar10_resnet8")
    methods = ("rst", "scratch_long", "lth", "lth_long", "lth_iter")
    assert found == [(method, table[method][column]) for column in (1, 0) for method in methods]
    assert f"the dense network is at {table['dense'][0]}" in part
    undecided = (
        r"(?:beside {0}, at equal budget|rst beside {0}, like with like, with [^:]*): undecided \(difference (.*?)\)"
    )
    pairs = []
    for name, others in (("", ["scratch_long"]), ("_published_proportion", ["scratch_long", "lth_long"])):
        page = (ROOT / "docs" / "results" / f"cifar10_resnet8{name}.md").read_text()
        pairs += [pair for other in others for pair in re.findall(undecided.format(other), page)[::-1]]
    assert re.findall(r"-?\d\.\d\d \[.*?\]", part) == pairs


def test_pages_of_sweeps_name_flagfiles_and_folders_that_exist(sweeps: ModuleType, study: ModuleType) -> None:
    for page in sweeps.STUDIES.values():
        assert study.flags_of(ROOT / "flags" / page.flagfile)["sweep_dir"] == f"runs/{page.sweep}"


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
        history = study.DOCS / "transform_fresh_seeds" / f"{run['method']}-0.98-s12.history.csv"
        whole = pd.read_csv(history).assign(seconds=1.5, loss=0.25)
        whole.to_csv(sweep / run["run_dir"] / "history.csv", index=False)
    (sweep / "failures.json").write_text(json.dumps({runs[-1]["run_dir"]: "the loss is NaN"}))
    (sweep / "plan.json").write_text(json.dumps({"methods": ["rst", "lth_long"], "runs": runs}))
    mine = sweeps.Study("mine", "mine.flags", "mine", "A study", "What was run.", 10, 10_000)
    sweeps.collect(mine, sweep)
    page = sweeps.write(mine)
    assert page.startswith("# A study\n\nWhat was run.\n")
    assert "Missing (1): lth_long-0.98-s2 (failed: the loss is NaN)" in page
    assert pd.read_csv(mine.folder / "rst-0.98-s0.history.csv").columns.tolist() == sweeps.HISTORY
    (sweep / "failures.json").unlink()
    (sweep / "lth_long-0.98-s2").mkdir()
    shutil.copyfile(sweep / "lth_long-0.98-s1" / "history.csv", sweep / "lth_long-0.98-s2" / "history.csv")
    sweeps.collect(mine, sweep)
    assert "Missing (1): lth_long-0.98-s2 (started" in sweeps.write(mine)
    assert "beside lth_long, like with like, at equal budget: undecided (" in page
    assert {path.name for path in mine.folder.glob("*.png")} == set(sweeps.PICTURES)
    short = sweeps.Study("short", "mine.flags", "mine", "A study", "What was run.", histories=False)
    sweeps.collect(short, sweep)
    assert "Missing (1): lth_long-0.98-s2 (" in sweeps.write(short) and not list(short.folder.glob("*.csv"))
