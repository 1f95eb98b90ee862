"""Axes of the plots."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from dlth_tf.analysis.plotting.scales import accuracy_axis, plain_log_ticks


def ticks(*accuracies: float) -> list[float]:
    axes = Figure().add_subplot()
    accuracy_axis(axes, np.array(accuracies))
    return list(axes.get_yticks())


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [
        ((10, 98.5), [0, 50, 80, 90, 95, 98]),
        ((90, 99.9), [90, 95, 98, 99, 99.5, 99.8, 99.9]),
        ((90, 99.8, 100), [90, 95, 98, 99, 99.5, 100]),
        ((0, 100), [0, 50, 100]),
        ((65, 98), [70, 80, 90, 95]),  # an axis that ends between 50 and 80
        ((45, 98), [50, 80, 90, 95]),
        ((15, 76), [20, 40, 50, 60, 70]),  # errors that differ by more than 3, and no tick of the wide axis above 50
        ((62, 66), [63, 66]),
    ],
)
def test_ticks_are_round_accuracies_inside_the_axis(accuracies, expected) -> None:
    assert set(expected) <= set(ticks(*accuracies)) and len(ticks(*accuracies)) <= 9


@pytest.mark.parametrize("accuracies", [(100.0,), (0.0,), (100.0, 100.0), (50.0,), (0.0, 100.0), (99.99, 100.0)])
def test_every_accuracy_has_its_place_inside_the_axis(accuracies: tuple[float, ...]) -> None:
    axes = Figure().add_subplot()
    accuracy_axis(axes, np.array(accuracies))
    axes.plot([0] * len(accuracies), accuracies, "o")
    low, high = (axes.transData.transform((0, end))[1] for end in axes.get_ylim())
    for accuracy in accuracies:
        assert low < axes.transData.transform((0, accuracy))[1] < high


def test_halving_the_error_is_the_same_step_everywhere() -> None:
    axes = Figure().add_subplot()
    accuracy_axis(axes, np.array([20.0, 99.0]))
    heights = [axes.transData.transform((0, accuracy))[1] for accuracy in (20, 60, 80, 90, 95)]
    assert np.diff(heights) == pytest.approx(np.diff(heights)[0])
    linear = Figure().add_subplot()
    linear.set_ylim(0, 100)
    assert np.diff([linear.transData.transform((0, value))[1] for value in (20, 60, 80)])[0] != pytest.approx(
        np.diff(heights)[0]
    )


@pytest.mark.parametrize(("high", "least"), [(500, 5), (1e6, 4)])
def test_a_logarithmic_axis_has_plain_numbers_and_enough_of_them(high: float, least: int) -> None:
    axes = Figure().add_subplot()
    axes.set_xscale("log")
    axes.set_xlim(10, high)
    plain_log_ticks(axes.xaxis, 10, high)
    labels = [label.get_text() for label in axes.get_xticklabels() if label.get_text()]
    assert least <= len(labels) <= 12 and not any("$" in label for label in labels)
