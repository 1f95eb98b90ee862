"""The statistics of a row of the history agree with NumPy, and follow weights, masks and tickets."""

from __future__ import annotations

import numpy as np
import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking
from dlth_tf.masking.macs import densities
from dlth_tf.runs.watching.weight_statistics import all_finite, weight_statistics


@pytest.fixture(scope="module")
def model() -> tf_keras.Model:
    tf_keras.utils.set_random_seed(0)
    layers = [tf_keras.layers.Dense(units, name=f"fc{units}") for units in (6, 5, 4)]
    return dlth.wrap(tf_keras.Sequential([tf_keras.Input((7,)), *layers]))


def by_hand(model: tf_keras.Model) -> tuple[float, float, float]:
    """(sparsity, mean |w| inside the ticket, outside) of the tensors that it prunes."""
    entries = list(masking.prunable_weights(model).values())
    kept = np.concatenate([entry.kept().ravel() for entry in entries])
    pruned = [entry for entry in entries if not entry.chosen().all()]
    weights = np.concatenate([np.abs(entry.weight.numpy()).ravel() for entry in pruned] or [np.zeros(0)])
    chosen = np.concatenate([entry.chosen().ravel() for entry in pruned] or [np.zeros(0, bool)])
    means = [
        float(np.mean(part, dtype=np.float64)) if part.size else 0.0 for part in (weights[chosen], weights[~chosen])
    ]
    return 1 - kept.mean(), *means


@pytest.mark.parametrize("step", ["no ticket", "ticket chosen", "weights removed"])
def test_they_agree_with_numpy_at_every_stage(model, step):
    measure = weight_statistics(model)
    measure()  # what follows must be seen by the function that has been traced
    if step != "no ticket":
        ticket = dlth.random_ticket(model, 0.5, seed=0)
        dlth.apply_ticket(model, ticket, remove=step == "weights removed")
    now = measure()
    found = (now.sparsity, now.magnitude_kept, now.magnitude_removed)
    assert found == pytest.approx(by_hand(model), rel=1e-12)
    assert (now.magnitude_removed > 0) == (step == "ticket chosen")
    assert now.kept == {name: entry.kept().mean() for name, entry in masking.prunable_weights(model).items()}
    assert densities(model, kept=now.kept) == densities(model)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_seen_wherever_it_is(model, value):
    weights = masking.named_weights(model)
    check = all_finite(weights.values())
    for variable in weights.values():
        before = variable.numpy()
        changed = before.copy()
        changed.flat[-1] = value
        assert check()
        variable.assign(changed)
        assert not check()
        variable.assign(before)
    assert check()
