"""Bursts of calls that are long enough to be timed, shared by the benchmarks of inference."""

from __future__ import annotations

import time
from collections.abc import Callable

BURST = 0.05  # minimum seconds of a burst


def repetitions(run: Callable[[], object]) -> int:
    """Returns the number of calls that take about BURST seconds."""
    run()
    count = 0
    start = time.perf_counter()
    while time.perf_counter() - start < BURST:
        run()
        count += 1
    return count


def burst(run: Callable[[], object], count: int) -> tuple[float, float]:
    """Times a burst of `count` calls and returns the milliseconds per call, wall time and CPU time."""
    wall = time.perf_counter()
    cpu = time.process_time()
    for _ in range(count):
        run()
    return (time.perf_counter() - wall) / count * 1e3, (time.process_time() - cpu) / count * 1e3
