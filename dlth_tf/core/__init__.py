"""The paper as small pure functions and frozen values: NumPy only."""

from dlth_tf.core.allocation import ALLOCATIONS, PatternMap, erk, globally, parse_allocation, uniform
from dlth_tf.core.choice import check_choice
from dlth_tf.core.counting import exact, removed_count
from dlth_tf.core.early_bird import has_settled, mask_distance
from dlth_tf.core.granularity import GRANULARITIES, parse_granularity
from dlth_tf.core.highest import keep_highest
from dlth_tf.core.masks import choose_masks, choose_random, kept_groups
from dlth_tf.core.penalty import SCHEDULES, Staircase, staircase
from dlth_tf.core.ratios import cumulative, gradual, kept_by_level, levels_to
from dlth_tf.core.regrowth import drop_and_grow, drop_fraction
from dlth_tf.core.ticket import Ticket

__all__ = [
    "ALLOCATIONS",
    "GRANULARITIES",
    "SCHEDULES",
    "PatternMap",
    "Staircase",
    "Ticket",
    "check_choice",
    "choose_masks",
    "choose_random",
    "cumulative",
    "drop_and_grow",
    "drop_fraction",
    "erk",
    "exact",
    "globally",
    "gradual",
    "has_settled",
    "keep_highest",
    "kept_by_level",
    "kept_groups",
    "levels_to",
    "mask_distance",
    "parse_allocation",
    "parse_granularity",
    "removed_count",
    "staircase",
    "uniform",
]
