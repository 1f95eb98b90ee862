"""The tf-mot side: the wrapper, wrap and strip, tickets on a model, the hook in the optimizer step, the optimizer as published."""

from dlth_tf.masking.dense_layers import prunable_of_ticket, why_whole
from dlth_tf.masking.keras2 import optimizers
from dlth_tf.masking.keras2.hook import StepHook, inner_optimizer, install, installed, uninstall
from dlth_tf.masking.keras2.layer import FixedMask, MaskedLayer
from dlth_tf.masking.keras2.weights import PrunableWeight, check_removed, leaf_layers, named_weights, prunable_weights
from dlth_tf.masking.keras2.wrapping import strip, wrap
from dlth_tf.masking.residual_ties import batch_norm_gamma
from dlth_tf.masking.rewinding import FreshOptimizer, rewind
from dlth_tf.masking.table import layer_table
from dlth_tf.masking.tickets import (
    apply_ticket,
    choose,
    choose_what_is_kept,
    chosen_ticket,
    magnitude_ticket,
    random_ticket,
    remove,
    score_ticket,
)

__all__ = [
    "FixedMask",
    "FreshOptimizer",
    "MaskedLayer",
    "PrunableWeight",
    "StepHook",
    "apply_ticket",
    "batch_norm_gamma",
    "check_removed",
    "choose",
    "choose_what_is_kept",
    "chosen_ticket",
    "inner_optimizer",
    "install",
    "installed",
    "layer_table",
    "leaf_layers",
    "magnitude_ticket",
    "named_weights",
    "optimizers",
    "prunable_of_ticket",
    "prunable_weights",
    "random_ticket",
    "remove",
    "rewind",
    "score_ticket",
    "strip",
    "uninstall",
    "why_whole",
    "wrap",
]
