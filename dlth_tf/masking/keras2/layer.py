"""The wrapper: tf-mot's PruneLowMagnitude with a mask that is never recomputed, and the ticket next to it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from dlth_tf.masking.keras2.parts import is_prunable, prunable_parts, weights_of_parts
from dlth_tf.masking.keras2.tfmot import PruneLowMagnitude, PruningSchedule
from dlth_tf.masking.structure.layer_paths import Path

OWN = ("layer", "tickets", "parts", "pruning_vars", "prunable_weights", "pruning_step", "pruning_obj", "built")


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
    every moment and, under mixed precision, never rounded. The wrapper has the name of its layer and passes on every
    public attribute that it does not have itself (`kernel`, `units`, `states`, a method of the user's own).

    Args:
      layer: A layer that tf-mot can prune, or one with such layers inside (a transformer block).
      parts: Of a layer with prunable layers inside: the paths of those that are pruned ("feed/up"); None: all.
    """

    def __init__(self, layer: tf_keras.layers.Layer, parts: Sequence[str] | None = None, **kwargs: Any) -> None:
        kwargs.setdefault("dtype", layer.dtype_policy if hasattr(layer, "dtype_policy") else layer._dtype_policy)
        self.parts = None if parts is None else tuple(parts)
        if not is_prunable(layer):
            layer.get_prunable_weights = functools.partial(weights_of_parts, layer, self._prunes)
        super().__init__(layer, pruning_schedule=FixedMask(), **kwargs)
        self._name = layer.name  # for model.get_layer, and for losses and targets by output name
        self.tickets: list[tf.Variable] = []

    def _parts(self) -> list[tuple[Path, tf_keras.layers.Layer]]:
        return [] if is_prunable(self.layer) else prunable_parts(self.layer)

    def _parts_are_built(self) -> bool:
        return all(part.weights for _, part in self._parts())

    def _prunes(self, path: Path) -> bool:
        return self.parts is None or "/".join(path) in self.parts

    def __getattr__(self, name: str) -> Any:
        """Returns a public attribute of the inner layer that the wrapper does not have."""
        layer = vars(self).get("layer")
        if layer is None or name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(layer, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Sets an attribute that only the inner layer has there (`layer.activation = ...`)."""
        layer = vars(self).get("layer")
        own = name.startswith("_") or name in OWN or name in vars(self) or hasattr(type(self), name)
        if layer is None or own or not hasattr(layer, name):
            super().__setattr__(name, value)
        else:
            setattr(layer, name, value)

    @property
    def stateful(self) -> bool:
        """Returns whether the inner layer carries its state from one batch to the next."""
        return self.layer.stateful

    @stateful.setter
    def stateful(self, value: bool) -> None:
        self.layer.stateful = value

    @property
    def trainable(self) -> bool:
        """Returns whether the inner layer is trained."""
        return self.layer.trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in self._flatten_layers():
            layer._trainable = value

    def count_params(self) -> int:
        """Returns the number of the inner layer's own parameters, without masks and tickets."""
        return self.layer.count_params()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the layer; its first argument may be given under the inner layer's name for it (`query=`)."""
        if not args:
            first = self.layer._call_spec.arg_names[0]
            args = (kwargs.pop(first),) if first in kwargs else ()
        if not self.built and not self._parts_are_built():
            build_by_call(self.layer, *args, **kwargs)
        return super().__call__(*args, **kwargs)

    def build(self, input_shape: Any) -> None:
        """Creates the masks and the tickets, all ones."""
        if self.built:
            return
        if isinstance(self.layer, tf_keras.layers.MultiHeadAttention) and not self.layer.built:
            _first_call(self.layer)
        if not self._parts_are_built():
            build_by_call(self.layer, tf_keras.Input(batch_shape=input_shape, dtype=self.compute_dtype))
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

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Builds the layer as a file says; one with prunable layers inside is built when it is called."""
        if is_prunable(self.layer):
            super().build_from_config(config)

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
        config = {key: config[key] for key in ("name", "trainable", "dtype", "layer") if key in config}
        return config if self.parts is None else {**config, "parts": list(self.parts)}

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


def build_by_call(layer: tf_keras.layers.Layer, *args: Any, **kwargs: Any) -> None:
    """Has a layer create its weights and those of the layers inside, by tracing one call on inputs like these."""

    def spec(value: Any) -> Any:
        if tf_keras.backend.is_keras_tensor(value):
            return value.type_spec
        return tf.TensorSpec(value.shape, value.dtype) if tf.is_tensor(value) else value

    with tf.init_scope():
        specs = tf.nest.map_structure(spec, (args, kwargs))
        tf.function(lambda args, kwargs: layer(*args, **kwargs)).get_concrete_function(*specs)
