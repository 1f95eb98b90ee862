"""A network of tf_keras that computes what a Keras 3 model on TensorFlow computes, with the same variables."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import tensorflow as tf
import tf_keras
from keras import tree

from dlth_tf.errors import BadInput
from dlth_tf.masking import leaf_layers, named_weights
from dlth_tf.masking.structure.layer_paths import variables_of

HALF = ("mixed_bfloat16", "mixed_float16", "bfloat16", "float16")


class _Weights(tf_keras.layers.Layer):
    """Holds the variables of one layer of Keras 3 under their names; computes nothing.

    Args:
      name: Name of the layer.
      variables: Its variables.
    """

    def __init__(self, name: str, variables: list[Any]) -> None:
        super().__init__(name=name.replace("/", "_"))
        self.held = [variable.value for variable in variables]
        self.built = True


class Keras3Layer(tf_keras.layers.Layer):
    """Calls a Keras 3 model, or a layer, in inference mode.

    Args:
      model: A Keras 3 model or layer on TensorFlow.
      name: Name of this layer.
    """

    def __init__(self, model: Any, name: str = "network") -> None:
        held = list(leaf_layers(model)) if isinstance(model, keras.Model) else [model]
        policies = [layer.dtype_policy.name for layer in held]
        # From the precision follows what an export may differ by, and which forms there are. Inputs stay as they are.
        half = next((policy for policy in policies if policy in HALF), "float32")
        super().__init__(name=name, dtype=half, autocast=False)
        self.supports_masking = bool(getattr(model, "supports_masking", False))
        self.call_model = _Caller(model)
        self.parts = [_Weights(layer.name, variables) for layer in held if (variables := variables_of(layer))]
        self.ending = ending(model)

    def call(self, inputs: Any, *others: Any, **named: Any) -> Any:
        """Computes the outputs."""
        return self.call_model(inputs, *others, **named)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor: a layer built anew calls the same model."""
        return {"model": self.call_model.model, "name": self.name}


class _Caller:
    """A function that tf_keras does not look into for variables, which `_Weights` holds already."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.takes_mask = "mask" in inspect.signature(model.call).parameters

    def __call__(self, *inputs: Any, mask: Any = None, **named: Any) -> Any:
        masks = {"mask": mask} if self.takes_mask and mask is not None else {}
        return self.model(*inputs, **{**named, **masks, "training": False})


def ending(model: Any) -> str:
    """Returns the name of the activation that computes the only output of a Keras 3 model, "" if it is not known."""
    outputs = tree.flatten(getattr(model, "outputs", None) or [])
    if len(outputs) != 1:
        return ""
    operation = outputs[0]._keras_history.operation
    while isinstance(operation, keras.Model):
        operation = operation.outputs[0]._keras_history.operation
    if isinstance(operation, keras.layers.Softmax):
        return "softmax"
    if isinstance(operation, keras.layers.UnitNormalization | keras.layers.LayerNormalization):
        return "normalized"
    if not isinstance(operation, keras.Layer):
        return type(operation).__name__.lower()
    activation = getattr(operation, "activation", None)
    return "linear" if activation is None else getattr(activation, "__name__", type(activation).__name__)


def in_tf_keras(model: Any) -> tf_keras.Model:
    """Returns a tf_keras model around a Keras 3 model on TensorFlow; both share their variables.

    Args:
      model: Functional, Sequential, or a subclassed model that was called.

    Raises:
      BadInput: If its inputs are not known.
    """
    inputs_known = bool(getattr(model, "inputs", None))
    structure = getattr(model, "_inputs_struct", model.inputs[0]) if inputs_known else None
    if structure is None:
        shapes = getattr(model, "_build_shapes_dict", None)
        if not shapes or len(shapes) != 1:
            reason = (
                "has no inputs of known shapes: build it as a Functional model, or call it on one batch, to export it"
            )
            raise BadInput("model", model.name, reason)
        shape = next(iter(shapes.values()))
        inputs: Any = tf_keras.Input(tuple(shape)[1:], dtype=model.input_dtype, name="images")
    else:
        inputs = tree.map_structure(_input, structure)
    network = tf_keras.Model(inputs, Keras3Layer(model)(inputs), name=model.name)
    return network


def _input(tensor: Any) -> Any:
    batch, *shape = tensor.shape
    return tf_keras.Input(tuple(shape), batch_size=batch, dtype=tf.as_dtype(tensor.dtype), name=tensor.name)


def renamed(ticket: Any, model: Any, network: tf_keras.Model) -> Any:
    """Returns a ticket of a Keras 3 model under the names of the weights that a network of tf_keras shares with it."""
    own = {id(variable.value): name for name, variable in named_weights(model).items()}
    names = {own[id(variable)]: name for name, variable in named_weights(network).items() if id(variable) in own}
    if all(names.get(name, name) == name for name in ticket):
        return ticket
    return type(ticket).from_masks({names.get(name, name): mask for name, mask in ticket.items()})
