"""The contract of every registered method: the files and numbers of its runs."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from dlth_tf import files
from dlth_tf.core import Ticket
from dlth_tf.core.allocation import removed_count
from dlth_tf.methods import METHODS
from dlth_tf.runs.plan import make_phases, make_recipe
from dlth_tf.runs.runner import run
from dlth_tf.runs.watching.history import COLUMNS
from tests.runs.tiny import EXAMPLES, FAST, FILES, Finished, listing

pytestmark = pytest.mark.parametrize(
    "method", [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in METHODS.names()]
)
SHAPES = {"fc1/kernel": (64, 30), "fc2/kernel": (30, 10), "fc3/kernel": (10, 10)}
PRUNED = ("fc1/kernel", "fc2/kernel")
KEYS: dict[str, Any] = {
    "method": str,
    "dataset": str,
    "model": str,
    "seed": int,
    "sparsity": {"target": float, "global": float, "prunable": float, "per_tensor": dict},
    "effective_sparsity": float,
    "test": dict.fromkeys(
        (
            "accuracy_last",
            "accuracy_best",
            "accuracy_last5_mean",
            "accuracy_before_removal",
            "accuracy_after_removal",
            "loss_last",
        ),
        float,
    ),
    "phases": list,
    "cost": {"images_seen": int, "training_macs_dense": int, "training_macs_theoretical": int, "wall_seconds": float},
    "parameters": {"total": int, "prunable": int, "nonzero": int},
    "weights_sha256": str,
    "versions": dict,
    "onednn": bool,
}
KEYS["val"] = KEYS["test"]


def has_form(value: Any, form: Any, at_once: bool) -> bool:
    """Returns whether a JSON value has exactly the keys and types of `form`.

    Without `at_once`, the accuracies around a removal may be None.
    """
    if not isinstance(form, dict):
        return type(value) is form
    return value.keys() == form.keys() and all(
        has_form(value[key], form[key], at_once) or (key.endswith("_removal") and not at_once and value[key] is None)
        for key in form
    )


def planned(done: Finished) -> list[Any]:
    return make_phases(done.config.method, make_recipe(done.config, EXAMPLES["train"]))


def removes(method: str) -> bool:
    return METHODS.load(method).needs_sparsity and not METHODS.load(method).narrows


def removed_in(done: Finished) -> dict[str, int]:
    """The number of weights to remove from each tensor; with a global allocation only the sum is fixed."""
    sparsity = 0.9 if removes(done.config.method) else 0.0
    if done.config.allocation == "global":
        found = {name: int((~mask).sum()) for name, mask in Ticket.load(done.directory.ticket).items()}
        assert sum(found.values()) == removed_count(sum(int(np.prod(SHAPES[name])) for name in PRUNED), sparsity)
        return {name: found.get(name, 0) for name in SHAPES}
    return {
        name: removed_count(int(np.prod(shape)), sparsity) if name in PRUNED else 0 for name, shape in SHAPES.items()
    }


def sizes(done: Finished) -> dict[str, int]:
    """The size of every kernel in the network that the method trains."""
    return {name: done.weights[name].size for name in SHAPES}


def test_a_run_leaves_exactly_the_files_of_the_contract(method, tiny_runs):
    found = {path.name for path in tiny_runs[method].directory.path.iterdir()} - {".lock"}
    assert found == FILES


def test_result_has_exactly_the_keys_of_the_contract(method, tiny_runs):
    done = tiny_runs[method]
    assert has_form(done.result, KEYS, at_once=method not in ("dense", "small_dense", "gmp", "ste"))
    assert not has_form({**done.result, "more": 1}, KEYS, at_once=False)
    assert {name: done.result[name] for name in ("method", "dataset", "model", "seed")} == {
        "method": method,
        "dataset": "digits",
        "model": "lenet_300_100",
        "seed": 0,
    }


def test_run_returns_what_result_json_holds(method, tiny_runs):
    assert tiny_runs[method].returned == tiny_runs[method].result


def test_nothing_is_said_at_verbosity_0(method, tiny_runs):
    assert tiny_runs[method].said == ""


def test_phases_are_as_planned(method, tiny_runs):
    done = tiny_runs[method]
    expected = [(phase.name, phase.steps, phase.steps * phase.batch_size) for phase in planned(done)]
    assert [(phase["name"], phase["steps"], phase["images"]) for phase in done.result["phases"]] == expected
    assert done.result["cost"]["images_seen"] == sum(images for _, _, images in expected)
    assert {name: len(batches) for name, batches in done.watched.batches.items()} == {
        name: steps for name, steps, _ in expected
    }


def test_history_has_one_row_per_epoch_with_every_column(method, tiny_runs):
    done = tiny_runs[method]
    history = done.history
    assert tuple(history.columns) == COLUMNS and not history.isna().any().any()
    assert (history["magnitude_kept"] >= 0).all() and (history["magnitude_kept"].iloc[-1] > 0) == removes(method)
    for phase in planned(done):
        rows = history[history["phase"] == phase.name]
        per_epoch = EXAMPLES["train"] // phase.batch_size
        assert rows["step"].tolist() == [min(phase.steps, per_epoch * epoch) for epoch in rows["epoch"]]
        assert rows["step"].iloc[-1] == phase.steps
        assert np.allclose(rows["lr"], [phase.learning_rate.at(step - 1) for step in rows["step"]])
    assert len(history) == sum(phase["epochs"] for phase in done.result["phases"])


def test_accuracies_are_fractions_and_those_of_the_final_phase(method, tiny_runs):
    done = tiny_runs[method]
    last = done.history[done.history["phase"] == planned(done)[-1].name]
    last = last[last["sparsity"] == last["sparsity"].iloc[-1]]  # not from before the ticket was drawn or pruned
    for split, count in (("test", EXAMPLES["test"]), ("val", EXAMPLES["validation"])):
        found, column = done.result[split], last[f"{split}_accuracy"]
        given = [found[name] for name in found if name.startswith("accuracy") and found[name] is not None]
        assert all(0 <= value <= 1 for value in given)
        assert np.allclose(column * count, (column * count).round())  # every example counts once
        assert found["accuracy_last"] == column.iloc[-1]
        assert found["accuracy_best"] == column.max()
        assert found["accuracy_last5_mean"] == pytest.approx(column.tail(5).mean())
        assert found["loss_last"] == last[f"{split}_loss"].iloc[-1]


def test_sparsity_is_exact_in_every_tensor(method, tiny_runs):
    done = tiny_runs[method]
    removed, size = removed_in(done), sizes(done)
    found = done.result["sparsity"]
    assert found["target"] == (0.9 if METHODS.load(method).needs_sparsity else 0.0)
    assert found["per_tensor"] == {name: removed[name] / size[name] for name in SHAPES}
    assert found["prunable"] == sum(removed[name] for name in PRUNED) / sum(size[name] for name in PRUNED)
    assert found["global"] == sum(removed.values()) / sum(size.values())
    assert found["prunable"] <= done.result["effective_sparsity"] <= 1
    zeros = {name: int((done.weights[name] == 0).sum()) for name in SHAPES}
    # A weight that grew where no gradient arrives (from pixels that are always black) is kept, and still zero.
    if method in ("set", "rigl"):
        assert all(removed[name] <= zeros[name] < 1.1 * removed[name] + 1 for name in SHAPES)
    else:
        assert zeros == removed
    assert done.result["parameters"]["total"] == sum(weight.size for weight in done.weights.values())
    assert done.result["parameters"]["nonzero"] == sum(np.count_nonzero(weight) for weight in done.weights.values())
    assert done.result["parameters"]["prunable"] == sum(size[name] for name in PRUNED)


def test_zeros_in_the_weights_are_the_tickets(method, tiny_runs):
    done = tiny_runs[method]
    ticket = Ticket.load(done.directory.ticket)
    assert set(ticket) == (set(PRUNED) if removes(method) else set())
    for name, mask in ticket.items():
        assert int((~mask).sum()) == removed_in(done)[name]
        assert not done.weights[name][~mask].any() and done.weights[name][~np.roll(mask, 1)].any()
        assert method in ("set", "rigl") or done.weights[name][mask].all()
    assert (ticket.provenance["method"], ticket.provenance["seed"]) == (method, 0)


def test_digest_is_that_of_the_weights_file(method, tiny_runs):
    done = tiny_runs[method]
    weights = done.weights
    assert done.result["weights_sha256"] == files.arrays_sha256(weights)
    weights["fc2/bias"] = np.nextafter(weights["fc2/bias"], np.float32(1))
    assert done.result["weights_sha256"] != files.arrays_sha256(weights)


def test_cost_counts_only_kept_weights_once_they_are_removed(method, tiny_runs):
    done, dense = tiny_runs[method], sum(sizes(tiny_runs[method]).values())
    cost, images = done.result["cost"], done.result["cost"]["images_seen"]
    assert cost["training_macs_dense"] == 3 * dense * images
    # There the mask or the need for gradients changes inside the phase: see tests/masking/test_macs.py.
    if METHODS.load(method).fixed_counts:
        assert (
            3 * (dense - sum(removed_in(done).values())) * images
            <= cost["training_macs_theoretical"]
            < cost["training_macs_dense"]
        )
        return
    rows = done.history
    kept = (dense - rows["sparsity"] * dense).round().astype(int)  # masks change only between epochs
    batch = rows["phase"].map({phase["name"]: phase["images"] / phase["steps"] for phase in done.result["phases"]})
    steps = rows.groupby("phase")["step"].diff().fillna(rows["step"])
    assert cost["training_macs_theoretical"] == 3 * int((kept * steps * batch).sum())
    assert kept.iloc[-1] == dense - sum(removed_in(done).values())


def test_config_json_says_what_was_run_and_with_what(method, tiny_runs):
    document = json.loads(tiny_runs[method].directory.config.read_text())
    assert document["config"] == tiny_runs[method].config.to_json()
    assert document["data"]["examples"] == EXAMPLES and document["data"]["image_shape"] == [8, 8, 1]
    assert document["versions"].keys() >= {"dlth_tf", "python", "tensorflow", "tf-keras", "numpy"}
    assert document.keys() == {"config", "data", "versions", "git_commit", "command"}


def test_a_complete_directory_is_not_touched(method, tiny_runs):
    done = tiny_runs[method]
    before = listing(done.directory.path)
    assert run(done.config) == done.result
    assert listing(done.directory.path) == before
