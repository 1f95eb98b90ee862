"""The longest runs of a sweep begin first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dlth_tf.sweeps.grid import make_grid, run_grid
from dlth_tf.sweeps.order import longest_first
from dlth_tf.sweeps.worker import DONE, Outcome

RUN: dict[str, Any] = {"dataset": "digits", "model": "lenet_300_100", "epochs": 10, "verbosity": 0}
SHORT = {"transform_epochs": "1ep", "cycles": 3}


def order(methods: str, folder: Path, seeds: str = "0", **changes: Any) -> list[str]:
    grid = make_grid(methods, ".9", seeds, str(folder), {**RUN, **SHORT, **changes})
    return [Path(config.run_dir).name for config in longest_first(grid)]


def test_most_images_first_and_equal_ones_in_the_order_of_the_grid(tmp_path):
    assert order("dense,scratch,rst,lth_iter", tmp_path, "0,1") == [
        "lth_iter-0.9-s0",
        "lth_iter-0.9-s1",
        "rst-0.9-s0",
        "rst-0.9-s1",
        "dense-s0",
        "dense-s1",
        "scratch-0.9-s0",
        "scratch-0.9-s1",
    ]


def test_a_run_that_another_one_shares_its_training_with_begins_later(tmp_path):
    shared = {"shared_dir": str(tmp_path / "shared")}
    assert order("l1,lth,rst", tmp_path) == ["l1-0.9-s0", "lth-0.9-s0", "rst-0.9-s0"]
    assert order("l1,lth,rst", tmp_path, **shared) == ["l1-0.9-s0", "rst-0.9-s0", "lth-0.9-s0"]


def test_a_narrow_network_counts_for_less(tmp_path):
    assert order("small_dense,dense", tmp_path) == ["dense-s0", "small_dense-0.9-s0"]


def test_a_run_that_will_be_refused_comes_last(tmp_path):
    assert order("rst,dense", tmp_path, dataset="mnist", transform_batch_size=60_000) == ["dense-s0", "rst-0.9-s0"]


def test_a_sweep_hands_its_runs_to_the_backend_in_this_order(tmp_path):
    class Recorder:
        def run(self, todo, status):
            self.todo = [config.method for config in todo]
            for config in todo:
                status.finished(config, Outcome(DONE, "test 90%"), 0.0)

        def stop(self):
            raise AssertionError

    backend = Recorder()
    grid = make_grid("scratch,rst,lth_iter", ".9", "0", str(tmp_path), {**RUN, **SHORT})
    run_grid(grid, str(tmp_path), backend)
    assert backend.todo == ["lth_iter", "rst", "scratch"]
