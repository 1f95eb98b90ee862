"""The names of tf-mot that this package uses, loaded so that the process keeps its own choice of Keras."""

from dlth_tf.legacy_keras import tensorflow_keras_is_keras2

with tensorflow_keras_is_keras2():
    from tensorflow_model_optimization.python.core.sparsity.keras.prune_registry import PruneRegistry
    from tensorflow_model_optimization.python.core.sparsity.keras.pruning_wrapper import PruneLowMagnitude
    from tensorflow_model_optimization.sparsity.keras import PolynomialDecay, PruningSchedule

__all__ = ["PolynomialDecay", "PruneLowMagnitude", "PruneRegistry", "PruningSchedule"]
