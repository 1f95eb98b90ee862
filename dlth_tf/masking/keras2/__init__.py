"""The adapter for Keras 2 (tf_keras), on tf-mot's wrapper; it fulfills `masking.protocol.World`."""

import tensorflow as tf
import tf_keras

from dlth_tf.masking.keras2 import optimizers as optimizers  # registers SGD, so that load_model finds it
from dlth_tf.masking.keras2 import updates
from dlth_tf.masking.keras2.execution import scope, set_steps_per_execution, steps_per_execution
from dlth_tf.masking.keras2.fit_state import FitState as fit_state
from dlth_tf.masking.keras2.fit_state import prepare
from dlth_tf.masking.keras2.graph import channel_graph
from dlth_tf.masking.keras2.installing import INSTALLER
from dlth_tf.masking.keras2.optimizers import state_of
from dlth_tf.masking.keras2.paths import weights_on_paths
from dlth_tf.masking.keras2.weights import (
    has_masks,
    inner_layer,
    is_batch_norm,
    leaf_layers,
    named_weights,
    prunable_weights,
)
from dlth_tf.masking.keras2.wrapping import strip, stripped_copy, why_dense, wrap

gradients_made = INSTALLER.gradients_made
inner_optimizer = INSTALLER.inner_optimizer
install = INSTALLER.install
installed = INSTALLER.installed
optimizers_of = INSTALLER.optimizers_of
set_iterations = INSTALLER.set_iterations
steps_made = INSTALLER.steps_made
uncount_gradients = INSTALLER.uncount_gradients
uninstall = INSTALLER.uninstall

EXECUTION_CHANGES = True
IN_TENSORFLOW = True
CAN_BE_PRUNED = "not wrapped yet: tf-mot can prune it"


def batches_per_step(model: tf_keras.Model) -> int:
    """Returns 1: optimizers of Keras 2 accumulate no gradients."""
    return 1


def execution_ends_with_epoch(model: tf_keras.Model) -> bool:
    """Returns True: Keras 2 shortens the last execution of an epoch."""
    return True


def copies_of(optimizer: tf_keras.optimizers.Optimizer) -> list[tuple[tf.Variable, tf.Variable]]:
    """Returns none: an optimizer with moving averages cannot carry the hook, and no other has copies of the weights."""
    return []


def averages_weights(model: tf_keras.Model) -> bool:
    """Returns False: an optimizer with moving averages cannot carry the hook."""
    return False


def accept_restored(model: tf_keras.Model) -> None:
    """Does nothing: masks are weights of the model, which are restored with the others."""


__all__ = [
    "CAN_BE_PRUNED",
    "EXECUTION_CHANGES",
    "IN_TENSORFLOW",
    "accept_restored",
    "averages_weights",
    "batches_per_step",
    "channel_graph",
    "copies_of",
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
