"""The adapter for Keras 2 (tf_keras), on tf-mot's wrapper; it fulfills `masking.world.World`."""

from dlth_tf.masking.keras2 import optimizers as optimizers  # registers SGD, so that load_model finds it
from dlth_tf.masking.keras2.execution import scope, set_steps_per_execution, steps_per_execution
from dlth_tf.masking.keras2.fit_session import FitState as fit_state
from dlth_tf.masking.keras2.fit_session import begin_fit, end_fit, several_fits
from dlth_tf.masking.keras2.graph import channel_graph
from dlth_tf.masking.keras2.hook import (
    inner_optimizer,
    install,
    installed,
    optimizers_of,
    steps_made,
    uncount_steps,
    uninstall,
)
from dlth_tf.masking.keras2.optimizers import state_of
from dlth_tf.masking.keras2.weights import (
    inner_layer,
    is_batch_norm,
    is_wrapped,
    leaf_layers,
    named_weights,
    prunable_weights,
)
from dlth_tf.masking.keras2.wrapping import strip, why_dense, wrap

__all__ = [
    "begin_fit",
    "channel_graph",
    "end_fit",
    "fit_state",
    "inner_layer",
    "inner_optimizer",
    "install",
    "installed",
    "is_batch_norm",
    "is_wrapped",
    "leaf_layers",
    "named_weights",
    "optimizers_of",
    "prunable_weights",
    "scope",
    "set_steps_per_execution",
    "several_fits",
    "state_of",
    "steps_made",
    "steps_per_execution",
    "strip",
    "uncount_steps",
    "uninstall",
    "why_dense",
    "wrap",
]
