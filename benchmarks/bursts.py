"""What the benchmarks of inference have in common: bursts of calls, long enough to be timed."""

from __future__ import annotations

import time
from collections.abc import Callable

BURST = 0.05  # seconds that a burst takes at least


def repetitions(run: Callable[[], object]) -> int:
    """How many calls take about BURST seconds."""
    run()
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < BURST:
        run()
        count += 1
    return count


def burst(run: Callable[[], object], count: int) -> tuple[float, float]:
    """Milliseconds of a call: wall and CPU."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(count):
        run()
    return (time.perf_counter() - wall) / count * 1e3, (time.process_time() - cpu) / count * 1e3
