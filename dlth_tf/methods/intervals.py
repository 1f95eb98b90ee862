"""Published intervals that a short run could never reach shrink to a twentieth of the run, and the log says so."""

from __future__ import annotations

import logging

SHARE = 20


def within_reach(method: str, published: int, steps: int, least: int = 1) -> int:
    """The steps from one change of the mask to the next: as published, but at most a twentieth of the run.

    Args:
      method: named in the log.
      published: the interval of the paper, in optimizer steps.
      steps: of the whole training.
      least: never less than this; more than 1 where a step that changes the mask trains nothing.

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
    """How many masks are compared: as published if there are so many epochs before the last allowed one, else a twentieth.

    >>> window_within_reach("early_bird", 5, 160, 81), window_within_reach("early_bird", 5, 4, 3)
    (5, 2)
    """
    window = published if last_epoch >= published else max(2, min(published, epochs // SHARE))
    if window < published:
        logging.getLogger("dlth_tf").info(
            "%s: in this short run %d masks are compared instead of %d (epochs: %d)", method, window, published, epochs
        )
    return window
