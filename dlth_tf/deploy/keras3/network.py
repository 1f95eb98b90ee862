"""A network of tf_keras that computes what a Keras 3 model on TensorFlow computes, with the same variables."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras
from keras import tree

from dlth_tf.deploy.copied_layers import lookup_tables
from dlth_tf.deploy.ending import LINEAR
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
        self.held_tables = list(lookup_tables(model))
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
    """Returns the activation of the layer that computes the only output of a Keras 3 model; "" if it has none."""
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
    activation = getattr(operation, "activation", None)
    name = LINEAR if activation is None else getattr(activation, "__name__", type(activation).__name__)
    return "" if name == LINEAR else name


def in_tf_keras(model: Any, examples: Any = None) -> tf_keras.Model:
    """Returns a tf_keras model around a Keras 3 model on TensorFlow; both share their variables.

    Args:
      model: Functional, Sequential, or a subclassed model that was called.
      examples: Examples as `dlth_tf.export` takes them: the inputs of a subclassed model have their types. Without any,
        they are float32.

    Raises:
      BadInput: If its inputs are not known.
    """
    if getattr(model, "inputs", None):
        inputs = tree.map_structure(_input, getattr(model, "_inputs_struct", model.inputs[0]))
    else:
        inputs = _inputs_of_subclassed(model, examples)
    return tf_keras.Model(inputs, Keras3Layer(model)(inputs), name=model.name)


def _inputs_of_subclassed(model: Any, examples: Any) -> Any:
    """Returns inputs of the shapes that the model was built with, and of the types of the examples."""
    shapes = getattr(model, "_build_shapes_dict", None)
    if not shapes:
        reason = "has no inputs of known shapes: build it as a Functional model, or call it on one batch, to export it"
        raise BadInput("model", model.name, reason)
    required = [
        name
        for name, parameter in inspect.signature(model.call).parameters.items()
        if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    if len(required) > 1 or len(shapes) > 1:
        reason = f"takes several arguments ({', '.join(required)}): let it take one list or dictionary to export it"
        raise BadInput("model", model.name, reason)
    arrays = getattr(examples, "images", examples)

    def made(name: str, shape: Sequence[int | None]) -> Any:
        given = arrays.get(name) if isinstance(arrays, Mapping) else arrays
        dtype = tf.float32 if given is None else tf.as_dtype(np.asarray(given).dtype)
        return tf_keras.Input(tuple(shape)[1:], dtype=tf.float32 if dtype.is_floating else dtype, name=name)

    (shape,) = shapes.values()
    if isinstance(shape, Mapping):
        return {name: made(name, each) for name, each in shape.items()}
    if shape and isinstance(shape[0], list | tuple):
        return [made(f"input_{number}", each) for number, each in enumerate(shape, 1)]
    return made("images", shape)


def _input(tensor: Any) -> Any:
    batch, *shape = tensor.shape
    return tf_keras.Input(tuple(shape), batch_size=batch, dtype=tf.as_dtype(tensor.dtype), name=tensor.name)


def renamed(ticket: Any, model: Any, network: tf_keras.Model, twins: Mapping[int, Any] | None = None) -> Any:
    """Returns a ticket of a Keras 3 model under the names of the weights of a network of tf_keras.

    Args:
      ticket: The ticket.
      model: The Keras 3 model.
      network: Network that has the variables of the model, or twins of them.
      twins: Id of a variable of the model -> its twin in the network.
    """
    there = {id(variable): name for name, variable in named_weights(network).items()}
    names = {}
    for name, variable in named_weights(model).items():
        for one in ((twins or {}).get(id(variable)), variable.value):
            if id(one) in there:
                names[name] = there[id(one)]
                break
    if all(names.get(name, name) == name for name in ticket):
        return ticket
    return type(ticket).from_masks({names.get(name, name): mask for name, mask in ticket.items()})
