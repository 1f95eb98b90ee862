"""Removed weights are positive zeros after every step, whatever they were before it: NaN, infinite or negative."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tf_keras

from dlth_tf import masking
from dlth_tf.callbacks import DynamicSparsity, GradualMagnitude, KeepMask, StraightThrough
from tests.callbacks import linear

POISON = [np.nan, np.inf, -np.inf, -1.0]
KERNEL, MASK, GRADIENTS = linear.drawn(0, 6, (12, 8))
UPDATES = "dlth_tf.masking.keras2.updates"
# One callback for every place that applies a mask, with the module whose `masked` it uses.
CALLBACKS: dict[str, tuple[Callable[[], Any], str]] = {
    "keep": (KeepMask, "dlth_tf.masking.keras2.hook"),
    "gradual": (
        lambda: GradualMagnitude(0.5, begin=1, end=4, every=1, dense_layers="none"),
        UPDATES,
    ),
    "dynamic": (lambda: DynamicSparsity(fraction=0.9, every=2, stop=5), UPDATES),
    "straight through": (
        lambda: StraightThrough(0.5, dense_layers="none"),
        UPDATES,
    ),
}


class Poison(tf_keras.callbacks.Callback):
    """Writes NaN, infinities and negative numbers into the removed weights before every step."""

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        entry = masking.prunable_weights(self.model)[linear.NAME]
        kernel = entry.weight.numpy()
        removed = ~entry.kept()
        kernel[removed] = np.resize(POISON, removed.sum())
        entry.weight.assign(kernel)


def positive_zeros(state: linear.State) -> bool:
    removed = state.kernel[~state.mask]
    return len(removed) > 0 and not removed.any() and not np.signbit(removed).any()


@pytest.mark.fast_cases("graph-keep", "graph-dynamic", "eager-straight through")
@pytest.mark.parametrize("name", CALLBACKS)
@pytest.mark.parametrize("options", [{}, {"run_eagerly": True}], ids=["graph", "eager"])
def test_removed_weights_are_positive_zeros_whatever_they_were(name, options):
    build, _ = CALLBACKS[name]
    model = linear.layer(KERNEL, MASK, **options)
    states = linear.fit(model, GRADIENTS, build(), Poison())
    assert len(states) == 6 and all(positive_zeros(state) for state in states)
    assert all(np.isfinite(state.kernel).all() and state.mask.sum() == 48 for state in states)


@pytest.mark.parametrize("name", [name for name in CALLBACKS if name != "straight through"])
def test_a_product_with_the_mask_would_leave_nan(name, monkeypatch):
    build, module = CALLBACKS[name]
    monkeypatch.setattr(f"{module}.masked", lambda weight, mask: weight * mask)
    with pytest.raises(RuntimeError, match="removed weights of fc/kernel are NaN"):
        linear.fit(linear.layer(KERNEL, MASK), GRADIENTS, build(), Poison())


def test_a_product_with_the_mask_would_leave_negative_zeros_of_hidden_weights(monkeypatch):
    """StraightThrough restores the whole weight before every step, so that only its sign could remain."""
    build, module = CALLBACKS["straight through"]
    monkeypatch.setattr(f"{module}.masked", lambda weight, mask: weight * mask)
    states = linear.fit(linear.layer(KERNEL), GRADIENTS, build(), Poison())
    assert not any(positive_zeros(state) for state in states)


@pytest.mark.parametrize("name", ["keep", "dynamic"])
def test_a_kept_nan_stays_nan_and_is_no_complaint(name):
    build, _ = CALLBACKS[name]
    model = linear.layer(KERNEL, MASK)
    entry = masking.prunable_weights(model)[linear.NAME]
    kernel = entry.weight.numpy()
    place = tuple(np.argwhere(MASK)[5])
    kernel[place] = np.nan
    entry.weight.assign(kernel)
    states = linear.fit(model, GRADIENTS[:2], build(), Poison())
    for state in states:
        assert np.isnan(state.kernel[place]) and np.isnan(state.kernel).sum() == 1
        assert positive_zeros(state)
    masking.check_removed(model)
