"""A sweep on a real Ray cluster that loses a node during the sweep."""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import pytest

from dlth_tf import sweep
from dlth_tf.commands import BAD_INPUT, DONE, run_command
from dlth_tf.errors import BadInput
from dlth_tf.sweeps.grid import make_grid, run_grid
from dlth_tf.sweeps.local_backend import LocalBackend
from dlth_tf.sweeps.ray_backend import RayBackend
from dlth_tf.sweeps.worker import DIED
from tests.runs.tiny import TINY, as_flags

LONG = {"epochs": 100, "steps_per_execution": 1, "checkpoint_every": "10ep"}  # some ten seconds a run
SHARED = {name: value for name, value in TINY.items() if name not in ("sparsity", "verbosity")}


def results(folder: Path) -> dict[str, str]:
    return {path.parent.name: json.loads(path.read_text())["weights_sha256"] for path in folder.glob("*/result.json")}


def test_without_ray_one_sentence_says_how_to_get_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    flags = as_flags(**SHARED, methods="dense", sweep_dir=tmp_path / "sweep", backend="ray")
    assert run_command("dlth_tf.sweep", sweep.main, flags) == BAD_INPUT
    assert (
        capsys.readouterr().err
        == "dlth_tf.sweep: --backend=ray: requires Ray, which is not installed: pip install 'ray>=2.40,<3'\n"
    )
    assert not (tmp_path / "sweep").exists()


def test_a_ray_that_is_installed_and_broken_is_not_said_to_be_missing(tmp_path, monkeypatch):
    (tmp_path / "ray.py").write_text("from os import no_such_name")
    monkeypatch.delitem(sys.modules, "ray", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BadInput, match=r"^backend=ray: requires Ray, which cannot be imported \(.*no_such_name"):
        RayBackend("local", 1.0, 0.0)
    sys.modules.pop("ray", None)


class FakeRay:
    """The part of Ray that hands out the result of a task."""

    class exceptions:
        class RayError(Exception):
            pass

    def get(self, ref):
        raise ref


@pytest.mark.parametrize(
    ("message", "first"),
    [("The worker died.\nLong advice", "The worker died."), ("", "no message")],
)
def test_the_end_of_a_task_is_told_in_rays_own_words(message, first):
    backend = object.__new__(RayBackend)
    backend._ray = FakeRay()
    outcome = backend._outcome(FakeRay.exceptions.RayError(message))
    assert outcome.state == DIED and outcome.message == f"its task ended without a result (RayError: {first})"


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_a_sweep_survives_the_loss_of_a_node_and_ends_as_without(tmp_path):
    ray = pytest.importorskip("ray", reason="the extra `sweep` is not installed")
    from ray.cluster_utils import Cluster

    def grid(name: str) -> list:
        return make_grid("scratch", ".9", "0,1,2,3", str(tmp_path / name), {**SHARED, **LONG})

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
        backend = RayBackend(cluster.address, 1.0, 0.0, max_retries=2)
        lost = threading.Thread(target=lose, args=(cluster, nodes[1], tmp_path / "ray"))
        lost.start()
        status = run_grid(grid("ray"), str(tmp_path / "ray"), backend)
        lost.join()
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert not status.failed and len(results(tmp_path / "ray")) == 4 and len(cluster.worker_nodes) < 2
    run_grid(grid("local"), str(tmp_path / "local"), LocalBackend(2))
    assert results(tmp_path / "ray") == results(tmp_path / "local")
    flags = as_flags(
        **{**SHARED, **LONG}, methods="scratch", sparsities=".9", seeds="0,1,2,3", sweep_dir=tmp_path / "ray"
    )
    before = results(tmp_path / "ray")
    assert run_command("dlth_tf.sweep", sweep.main, flags) == DONE  # nothing is left to run
    assert results(tmp_path / "ray") == before


def lose(cluster, node, folder: Path) -> None:
    """Kills a node once two runs have written checkpoints and neither is complete."""
    while len({path.parents[1] for path in folder.glob("*/checkpoints/*.json")}) < 2:
        time.sleep(0.1)
    cluster.remove_node(node, allow_graceful=False)
