"""`python -m dlth_tf.sweep`: the grid, and real worker processes, some of which fail or are killed."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from dlth_tf import sweep
from dlth_tf.analysis.planned_runs import missing_runs, read_plan
from dlth_tf.commands import BAD_INPUT, DONE, FAILED, run_command
from dlth_tf.errors import BadInput
from dlth_tf.sweeps.grid import make_grid, run_grid
from dlth_tf.sweeps.local_backend import LocalBackend
from dlth_tf.sweeps.plan import write_plan
from dlth_tf.sweeps.worker import DIED, run_one
from dlth_tf.sweeps.worker import DONE as RUN_DONE
from dlth_tf.sweeps.worker import FAILED as RUN_FAILED
from dlth_tf.sweeps.worker import Outcome as RunOutcome
from tests.runs import tiny
from tests.runs.tiny import TINY, as_flags, environment, listing

KILLED = "its process died (SIGKILL: by hand, or by the kernel because memory ran out, which dmesg shows)"
# Builds the network of the tiny runs, records the process that does, and kills it if the file "kill" exists.
MODEL = """
import os, pathlib, signal

from dlth_tf.models.lenet import lenet_300_100

HERE = pathlib.Path(__file__).parent

def killed():
    try:
        (HERE / "kill").unlink()
    except FileNotFoundError:
        return False
    return True

def net(image_shape, classes):
    with open(HERE / "builders", "a") as file:
        file.write(f"{os.getpid()}\\n")
    if killed():
        os.kill(os.getpid(), signal.SIGKILL)
    return lenet_300_100(image_shape, classes, width=.1)
"""
SHARED = {name: value for name, value in TINY.items() if name not in ("sparsity", "verbosity")}
GRID = {"methods": "dense,scratch,rst", "sparsities": ".9,.5", "seeds": "0,1"}
RUNS = {
    "dense-s0",
    "dense-s1",
    *(f"{method}-{level}-s{seed}" for method in ("scratch", "rst") for level in (0.5, 0.9) for seed in (0, 1)),
}


def ended(*argv: str) -> int:
    return run_command("dlth_tf.sweep", sweep.main, argv)


@dataclass(frozen=True)
class Outcome:
    """Outcome of one call of the command."""

    code: int
    out: list[str]
    err: list[str]
    complete: set[str]
    builders: list[str]


class Sweep:
    """A sweep of a model that kills its process on request."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.dir = folder / "sweep"
        (folder / "their_net.py").write_text(MODEL)
        model = {**SHARED, "model": "their_net:net", "model_args": "{}", "data_dir": tiny.data_dir()}
        self.argv = as_flags(
            **model, methods="dense,scratch", sparsities=".9", seeds="0", sweep_dir=self.dir, parallel=2
        )

    def complete(self) -> set[str]:
        return {path.parent.name for path in self.dir.glob("*/result.json")}

    def builders(self) -> list[str]:
        path = self.folder / "builders"
        return path.read_text().split() if path.exists() else []

    def run(self, capfd: pytest.CaptureFixture[str], *more: str) -> Outcome:
        before = len(self.builders())
        code = ended(*self.argv, *more)
        said = capfd.readouterr()
        return Outcome(code, said.out.splitlines(), said.err.splitlines(), self.complete(), self.builders()[before:])


@pytest.fixture
def swept(tmp_path, monkeypatch) -> Sweep:
    monkeypatch.syspath_prepend(tmp_path)
    return Sweep(tmp_path)


