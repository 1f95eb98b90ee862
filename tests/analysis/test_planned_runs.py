"""Plans of sweeps, and runs that are still missing."""

from __future__ import annotations

import json

import pytest

from dlth_tf.analysis.planned_runs import MissingRun, Plan, missing_runs, read_plan
from dlth_tf.errors import BadInput
from tests.analysis.conftest import WriteSweep, seeds

RUN = {"run_dir": "rst-0.9-s1", "method": "rst", "sparsity": 0.9, "seed": 1}


def test_missing_runs_are_named_in_the_order_of_the_plan(write_sweep: WriteSweep) -> None:
    root = write_sweep(seeds("rst", 0.9, 0.9), methods=["rst", "dense"], missing=[("rst", 0.9, 1), ("dense", 0, 0)])
    (root / "rst-0.9-s1").mkdir()  # started, not complete
    assert missing_runs(root) == (MissingRun("rst-0.9-s1", started=True), MissingRun("dense-0-s0", started=False))


def test_nothing_is_missing_when_every_planned_run_is_complete(write_sweep: WriteSweep) -> None:
    assert missing_runs(write_sweep(seeds("rst", 0.9, 0.9, 0.8), methods=["rst"])) == ()


def test_a_sweep_without_a_plan_misses_nothing(write_sweep: WriteSweep) -> None:
    root = write_sweep(seeds("rst", 0.9, 0.9))
    assert read_plan(root) == Plan() and missing_runs(root) == ()


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        ({"methods": ["rst"]}, "'runs' is missing"),
        ({"methods": "rst", "runs": []}, "expected list, got str"),
        ({"methods": [1], "runs": []}, "expected str, got int"),
        ({"methods": [], "runs": ["rst-0.9-s1"]}, "expected dict, got str"),
        ({"methods": [], "runs": [RUN | {"sparsity": "0.9"}]}, "expected float, got str"),
        ({"methods": [], "runs": [{"run_dir": "a"}]}, "'sparsity' is missing"),
    ],
)
def test_an_invalid_plan_is_refused_in_one_sentence(write_sweep: WriteSweep, plan: dict, reason: str) -> None:
    root = write_sweep(seeds("rst", 0.9, 0.9))
    (root / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(BadInput, match=rf"^sweep_dir=.*: plan.json is not a valid plan: {reason}$"):
        read_plan(root)
