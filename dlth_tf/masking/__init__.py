"""The tf-mot side: the wrapper, wrap and strip, tickets on a model, the hook in the optimizer step, the optimizer as published."""

from dlth_tf.masking import optimizers  # registers SGD, so that load_model finds it
from dlth_tf.masking.dense_layers import prunable_of_ticket, why_whole
from dlth_tf.masking.hook import StepHook, inner_optimizer, install, installed, uninstall
from dlth_tf.masking.joins import scale_after
from dlth_tf.masking.layer import FixedMask, MaskedLayer
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
from dlth_tf.masking.weights import PrunableWeight, check_removed, leaf_layers, named_weights, prunable_weights
from dlth_tf.masking.wrapping import strip, wrap

__all__ = [
    "FixedMask",
    "FreshOptimizer",
    "MaskedLayer",
    "PrunableWeight",
    "StepHook",
    "apply_ticket",
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
    "scale_after",
    "score_ticket",
    "strip",
    "uninstall",
    "why_whole",
    "wrap",
]
