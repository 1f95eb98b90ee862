"""The adapter of compaction for Keras 3, on the backend that it runs on (the protocol `Library`)."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Callable, Hashable, Iterator, MutableMapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import tree

from dlth_tf.deploy.compaction.library import Node, is_of_package, same_trainable
from dlth_tf.deploy.layer_config import config_of
from dlth_tf.masking import without_masks
from dlth_tf.masking.keras3 import graph
from dlth_tf.masking.keras3.execution import sync
from dlth_tf.masking.structure.layer_kinds import JOIN, POINTWISE, types_in
from dlth_tf.masking.structure.layer_paths import all_sublayers, weight_names

layers = keras.layers
Model = keras.Model
ELEMENTWISE = {
    getattr(module, name)
    for module in (keras.activations, keras.ops)
    for name in (
        *("linear", "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "sigmoid", "tanh"),
        *("hard_sigmoid", "hard_silu", "hard_tanh", "log_sigmoid", "softplus", "softsign", "exponential", "squareplus"),
    )
    if hasattr(module, name)
}
KIND_OF_TYPE = {layer_type: kind for kind, types in types_in(layers).items() for layer_type in types}
# Operations that Keras makes of `x + y` and `keras.ops.relu(x)` on its tensors, by the names of their classes.
KIND_OF_OPERATION = {
    **dict.fromkeys(("Add", "Subtract", "Multiply", "Maximum", "Minimum"), JOIN),
    **dict.fromkeys(("Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Gelu", "Silu", "Sigmoid", "Tanh"), POINTWISE),
    **dict.fromkeys(("HardSigmoid", "HardSilu", "HardTanh", "Softplus", "Softsign"), POINTWISE),
}


def plain(model: keras.Model) -> keras.Model:
    """Returns the same model, after checking its masks and giving its variables their present values.

    Raises:
      BadInput: If a ticket was chosen but nothing is removed yet, or removed weights are not zero.
    """
    sync(model)
    return without_masks(model)


def nodes(model: keras.Model) -> list[Node] | None:
    """Returns the calls of a Functional or built Sequential model; None for any other."""
    known = graph.functional(model)
    return None if known is None else [_node(node) for node in graph.nodes(known)]


def _node(node: Any) -> Node:
    arguments = node.arguments.args
    whole = arguments if isinstance(node.operation, keras.Layer) else (list(arguments),)
    given = tree.flatten(whole)
    return Node(
        node.operation,
        tuple(id(tensor) for tensor in node.input_tensors),
        {id(tensor): tuple(tensor.shape) for tensor in node.output_tensors},
        node.is_input,
        graph.options(node),
        len(whole) == 1 and all(isinstance(each, keras.KerasTensor) for each in given),
    )


def results(model: keras.Model) -> list[Hashable]:
    """Returns the keys of the tensors that a model returns."""
    return [id(tensor) for tensor in graph.functional(model).outputs]


def kind_of_type(layer: Any) -> str | None:
    """Returns the kind of a layer by its exact type, or of an operation."""
    if isinstance(layer, keras.Layer):
        return KIND_OF_TYPE.get(type(layer))
    return KIND_OF_OPERATION.get(type(layer).__name__) if is_of_package(layer, "keras") else None


def is_function(layer: Any) -> bool:
    """Returns whether it is an operation, or a layer that stands for a function on tensors."""
    return isinstance(layer, layers.Lambda) or not isinstance(layer, keras.Layer)


def computed(function: Any, inputs: Sequence[np.ndarray], dtype: str) -> np.ndarray:
    """Returns what a layer computes in inference mode, an operation, or an activation, in float64."""
    tensors = [keras.ops.convert_to_tensor(value, dtype) for value in inputs]
    if isinstance(function, keras.Layer):
        outputs = function(tensors if len(tensors) > 1 else tensors[0], training=False)
    else:
        outputs = function(*tensors)
    return keras.ops.convert_to_numpy(outputs).astype(np.float64)


def recreated(layer: Any, made: MutableMapping[int, Any], **changes: Any) -> Any:
    """Builds a layer or an operation anew from its config, a nested model from its layers, each once."""
    if id(layer) not in made:
        nested = (
            isinstance(layer, keras.Model) and is_of_package(layer, "keras") and graph.functional(layer) is not None
        )
        made[id(layer)] = (
            rebuilt(layer, lambda inner: recreated(inner, made)) if nested else _from_config(layer, made, changes)
        )
    return made[id(layer)]


def _from_config(layer: Any, made: MutableMapping[int, Any], changes: dict[str, Any]) -> Any:
    config = _described(layer)
    config |= {name: value for name in config if _is_code(layer, value := getattr(layer, name, None))}
    maker: Callable[..., Any] = type(layer).from_config
    if getattr(maker, "__func__", None) in (layers.Lambda.from_config.__func__, layers.Wrapper.from_config.__func__):
        if isinstance(layer, layers.Wrapper):
            config["layer"] = recreated(layer.layer, made)
        maker = functools.partial(layers.Layer.from_config.__func__, type(layer))  # what is inside is no description
    new = maker(config | changes)
    new.name = layer.name  # the config that Keras makes of a constructor's own arguments has none
    return new


def _described(layer: Any) -> dict[str, Any]:
    """Returns the config of a layer; that of a Lambda with what it holds, since Keras cannot describe all functions."""
    if type(layer) is not layers.Lambda:
        return config_of(layer)
    held = {"function": layer.function, "mask": layer.mask, "output_shape": layer._output_shape}
    return super(layers.Lambda, layer).get_config() | held | {"arguments": layer.arguments}


def _is_code(layer: Any, value: Any) -> bool:
    """Returns whether an attribute is code that the constructor takes, of which a config has a name or a description.

    Keras finds the names alone that it knows, and makes no functions of descriptions in its safe mode.
    """
    return callable(value) and not isinstance(value, keras.Layer) and getattr(value, "__self__", None) is not layer


def fill(layer: Any, weights: Sequence[np.ndarray], source: Any) -> None:
    """Sets the weights of a layer, what Keras derives from them once (`adapt`), and vocabularies.

    Raises:
      ValueError: If the layer does not have the parts of `source`.
    """
    layer.set_weights(_in_order(layer, weights, source))
    pairs = zip((source, *all_sublayers(source)), (layer, *all_sublayers(layer)), strict=True)
    for old, new in pairs:
        if new.weights and hasattr(new, "finalize_state"):
            new.finalize_state()
        if hasattr(new, "load_assets"):
            _copy_assets(old, new)


def _in_order(layer: Any, weights: Sequence[np.ndarray], source: Any) -> Sequence[np.ndarray]:
    """Returns the weights in the order in which a new layer has them: one that was quantized later has another."""
    old, new = (list(weight_names(each).values()) for each in (source, layer))
    if sorted(old) != sorted(new) or len(old) != len(weights):
        return weights
    values = dict(zip(old, weights, strict=True))
    return [values[name] for name in new]


def _copy_assets(old: Any, new: Any) -> None:
    """Copies what a layer holds beside its weights, as a file of Keras would."""
    held: dict[str, Any] = {}
    old.save_own_variables(held)
    new.load_own_variables(held)
    with tempfile.TemporaryDirectory() as folder:
        old.save_assets(folder)
        new.load_assets(folder)


def rebuilt(model: keras.Model, smaller: Callable[[Any], Any]) -> keras.Model:
    """Builds an uncompiled model like another one, from layers that `smaller` makes of the other's."""
    inputs = None if isinstance(model, keras.Sequential) else _new_inputs(model)
    with _as_uncompiled(model):
        made = keras.models.clone_model(model, inputs, clone_function=smaller)
    same_trainable(model, made)
    return made


def _new_inputs(model: keras.Model) -> Any:
    """Returns new inputs in the structure of the model's; those that Keras makes have the names of tensors."""
    layer_of = {
        id(tensor): node.operation for node in graph.nodes(model) if node.is_input for tensor in node.output_tensors
    }
    return tree.map_structure(lambda tensor: recreated(layer_of[id(tensor)], {}).output, model.input)


@contextlib.contextmanager
def _as_uncompiled(model: keras.Model) -> Iterator[None]:
    """Keeps Keras from compiling a copy of a model with a copy of its optimizer."""
    compiled = model.compiled
    model.compiled = False
    try:
        yield
    finally:
        model.compiled = compiled
