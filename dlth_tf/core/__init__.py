"""The paper as small pure functions and frozen values: NumPy only."""

from dlth_tf.core.allocation import ALLOCATIONS, PatternMap, erk, global_threshold, parse_allocation, uniform
from dlth_tf.core.exact_counts import parse_sparsity, removed_count
from dlth_tf.core.granularity import GRANULARITIES, parse_granularity
from dlth_tf.core.iterative_sparsity import cumulative_sparsity, gradual, kept_by_level, levels_to
from dlth_tf.core.masks import choose_masks, choose_random, kept_groups
from dlth_tf.core.penalty import SCHEDULES, Staircase, staircase
from dlth_tf.core.pruning_spec import check_choice
from dlth_tf.core.regrowth import drop_and_grow, drop_fraction
from dlth_tf.core.settled_masks import has_settled, mask_distance
from dlth_tf.core.ticket import Ticket
from dlth_tf.core.top_k import top_k_mask

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
    "cumulative_sparsity",
    "drop_and_grow",
    "drop_fraction",
    "erk",
    "global_threshold",
    "gradual",
    "has_settled",
    "kept_by_level",
    "kept_groups",
    "levels_to",
    "mask_distance",
    "parse_allocation",
    "parse_granularity",
    "parse_sparsity",
    "removed_count",
    "staircase",
    "top_k_mask",
    "uniform",
]
