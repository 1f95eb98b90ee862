"""The adapter for Keras 2 (tf_keras), on tf-mot's wrapper; it fulfills `masking.world.World`."""

from dlth_tf.masking.keras2 import optimizers as optimizers  # registers SGD, so that load_model finds it
from dlth_tf.masking.keras2.execution import scope, set_steps_per_execution, steps_per_execution
from dlth_tf.masking.keras2.graph import channel_graph
from dlth_tf.masking.keras2.hook import inner_optimizer, install, installed, uninstall
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
    "channel_graph",
    "inner_layer",
    "inner_optimizer",
    "install",
    "installed",
    "is_batch_norm",
    "is_wrapped",
    "leaf_layers",
    "named_weights",
    "prunable_weights",
    "scope",
    "set_steps_per_execution",
    "steps_per_execution",
    "strip",
    "uninstall",
    "why_dense",
    "wrap",
]
