"""A transformation that ends with large weights to remove says so; one that squeezed them says nothing."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from dlth_tf import masking
from dlth_tf.callbacks import RSTPenalty
from dlth_tf.masking.squeezing import squeezed_to
from tests.callbacks.every_callback import said
from tests.masking.networks import batches, compiled, wrapped


def scaled(factor: float):
    """A model whose weights to remove have `factor` times their first magnitude."""
    model = wrapped(remove=False)
    for entry in masking.prunable_weights(model).values():
        entry.weight.assign(np.where(entry.chosen(), entry.weight.numpy(), factor * entry.weight.numpy()))
    return model


def magnitudes(model) -> tuple[float, float]:
    """Means over the tensors of which the ticket removes something, by hand."""
    entries = [entry for entry in masking.prunable_weights(model).values() if not entry.chosen().all()]
    outside = np.concatenate([np.abs(entry.weight.numpy())[~entry.chosen()] for entry in entries])
    inside = np.concatenate([np.abs(entry.weight.numpy())[entry.chosen()] for entry in entries])
    return float(outside.mean()), float(inside.mean())


@pytest.mark.parametrize("factor", [1.0, 0.01])
def test_the_magnitudes_are_those_of_both_sides_of_the_ticket(factor):
    model = scaled(factor)
    assert squeezed_to(model) == pytest.approx(magnitudes(model), rel=1e-6)


def test_weights_that_are_removed_already_do_not_count():
    model = wrapped(0.5, remove=True)
    assert squeezed_to(model)[0] == 0
    masking.warn_unless_squeezed(model)


@pytest.mark.parametrize(("factor", "words"), [(1.0, "% of the "), (0.05, None), (0.0, None)])
def test_a_warning_names_what_is_left_of_the_magnitude(factor, words, caplog):
    caplog.set_level(logging.WARNING, "dlth_tf")
    model = scaled(factor)
    masking.warn_unless_squeezed(model)
    outside, inside = magnitudes(model)
    if words is None:
        assert said(caplog) == []
    else:
        (message,) = said(caplog)
        assert f"is {outside:.3g}, {outside / inside:.0%} of the {inside:.3g} of those that stay" in message


def test_what_stays_may_be_all_zeros(caplog):
    caplog.set_level(logging.WARNING, "dlth_tf")
    model = scaled(1.0)
    for entry in masking.prunable_weights(model).values():
        entry.weight.assign(np.where(entry.chosen(), 0, entry.weight.numpy()))
    masking.warn_unless_squeezed(model)
    (message,) = said(caplog)
    assert "beside the 0 of those that stay" in message


@pytest.mark.parametrize(("limit", "hold", "warned"), [(1e-3, 0, True), (1.0, 60, False)])
def test_a_fit_with_too_little_penalty_ends_with_the_warning(limit, hold, warned, caplog):
    caplog.set_level(logging.WARNING, "dlth_tf")
    transform = RSTPenalty(step=limit, every=1, limit=limit, hold_steps=hold)
    model = compiled(wrapped(remove=False))
    model.fit(batches(transform.steps).repeat(), steps_per_epoch=transform.steps, callbacks=[transform], verbose=0)
    assert bool([each for each in said(caplog) if "squeezed" in each]) == warned
    assert not any(np.any(each.kept() & ~each.chosen()) for each in masking.prunable_weights(model).values())


def test_nothing_is_said_where_nothing_is_removed(caplog):
    caplog.set_level(logging.WARNING, "dlth_tf")
    transform = RSTPenalty(step=1e-3, every=1, limit=1e-3, hold_steps=0, remove_at_end=False)
    model = compiled(wrapped(remove=False))
    model.fit(batches(transform.steps), callbacks=[transform], verbose=0)
    assert said(caplog) == []
