"""The paper as small pure functions and frozen values: NumPy only."""

from dlth_tf.core.allocation import ALLOCATIONS, removed_count, uniform
from dlth_tf.core.granularity import keep_highest
from dlth_tf.core.penalty import SCHEDULES, Staircase, staircase
from dlth_tf.core.ticket import Ticket

__all__ = ["ALLOCATIONS", "SCHEDULES", "Staircase", "Ticket", "keep_highest", "removed_count", "staircase", "uniform"]
