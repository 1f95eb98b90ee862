"""Runs at chance accuracy, no better than a guess, such as with a ticket that lets no signal through."""

from __future__ import annotations

from collections.abc import Mapping

from scipy import stats

from dlth_tf.plain_numbers import FRACTION, real_number, whole_number

CONFIDENCE = 0.95


def is_at_chance(accuracy: float, classes: int, images: int) -> bool:
    """Returns True if Wilson's 95 % interval of an accuracy contains 1 / classes.

    Args:
      accuracy: Share of the images that was classified correctly, 0 to 1.
      classes: Number of classes, at least 1.
      images: Number of images that the accuracy was measured on.

    Raises:
      BadInput: If an argument is out of range.

    >>> is_at_chance(.112, classes=10, images=500), is_at_chance(.2, classes=10, images=500)
    (True, False)
    """
    low, high = wilson_interval(accuracy, images)
    return bool(low <= 1 / whole_number("classes", classes, least=1) <= high)


def wilson_interval(accuracy: float, images: int) -> tuple[float, float]:
    """Returns Wilson's 95 % interval of an accuracy, which has a width at 0 and at 1 too.

    Args:
      accuracy: Share of the examples that was classified correctly, 0 to 1.
      images: Number of examples that the accuracy was measured on.

    Raises:
      BadInput: If an argument is out of range.

    >>> low, high = wilson_interval(1.0, images=500)
    >>> round(low, 4), round(high, 4)
    (0.9924, 1.0)
    """
    images = whole_number("images", images, least=1)
    correct = min(images, round(real_number("accuracy", accuracy, FRACTION) * images))  # floats round above 2^53
    interval = stats.binomtest(correct, images).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def seeds_at_chance(accuracies: Mapping[int, float], classes: int | None, images: int | None) -> tuple[int, ...] | None:
    """Returns the seeds, in ascending order, whose run is at chance; None if a size is unknown.

    Args:
      accuracies: Test accuracy by seed, fractions from 0 to 1.
      classes: Number of classes; None if unknown.
      images: Number of test images; None if unknown.
    """
    if classes is None or images is None:
        return None
    return tuple(sorted(seed for seed, accuracy in accuracies.items() if is_at_chance(accuracy, classes, images)))