@pytest.mark.slow
def test_a_sweep_outlives_a_killed_run_and_the_same_command_finishes_it(swept, capfd, tiny_runs):
    runs = {"dense-s0", "scratch-0.9-s0"}
    (swept.folder / "kill").touch()
    first = swept.run(capfd, "--max_retries=0")
    (failed,) = runs - first.complete
    assert (
        first.code == FAILED
        and len(first.builders) == len(set(first.builders)) == 2
        and str(os.getpid()) not in first.builders
    )
    assert first.out[-1] == f"1 of 2 runs complete in {swept.dir}"
    assert sum("FAILED" in line for line in first.out) == sum("test " in line for line in first.out) == 1
    assert first.err == [f"failed: {swept.dir / failed}: {KILLED}"]
    assert {run.run_dir for run in read_plan(swept.dir).runs} == runs
    assert [(run.run_dir, run.reason) for run in missing_runs(swept.dir)] == [(failed, KILLED)]

    (complete,) = first.complete
    before = listing(swept.dir / complete)
    second = swept.run(capfd)
    assert (second.code, second.complete, second.err, len(second.builders)) == (DONE, runs, [], 1)
    assert (
        second.out[0] == "1 of 2 runs are already complete" and second.out[-1] == f"2 of 2 runs complete in {swept.dir}"
    )
    assert listing(swept.dir / complete) == before

    assert not (swept.dir / "failures.json").exists()
    third = swept.run(capfd)
    assert (third.code, third.builders) == (DONE, [])
    assert third.out == ["2 of 2 runs are already complete", f"2 of 2 runs complete in {swept.dir}"]

    for name, method in (
        ("dense-s0", "dense"),
        ("scratch-0.9-s0", "scratch"),
    ):  # in a worker comes out what comes out here
        result = json.loads((swept.dir / name / "result.json").read_text())
        assert result["weights_sha256"] == tiny_runs[method].result["weights_sha256"]


@pytest.mark.slow
def test_a_sweep_whose_reader_is_gone_completes_its_runs(tmp_path):
    flags = {**SHARED, "model": "loud:net", "model_args": "{}", "methods": "scratch", "sparsities": ".5,.9"}
    (tmp_path / "loud.py").write_text(f"{MODEL}\nloud = net\ndef net(shape, classes):\n    print('net' * 10_000)\n")
    with open(tmp_path / "loud.py", "a") as file:
        file.write("    return loud(shape, classes)\n")
    words = " ".join([sys.executable, "-m dlth_tf.sweep", *map(shlex.quote, as_flags(**flags, sweep_dir="sweep"))])
    shell = f"{words} 2>&1 | head -1; exit ${{PIPESTATUS[0]}}"
    place = environment(PYTHONPATH=f"{os.environ.get('PYTHONPATH', tiny.ROOT)}:{tmp_path}")
    ended = subprocess.run(["bash", "-c", shell], cwd=tmp_path, env=place, capture_output=True, text=True, timeout=300)
    assert (ended.returncode, ended.stderr) == (DONE, "") and ended.stdout.count("\n") == 1
    assert len(list((tmp_path / "sweep").glob("*/result.json"))) == 2


@dataclass(eq=False)
class Worker:
    """Replacement of a worker process that records its runs, and fails or dies at the given ones."""

    fails: set[str]
    dies: set[str]
    runs: list[str] = field(default_factory=list)

    def run(self, config, progress, limit) -> RunOutcome:
        name = Path(config.run_dir).name
        self.runs.append(name)
        if name in self.dies:
            return RunOutcome(DIED, KILLED)
        return (
            RunOutcome(RUN_FAILED, "RuntimeError: mine") if name in self.fails else RunOutcome(RUN_DONE, "test 50.00%")
        )

    def close(self) -> None:
        pass


@pytest.mark.parametrize("retries", [0, 2])
def test_one_worker_runs_many_and_only_a_dead_one_is_replaced(retries, tmp_path, monkeypatch, capsys):
    workers: list[Worker] = []
    fails, dies = {"dense-s1", "rst-0.5-s0"}, {"scratch-0.9-s1", "rst-0.9-s1"}
    monkeypatch.setattr(LocalBackend, "_new_worker", lambda self: workers.append(Worker(fails, dies)) or workers[-1])
    board = run_grid(grid_of(sweep_dir=str(tmp_path)), str(tmp_path), LocalBackend(2, retries))
    expected = {
        **dict.fromkeys(fails, "RuntimeError: mine"),
        **dict.fromkeys(dies, KILLED),
    }
    assert {Path(run_dir).name: reason for run_dir, reason in board.failed.items()} == expected
    assert json.loads((tmp_path / "failures.json").read_text()) == expected
    assert {run.run_dir: run.reason for run in missing_runs(tmp_path)} == {}, "there is no plan here"
    assert sorted(name for worker in workers for name in worker.runs) == sorted([*RUNS, *(retries * [*dies])])
    assert len(workers) == 2 + len(dies) * (1 + retries)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("]")[0] for line in lines] == [f"[{number:>2}/10" for number in range(1, 11)]
    assert sum("FAILED" in line for line in lines) == 4 and "s left" not in lines[-1]


