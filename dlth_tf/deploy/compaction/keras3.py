"""The adapter of compaction for Keras 3, on the backend that it runs on (the protocol `Library`)."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import tree

from dlth_tf.deploy.compaction.library import Node
from dlth_tf.masking.keras3 import graph
from dlth_tf.masking.keras3.execution import sync
from dlth_tf.masking.keras3.tickets import has_masks, strip
from dlth_tf.masking.structure.layer_kinds import JOIN, POINTWISE, types_in
from dlth_tf.masking.structure.layer_paths import all_sublayers

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


def check(model: keras.Model) -> None:
    """Checks that a model with masks has them applied, and gives its variables their present values.

    Raises:
      BadInput: If a ticket was chosen but nothing is removed yet, or removed weights are not zero.
    """
    sync(model)
    if has_masks(model):
        strip(model)


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
    own = type(layer).__module__.partition(".")[0] != "keras"
    return None if own else KIND_OF_OPERATION.get(type(layer).__name__)


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


def recreated(layer: Any, **changes: Any) -> Any:
    """Builds a layer or an operation anew from its config, of which some entries change."""
    config = layer.get_config()
    if callable(getattr(layer, "activation", None)) and "activation" in config:
        config["activation"] = layer.activation  # by name, Keras would only find the ones that it knows
    made = type(layer).from_config(config | changes)
    made.name = layer.name  # the config that Keras makes of a constructor's own arguments has none
    return made


def fill(layer: Any, weights: Sequence[np.ndarray], source: Any) -> None:
    """Sets the weights of a layer, what Keras derives from them once (`adapt`), and vocabularies.

    Raises:
      ValueError: If the layer does not have the parts of `source`.
    """
    layer.set_weights(weights)
    pairs = zip((source, *all_sublayers(source)), (layer, *all_sublayers(layer)), strict=True)
    for old, new in pairs:
        if new.weights and hasattr(new, "finalize_state"):
            new.finalize_state()
        if hasattr(new, "load_assets"):
            _copy_assets(old, new)


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
    if not model.trainable:
        made.trainable = False
    return made


def _new_inputs(model: keras.Model) -> Any:
    """Returns new inputs in the structure of the model's; those that Keras makes have the names of tensors."""
    layer_of = {
        id(tensor): node.operation for node in graph.nodes(model) if node.is_input for tensor in node.output_tensors
    }
    return tree.map_structure(lambda tensor: recreated(layer_of[id(tensor)]).output, model.input)


@contextlib.contextmanager
def _as_uncompiled(model: keras.Model) -> Iterator[None]:
    """Keeps Keras from compiling a copy of a model with a copy of its optimizer."""
    compiled = model.compiled
    model.compiled = False
    try:
        yield
    finally:
        model.compiled = compiled
