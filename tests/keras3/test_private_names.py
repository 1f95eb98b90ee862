"""Every private name of Keras 3 that the package uses is there, and is what it is taken for."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.keras3.networks import L, compiled, mlp
from tests.test_layers import private_names

ROOT = Path(__file__).resolve().parents[2]
FILES = (
    *(ROOT / "dlth_tf/masking/keras3").glob("*.py"),
    *(ROOT / "dlth_tf/deploy/keras3").glob("*.py"),
    *(ROOT / f"dlth_tf/{name}.py" for name in ("scores/keras3", "masking/structure/layer_paths", "callbacks/base")),
    ROOT / "dlth_tf/deploy/compaction/keras3.py",
)


def functional() -> keras.Model:
    inputs = keras.Input((4,), name="given")
    return keras.Model({"given": inputs}, [L.Dense(2, name="out")(inputs)])


def subclassed() -> keras.Model:
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.out = L.Dense(2, name="out")

        def call(self, x):
            return self.out(x)

    model = Own()
    model(np.zeros((1, 4), "float32"))
    return model


def built(optimizer: keras.optimizers.Optimizer | None = None) -> keras.Model:
    """Returns a compiled model whose optimizer has its variables."""
    model = compiled(mlp(), optimizer)
    model.optimizer.build(model.trainable_variables)
    return model


def step(model: keras.Model) -> None:
    """Makes one step of the optimizer without a compiled function around it."""
    model.optimizer.apply([keras.ops.zeros(weight.shape) for weight in model.trainable_variables])


def updates_all_at_once() -> bool:
    """Returns whether one call of the optimizer's method gets all gradients and variables, and a rate."""
    calls = []
    model = built(keras.optimizers.SGD(0.1))
    stock = model.optimizer._backend_update_step

    def seen(gradients, variables, rate):
        calls.append((len(gradients), len(variables), rate is not None))
        return stock(gradients, variables, rate)

    model.optimizer._backend_update_step = seen
    step(model)
    return set(calls) == {(6, 6, True)}


@functools.cache
def averages() -> bool:
    """Returns whether an optimizer's averages are in the order of its variables, each of the shape of its variable."""
    model = built(keras.optimizers.SGD(0.1, use_ema=True))
    optimizer = model.optimizer
    step(model)
    pairs = list(zip(optimizer._model_variables_moving_average, optimizer._trainable_variables, strict=True))
    return [id(weight) for _, weight in pairs] == [id(weight) for weight in model.trainable_variables] and all(
        np.array_equal(average, weight) for average, weight in pairs
    )


@functools.cache
def indices() -> bool:
    model = built()
    optimizer, variables = model.optimizer, model.trainable_variables
    keys = [optimizer._var_key(variable) for variable in variables]
    found = [optimizer._trainable_variables_indices[key] for key in keys]
    return found == list(range(6)) == [optimizer._get_variable_index(variable) for variable in variables]


def masks() -> bool:
    inputs = keras.Input((3,), dtype="int32")
    words = L.Embedding(4, 2, mask_zero=True)(inputs)
    given = L.LSTM(2)(words)._keras_history.operation._inbound_nodes[0].arguments.kwargs["mask"]
    return given is words._keras_mask and getattr(L.Dense(2)(keras.Input((3,))), "_keras_mask", None) is None


def untracks() -> bool:
    model = built()
    optimizer = model.optimizer
    before = list(optimizer.variables)
    extra = optimizer.add_variable_from_reference(model.trainable_variables[0], name="extra")
    with_it = list(optimizer.variables)
    optimizer._untrack_variable(extra)
    return with_it[-1] is extra and [id(v) for v in optimizer.variables] == [id(v) for v in before]


def tracks() -> bool:
    model = built()
    optimizer = model.optimizer
    tracked = []
    optimizer._track_variable = tracked.append
    before = list(optimizer.variables)
    extra = optimizer.add_variable_from_reference(model.trainable_variables[0], name="extra")
    return tracked == [extra] and len(optimizer.variables) == len(before)


def counts_batches() -> bool:
    model = built(keras.optimizers.SGD(0.1, gradient_accumulation_steps=5))
    for _ in range(5):
        step(model)
    steps = int(keras.ops.convert_to_numpy(model.optimizer.iterations))
    return int(model.optimizer._iterations.numpy()) == 5 and steps == 1


def rate() -> bool:
    return float(built(keras.optimizers.SGD(0.25)).optimizer._learning_rate.numpy()) == 0.25


def excluded_from_decay() -> bool:
    model = built(keras.optimizers.SGD(0.1, weight_decay=0.1))
    first, *others = model.trainable_variables
    model.optimizer.exclude_from_weight_decay([first])
    return not model.optimizer._use_weight_decay(first) and all(map(model.optimizer._use_weight_decay, others))


@functools.cache
def graph() -> bool:
    model = functional()
    calls = [node for nodes in model._nodes_by_depth.values() for node in nodes if not node.is_input]
    out = model.get_layer("out")
    return [node.operation for node in calls] == [out] and calls == out._inbound_nodes


def dtype_of_an_input() -> bool:
    (tensor,) = functional()._inputs
    tensor._dtype = "float64"
    return tensor.dtype == "float64"


def flattens() -> bool:
    attention = L.MultiHeadAttention(2, 3)
    attention.build((None, 4, 5), (None, 4, 5))
    model = keras.Sequential([keras.Input((6,)), mlp()])
    inner = [layer.name for layer in model._flatten_layers(recursive=True, include_self=False)]
    parts = attention._flatten_layers(recursive=False, include_self=False)
    return {"net", "fc1", "fc2", "out"} <= set(inner) and "query" in {part.name for part in parts}


CHECKS: dict[str, Callable[[], bool]] = {
    "_backend_update_step": updates_all_at_once,
    "_build_shapes_dict": lambda: list(map(tuple, subclassed()._build_shapes_dict.values())) == [(1, 4)],
    "_call_has_training_arg": lambda: L.Dropout(0.5)._call_has_training_arg and not L.Flatten()._call_has_training_arg,
    "_dtype": dtype_of_an_input,
    "_flatten_layers": flattens,
    "_functional": lambda: len(mlp()._functional.inputs) == 1,
    "_get_variable_index": indices,
    "_inbound_nodes": graph,
    "_inputs": lambda: [tensor.name for tensor in functional()._inputs] == ["given"],
    "_inputs_struct": lambda: list(functional()._inputs_struct) == ["given"],
    "_is_default": lambda: keras.callbacks.Callback.on_train_batch_end._is_default,
    "_iterations": counts_batches,
    "_keras_history": lambda: functional().outputs[0]._keras_history.operation.name == "out",
    "_learning_rate": rate,
    "_nodes_by_depth": graph,
    "_output_shape": lambda: L.Lambda(abs, output_shape=(3,))._output_shape == (3,),
    "_outputs_struct": lambda: isinstance(functional()._outputs_struct, list),
    "_keras_mask": masks,
    "_track_variable": tracks,
    "_model_variables_moving_average": averages,
    "_trainable_variables": averages,
    "_trainable_variables_indices": indices,
    "_untrack_variable": untracks,
    "_use_weight_decay": excluded_from_decay,
    "_var_key": indices,
}


@pytest.mark.parametrize("name", CHECKS)
def test_it_is_what_it_is_taken_for(name):
    assert CHECKS[name]()


def test_every_private_name_has_its_check():
    named_by_a_string = {"_backend_update_step"}
    used = set().union(*(private_names(path.read_text()) for path in FILES)) | named_by_a_string
    assert used == CHECKS.keys()