@pytest.mark.parametrize("error", [SystemExit(1), OSError("mine")], ids=repr)
def test_a_thread_that_fails_is_no_silent_end_of_the_sweep(error, tmp_path, monkeypatch):
    closed = []

    class Failing(Worker):
        def run(self, config, progress, limit) -> RunOutcome:
            raise error

        def close(self) -> None:
            closed.append(self)

    monkeypatch.setattr(LocalBackend, "_new_worker", lambda self: Failing(set(), set()))
    with pytest.raises(type(error)):
        run_grid(grid_of(sweep_dir=str(tmp_path)), str(tmp_path), LocalBackend(2))
    assert len(closed) == 2  # a process that is left open would be waited for at the end


def grid_of(**changes) -> list:
    values = {**GRID, "sweep_dir": "sweep", "shared": SHARED, **changes}
    return make_grid(values["methods"], values["sparsities"], values["seeds"], values["sweep_dir"], values["shared"])


def test_dense_runs_once_per_seed_and_every_other_method_once_per_sparsity_and_seed():
    configs = grid_of()
    assert {Path(config.run_dir).name for config in configs} == RUNS and len(configs) == len(RUNS)
    assert {config.sparsity for config in configs if config.method == "dense"} == {0.0}
    assert all(Path(config.run_dir).parent == Path("sweep") for config in configs)


def test_no_two_sparsities_share_a_directory():
    levels = ".98,.9800001,0.98000010000000001,.9999999,1e-9,.3333333333333333"
    names = [Path(config.run_dir).name for config in grid_of(methods="rst", sparsities=levels, seeds="0")]
    assert names == [f"rst-{level}-s0" for level in ("0.98", "0.9800001", "0.9999999", "1e-09", "0.3333333333333333")]


