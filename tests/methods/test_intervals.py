"""Intervals shrink only where a run could not reach the published ones, and the log reports it."""

from __future__ import annotations

import logging

import pytest

from dlth_tf.methods.intervals import window_within_reach, within_reach


@pytest.fixture(autouse=True)
def heard(caplog):
    caplog.set_level(logging.INFO, "dlth_tf")


@pytest.mark.parametrize(("steps", "interval"), [(1, 1), (19, 1), (40, 2), (1999, 99), (2000, 100), (10**6, 100)])
def test_an_interval_is_at_most_a_twentieth_of_the_run(steps, interval, caplog):
    assert within_reach("rigl", 100, steps) == interval
    lines = [f"rigl: in this short run of {steps} steps the mask changes every {interval} steps instead of every 100"]
    assert caplog.messages == (lines if interval < 100 else [])


@pytest.mark.parametrize(
    ("epochs", "last_epoch", "window"),
    [(160, 81, 5), (8, 5, 5), (7, 4, 2), (2, 2, 2), (1, 1, 2), (80, 4, 4), (200, 3, 5)],
)
def test_a_window_is_as_published_when_the_last_epoch_leaves_room_for_it(epochs, last_epoch, window, caplog):
    assert window_within_reach("early_bird", 5, epochs, last_epoch) == window
    lines = [f"early_bird: in this short run {window} masks are compared instead of 5 (epochs: {epochs})"]
    assert caplog.messages == (lines if window < 5 else [])


def test_an_interval_is_never_so_short_that_hardly_a_step_trains():
    assert [within_reach("rigl", 100, steps, least=5) for steps in (16, 100, 160)] == [5, 5, 8]
