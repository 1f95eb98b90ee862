"""The paper as small pure functions and frozen values; needs NumPy alone."""

from dlth_tf.core.allocation import ALLOCATIONS, parse_allocation, uniform
from dlth_tf.core.erk import erk
from dlth_tf.core.exact_counts import parse_sparsity, removed_count
from dlth_tf.core.global_threshold import global_threshold
from dlth_tf.core.granularity import GRANULARITIES, parse_granularity
from dlth_tf.core.iterative_sparsity import cumulative_sparsity
from dlth_tf.core.layout import Tensor
from dlth_tf.core.masks import check_fits, choose_masks, choose_random, kept_groups
from dlth_tf.core.patterns import PatternMap
from dlth_tf.core.penalty import SCHEDULES, PenaltySchedule
from dlth_tf.core.pruning_spec import PruningSpec, Round, RoundOptions
from dlth_tf.core.regrowth import drop_fraction
from dlth_tf.core.settled_masks import has_settled, mask_distance
from dlth_tf.core.ticket import Ticket
from dlth_tf.core.top_k import top_k_mask

__all__ = [
    "ALLOCATIONS",
    "GRANULARITIES",
    "SCHEDULES",
    "PatternMap",
    "PenaltySchedule",
    "PruningSpec",
    "Round",
    "RoundOptions",
    "Tensor",
    "Ticket",
    "check_fits",
    "choose_masks",
    "choose_random",
    "cumulative_sparsity",
    "drop_fraction",
    "erk",
    "global_threshold",
    "has_settled",
    "kept_groups",
    "mask_distance",
    "parse_allocation",
    "parse_granularity",
    "parse_sparsity",
    "removed_count",
    "top_k_mask",
    "uniform",
]
