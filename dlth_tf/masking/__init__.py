"""Masks and tickets on models; names are loaded at their first use, so importing this imports no TensorFlow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlth_tf.registry import lazy_names

if TYPE_CHECKING:  # for type checkers, which do not follow __getattr__
    from dlth_tf.masking.dense_layers import prunable_of_ticket as prunable_of_ticket
    from dlth_tf.masking.dense_layers import why_whole as why_whole
    from dlth_tf.masking.fit_session import begin_fit as begin_fit
    from dlth_tf.masking.fit_session import end_fit as end_fit
    from dlth_tf.masking.fit_session import several_fits as several_fits
    from dlth_tf.masking.keras2 import optimizers as optimizers
    from dlth_tf.masking.keras2.hook import StepHook as StepHook
    from dlth_tf.masking.keras2.layer import FixedMask as FixedMask
    from dlth_tf.masking.keras2.layer import MaskedLayer as MaskedLayer
    from dlth_tf.masking.overview import Summary as Summary
    from dlth_tf.masking.overview import summary as summary
    from dlth_tf.masking.protocol import FitState as FitState
    from dlth_tf.masking.protocol import MaskUpdate as MaskUpdate
    from dlth_tf.masking.protocol import MaskUpdates as MaskUpdates
    from dlth_tf.masking.protocol import World as World
    from dlth_tf.masking.prunable import PrunableWeight as PrunableWeight
    from dlth_tf.masking.rewinding import FreshOptimizer as FreshOptimizer
    from dlth_tf.masking.rewinding import forget_before as forget_before
    from dlth_tf.masking.rewinding import note_before as note_before
    from dlth_tf.masking.rewinding import noted_before as noted_before
    from dlth_tf.masking.rewinding import put_back as put_back
    from dlth_tf.masking.rewinding import rewind as rewind
    from dlth_tf.masking.squeezing import warn_unless_squeezed as warn_unless_squeezed
    from dlth_tf.masking.structure.residual_ties import batch_norm_gammas as batch_norm_gammas
    from dlth_tf.masking.table import layer_table as layer_table
    from dlth_tf.masking.tickets import PICKS as PICKS
    from dlth_tf.masking.tickets import apply_ticket as apply_ticket
    from dlth_tf.masking.tickets import check_fits as check_fits
    from dlth_tf.masking.tickets import choose as choose
    from dlth_tf.masking.tickets import choose_what_is_kept as choose_what_is_kept
    from dlth_tf.masking.tickets import chosen_ticket as chosen_ticket
    from dlth_tf.masking.tickets import draw_ticket as draw_ticket
    from dlth_tf.masking.tickets import magnitude_ticket as magnitude_ticket
    from dlth_tf.masking.tickets import pick_ticket as pick_ticket
    from dlth_tf.masking.tickets import random_ticket as random_ticket
    from dlth_tf.masking.tickets import remove_weights as remove  # noqa: F401
    from dlth_tf.masking.tickets import within_what_is_kept as within_what_is_kept
    from dlth_tf.masking.world import accept_restored as accept_restored
    from dlth_tf.masking.world import averages_weights as averages_weights
    from dlth_tf.masking.world import batches_per_step as batches_per_step
    from dlth_tf.masking.world import check_removed as check_removed
    from dlth_tf.masking.world import execution_changes as execution_changes
    from dlth_tf.masking.world import execution_ends_with_epoch as execution_ends_with_epoch
    from dlth_tf.masking.world import fit_state as fit_state
    from dlth_tf.masking.world import gradients_made as gradients_made
    from dlth_tf.masking.world import has_masks as has_masks
    from dlth_tf.masking.world import inner_optimizer as inner_optimizer
    from dlth_tf.masking.world import install as install
    from dlth_tf.masking.world import installed as installed
    from dlth_tf.masking.world import leaf_layers as leaf_layers
    from dlth_tf.masking.world import mask_updates as mask_updates
    from dlth_tf.masking.world import named_weights as named_weights
    from dlth_tf.masking.world import prepare as prepare
    from dlth_tf.masking.world import prunable_weights as prunable_weights
    from dlth_tf.masking.world import scope as scope
    from dlth_tf.masking.world import set_steps_per_execution as set_steps_per_execution
    from dlth_tf.masking.world import steps_made as steps_made
    from dlth_tf.masking.world import steps_per_execution as steps_per_execution
    from dlth_tf.masking.world import strip as strip
    from dlth_tf.masking.world import uncount_gradients as uncount_gradients
    from dlth_tf.masking.world import uninstall as uninstall
    from dlth_tf.masking.world import weight_arrays as weight_arrays
    from dlth_tf.masking.world import without_masks as without_masks
    from dlth_tf.masking.world import wrap as wrap

_NAMES = {
    "dense_layers": ("prunable_of_ticket", "why_whole"),
    "fit_session": ("begin_fit", "end_fit", "several_fits"),
    "keras2.hook": ("StepHook",),
    "keras2.layer": ("FixedMask", "MaskedLayer"),
    "overview": ("Summary", "summary"),
    "protocol": ("FitState", "MaskUpdate", "MaskUpdates", "World"),
    "prunable": ("PrunableWeight",),
    "squeezing": ("warn_unless_squeezed",),
    "structure.residual_ties": ("batch_norm_gammas",),
    "rewinding": ("FreshOptimizer", "forget_before", "note_before", "noted_before", "put_back", "rewind"),
    "table": ("layer_table",),
    "tickets": (
        "PICKS",
        "apply_ticket",
        "check_fits",
        "choose",
        "choose_what_is_kept",
        "chosen_ticket",
        "draw_ticket",
        "magnitude_ticket",
        "pick_ticket",
        "random_ticket",
        "within_what_is_kept",
    ),
    "world": (
        "check_removed",
        "fit_state",
        "gradients_made",
        "inner_optimizer",
        "install",
        "has_masks",
        "installed",
        "prepare",
        "accept_restored",
        "averages_weights",
        "batches_per_step",
        "execution_changes",
        "execution_ends_with_epoch",
        "leaf_layers",
        "mask_updates",
        "named_weights",
        "prunable_weights",
        "scope",
        "set_steps_per_execution",
        "steps_made",
        "steps_per_execution",
        "strip",
        "without_masks",
        "uncount_gradients",
        "uninstall",
        "weight_arrays",
        "wrap",
    ),
}
__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {name: f"{__name__}.{module}:{name}" for module, names in _NAMES.items() for name in names}
    | {"optimizers": f"{__name__}.keras2.optimizers", "remove": f"{__name__}.tickets:remove_weights"},
)
