"""Published intervals, shortened to a twentieth of a run that is too short for them; a log line reports it."""

from __future__ import annotations

import logging

SHARE = 20


def within_reach(method: str, published: int, steps: int, least: int = 1) -> int:
    """Returns the steps from one mask update to the next: as published, but at most a twentieth of the run.

    Args:
      method: Name of the method, for the log.
      published: The interval of the paper, in optimizer steps.
      steps: Optimizer steps of the whole training.
      least: Lower bound; more than 1 where a step that updates the mask trains nothing.

    >>> within_reach("rigl", 100, 78_000), within_reach("rigl", 100, 160)
    (100, 8)
    """
    interval = min(published, max(least, steps // SHARE))
    if interval < published:
        logging.getLogger("dlth_tf").info(
            "%s: in this short run of %d steps the mask changes every %d steps instead of every %d",
            method,
            steps,
            interval,
            published,
        )
    return interval


def window_within_reach(method: str, published: int, epochs: int, last_epoch: int) -> int:
    """Returns the number of masks that are compared: as published if the epochs suffice, else a twentieth of them.

    Args:
      method: Name of the method, for the log.
      published: The number of the paper.
      epochs: Epochs of the training.
      last_epoch: Epoch before which the ticket is drawn at the latest.

    >>> window_within_reach("early_bird", 5, 160, 81), window_within_reach("early_bird", 5, 4, 3)
    (5, 2)
    """
    window = published if last_epoch >= published else max(2, min(published, epochs // SHARE))
    if window < published:
        logging.getLogger("dlth_tf").info(
            "%s: in this short run %d masks are compared instead of %d (epochs: %d)", method, window, published, epochs
        )
    return window