def test_dry_run_refuses_an_augmentation_that_does_not_fit_the_data(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ok.csv").write_text("a,b,label\n" + "".join(f"{n},{n * n % 7},{n % 2}\n" for n in range(200)))
    flags = {**SHARED, "dataset": "csv:ok.csv", "model": "mlp", "model_args": "{}", **GRID, "batch_size": 16}
    flags |= {"transform_batch_size": 16, "augment": "crop_flip"}
    assert ended(*as_flags(**flags, sweep_dir="sweep"), "--dry_run") == BAD_INPUT
    assert "--augment=crop_flip: is for uint8 images, and the examples of csv:ok.csv are float32[2]" in (
        capsys.readouterr().err
    )


def test_what_is_listed_twice_runs_once():
    assert len(grid_of(methods="rst, rst", sparsities=".5,0.5,0.50", seeds="1,01,1")) == 1


def test_a_sweep_of_dense_needs_no_sparsities():
    assert len(grid_of(methods="dense", sparsities=None)) == 2
    with pytest.raises(BadInput, match=r"sparsities=\(missing\): must be a comma list with at least one entry"):
        grid_of(sparsities=None)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"methods": "dense,rts"}, "--methods=rts: no such method; did you mean rst or grasp?"),
        ({"methods": ""}, "--methods=(missing): must be a comma list with at least one entry"),
        ({"sparsities": ".5,1"}, "--sparsities=1: must be above 0 and below 1"),
        (
            {"sparsities": "0,.9"},
            "--sparsities=0: must be above 0 and below 1 (the fraction of the weights that is removed): the method "
            "that removes nothing is dense",
        ),
        ({"sparsities": "half"}, "--sparsities=half: must be a number above 0 and below 1"),
        ({"seeds": "0,-1"}, "--seeds=0,-1: must be whole numbers, at least 0, separated by commas"),
        ({"seeds": "²"}, "--seeds=²: must be whole numbers, at least 0, separated by commas"),
        ({"seeds": ","}, "--seeds=,: must be a comma list with at least one entry"),
        ({"epochs": "0"}, "--epochs=0: must be a positive whole number"),
        ({"model": "lenet"}, "--model=lenet: no such model; did you mean lenet5"),
        ({"parallel": "0"}, "--parallel=0: must be a whole number, at least 1"),
        ({"backend": "cloud"}, "--backend=cloud: must be local or ray"),
        ({"max_retries": "-1"}, "--max_retries=-1: must be a whole number, at least 0"),
        ({"cpus_per_run": "0"}, "--cpus_per_run=0.0: must be a finite number above 0"),
        ({"gpus_per_run": "-.5"}, "--gpus_per_run=-0.5: must be a finite number, at least 0"),
        ({"time_limit": "2"}, "--time_limit=2: must be a time above 0 such as 90s, 30min or 2h"),
        ({"time_limit": "0h"}, "--time_limit=0h: must be a time above 0"),
        ({"calibrate": "true"}, "--calibrate=True: requires --dry_run"),
        ({"method": "rst"}, "Unknown command line flag 'method'"),
        ({"sweep_dir": "file/sweep"}, "--sweep_dir=file/sweep: cannot be written to (Not a directory)"),
    ],
    ids=str,
)
def test_bad_input_is_one_line_and_nothing_is_written(changes, line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    assert ended(*as_flags(**{**SHARED, **GRID, "sweep_dir": "sweep", **changes})) == BAD_INPUT
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith(f"dlth_tf.sweep: {line}") and said.err.count("\n") == 1
    assert os.listdir(tmp_path) == ["file"]


def test_a_run_of_another_configuration_in_the_sweeps_place_is_refused_before_anything_runs(
    tmp_path, capsys, tiny_runs
):
    (tmp_path / "rst-0.9-s0").mkdir()
    (tmp_path / "rst-0.9-s0" / "config.json").write_bytes(tiny_runs["scratch"].directory.config.read_bytes())
    before = listing(tmp_path)
    assert ended(*as_flags(**SHARED, **GRID, sweep_dir=tmp_path)) == BAD_INPUT
    assert "holds a run of another configuration: method is scratch there and rst here" in capsys.readouterr().err
    assert listing(tmp_path) == before


def test_dry_run_prints_the_plan_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert ended(*as_flags(**SHARED, **GRID, sweep_dir="sweep"), "--dry_run") == DONE
    rows = {line.split()[0]: line.split()[1:4] for line in capsys.readouterr().out.splitlines()[1:]}
    assert rows == {  # 8 steps of 128 an epoch; a transformation of 9 steps of 64
        "dense": ["2", "32", "4,096"],
        "scratch": ["4", "64", "8,192"],
        "rst": ["4", "100", "10,496"],
        "all": ["10", "196", "22,784"],
    }
    assert not os.listdir(tmp_path)


def test_the_plan_is_what_the_report_reads(tmp_path):
    write_plan(grid_of(sweep_dir=str(tmp_path)), str(tmp_path))
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert (plan["methods"], plan["sparsities"], plan["seeds"]) == (["dense", "scratch", "rst"], [0.5, 0.9], [0, 1])
    assert {run["run_dir"]: run["sparsity"] for run in plan["runs"]} == {
        name: 0.0 if name.startswith("dense") else float(name.split("-")[1]) for name in RUNS
    }
    assert {run.run_dir for run in missing_runs(tmp_path)} == RUNS
    assert read_plan(tmp_path).methods == ("dense", "scratch", "rst")


def test_a_run_in_a_worker_is_silent_and_what_it_raises_is_its_outcome(capsys, monkeypatch, tiny_runs):
    done = tiny_runs["rst"]
    assert run_one(done.config) == RunOutcome(RUN_DONE, f"test {done.result['test']['accuracy_last']:.2%}")
    assert capsys.readouterr() == ("", "")
    monkeypatch.setitem(sys.modules, "dlth_tf.runs.train_and_export", None)
    failed = run_one(done.config)
    assert (
        failed.state == RUN_FAILED
        and failed.message.startswith("ModuleNotFoundError: ")
        and "Traceback" in failed.details
    )
    monkeypatch.setitem(
        sys.modules, "dlth_tf.runs.train_and_export", SimpleNamespace(run=lambda config, tell: sys.exit(3))
    )
    assert run_one(done.config).message == "SystemExit: 3"


def test_no_more_workers_are_started_than_there_are_runs(monkeypatch, tmp_path, tiny_runs):
    started = []
    monkeypatch.setattr(LocalBackend, "_work", lambda *arguments: started.append(arguments))
    run_grid([tiny.tiny("rst", "nowhere")], str(tmp_path), LocalBackend(8))
    assert len(started) == 1
    run_grid([tiny_runs["rst"].config], str(tmp_path), LocalBackend(8))
    assert len(started) == 1
