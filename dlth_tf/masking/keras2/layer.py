"""The wrapper: tf-mot's PruneLowMagnitude with a mask that is never recomputed, and the ticket next to it."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras

from dlth_tf.masking.keras2.tfmot import PruneLowMagnitude, PruningSchedule


@tf_keras.utils.register_keras_serializable("dlth_tf")
class FixedMask(PruningSchedule):
    """The schedule of a mask that is set from outside: tf-mot never recomputes it."""

    def __call__(self, step: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns whether to recompute the mask at `step` (never), and to which sparsity."""
        return tf.constant(False), tf.constant(0.0)

    def get_config(self) -> dict[str, Any]:
        """Returns the class name with no arguments, in the form that tf-mot expects."""
        return {"class_name": type(self).__name__, "config": {}}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> FixedMask:
        """Builds the schedule; it has no arguments."""
        return cls()


@tf_keras.utils.register_keras_serializable("dlth_tf")
class MaskedLayer(PruneLowMagnitude):
    """A layer with, for each prunable weight, tf-mot's `mask` and the chosen `ticket`.

    Both are non-trainable variables of the weight's shape and dtype, 1 = kept, saved and restored with the model. The
    mask is all ones until weights are removed; the ticket marks those that are kept. The forward pass is the inner
    layer's own: masks are applied inside the optimizer's update step (`masking.keras2.hook`), so weights are sparse at
    every moment and, under mixed precision, never rounded.

    Args:
      layer: A layer that tf-mot can prune.
    """

    def __init__(self, layer: tf_keras.layers.Layer, **kwargs: Any) -> None:
        kwargs.setdefault("dtype", layer.dtype_policy if hasattr(layer, "dtype_policy") else layer._dtype_policy)
        super().__init__(layer, pruning_schedule=FixedMask(), **kwargs)
        self._name = layer.name  # for model.get_layer, and for losses and targets by output name
        self.tickets: list[tf.Variable] = []

    def build(self, input_shape: Any) -> None:
        """Creates the masks and the tickets, all ones."""
        if self.built:
            return
        if isinstance(self.layer, tf_keras.layers.MultiHeadAttention) and not self.layer.built:
            _first_call(self.layer)
        super().build(input_shape)
        self.tickets = [
            self.add_weight(
                "ticket",
                shape=weight.shape,
                dtype=mask.dtype,
                initializer="ones",
                trainable=False,
                experimental_autocast=False,
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            )
            for weight, mask, _ in self.pruning_vars
        ]

    def add_weight(self, name: str, **kwargs: Any) -> tf.Variable:
        """Adds a variable under a unique name ("mask", "mask_1"), which HDF5 files need."""
        taken = sum(weight.name.split("/")[-1].startswith(name) for weight in self._non_trainable_weights)
        return super().add_weight(f"{name}_{taken}" if taken else name, **kwargs)

    def call(self, inputs: Any, *args: Any, training: Any = None, **kwargs: Any) -> Any:
        """Calls the inner layer; nothing is masked or counted here."""
        if self.layer._call_spec.expects_training_arg:
            kwargs["training"] = training
        if not self.layer._call_spec.expects_mask_arg:
            kwargs.pop("mask", None)  # Keras passes it to every call with **kwargs
        return self.layer(inputs, *args, **kwargs)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Computes the inner layer's own mask (Keras masking of time steps, not pruning)."""
        drops_it = not self.layer.supports_masking and getattr(self.layer.compute_mask, "_is_default", False)
        return None if drops_it else self.layer.compute_mask(inputs, mask)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the wrapper: the inner layer's own configuration, name, trainable and dtype."""
        config = super().get_config()
        return {key: config[key] for key in ("name", "trainable", "dtype", "layer") if key in config}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> MaskedLayer:
        """Builds the wrapper around a layer that is built from its own configuration."""
        config = dict(config)
        layer = tf_keras.layers.deserialize(config.pop("layer"), custom_objects=custom_objects)
        return cls(layer, **config)


def _first_call(layer: tf_keras.layers.MultiHeadAttention) -> None:
    """Calls an attention layer once, on the shapes in its config: only then does it create its kernels."""
    shapes = (layer._query_shape, layer._value_shape, layer._key_shape)
    with tf.init_scope():
        layer(*(tf.zeros([size or 1 for size in shape]) for shape in shapes))
