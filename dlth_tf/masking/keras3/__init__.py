"""The adapter for Keras 3, on the backend it runs on; it fulfills `masking.protocol.World`. Nothing is wrapped."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from dlth_tf.masking.keras3 import optimizers as optimizers  # registers SGD, so that load_model finds it
from dlth_tf.masking.keras3 import updates
from dlth_tf.masking.keras3.execution import (
    execution_ends_with_epoch,
    scope,
    set_steps_per_execution,
    steps_per_execution,
)
from dlth_tf.masking.keras3.fit_state import FitState as fit_state
from dlth_tf.masking.keras3.graph import channel_graph
from dlth_tf.masking.keras3.installing import INSTALLER, averages_weights, batches_per_step
from dlth_tf.masking.keras3.ops import BACKEND
from dlth_tf.masking.keras3.optimizers import copies_of, state_of
from dlth_tf.masking.keras3.prunable import why_dense
from dlth_tf.masking.keras3.tickets import (
    accept_restored,
    has_masks,
    prepare,
    prunable_weights,
    strip,
    stripped_copy,
    wrap,
)
from dlth_tf.masking.keras3.weights import is_batch_norm, leaf_layers, named_weights

gradients_made = INSTALLER.gradients_made
inner_optimizer = INSTALLER.inner_optimizer
install = INSTALLER.install
installed = INSTALLER.installed
optimizers_of = INSTALLER.optimizers_of
set_iterations = INSTALLER.set_iterations
steps_made = INSTALLER.steps_made
uncount_gradients = INSTALLER.uncount_gradients
uninstall = INSTALLER.uninstall

CAN_BE_PRUNED = "can be pruned: dlth_tf.wrap, or the first callback in a fit, gives it a mask"
EXECUTION_CHANGES = False
IN_TENSORFLOW = BACKEND == "tensorflow"


def inner_layer(layer: Any) -> Any:
    """Returns the layer itself: nothing is wrapped."""
    return layer


def weights_on_paths(model: Any, masks: Mapping[str, np.ndarray]) -> None:
    """Returns None: the paths through layers of Keras 3 are not known."""


__all__ = [
    "CAN_BE_PRUNED",
    "EXECUTION_CHANGES",
    "IN_TENSORFLOW",
    "accept_restored",
    "averages_weights",
    "batches_per_step",
    "channel_graph",
    "copies_of",
    "execution_ends_with_epoch",
    "fit_state",
    "gradients_made",
    "has_masks",
    "inner_layer",
    "inner_optimizer",
    "install",
    "installed",
    "is_batch_norm",
    "leaf_layers",
    "named_weights",
    "optimizers_of",
    "prepare",
    "prunable_weights",
    "scope",
    "set_iterations",
    "set_steps_per_execution",
    "state_of",
    "steps_made",
    "steps_per_execution",
    "strip",
    "stripped_copy",
    "uncount_gradients",
    "uninstall",
    "updates",
    "weights_on_paths",
    "why_dense",
    "wrap",
]
