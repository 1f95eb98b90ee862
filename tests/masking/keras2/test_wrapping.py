"""wrap and strip on every kind of network: nothing may change except the zeros."""

from __future__ import annotations

import numpy as np
import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf import masking
from dlth_tf.masking import MaskedLayer
from dlth_tf.masking.keras2.weights import leaf_layers
from tests.masking.keras2.wrapped_models import removed
from tests.masking.kinds import (
    KINDS,
    Kind,
    difference,
    fit_kind,
)
from tests.masking.networks import same, weights

L = tf_keras.layers


@pytest.fixture(params=KINDS, ids=str)
def kind(request) -> Kind:
    return KINDS[request.param]


@pytest.mark.fast_cases(
    "conv2d, batch norm, dropout", "attention", "operations, many inputs and outputs", "nested, shared", "subclassed"
)
def test_wrap_finds_the_prunable_weights_in_model_order_and_shares_all_weights(kind):
    model = kind.model()
    before = masking.named_weights(model)
    model = dlth.wrap(model)
    assert tuple(masking.prunable_weights(model)) == kind.prunable
    after = masking.named_weights(model)
    assert before.keys() == after.keys() and all(after[name] is variable for name, variable in before.items())


@pytest.mark.fast_cases(
    "conv2d, batch norm, dropout", "attention", "operations, many inputs and outputs", "nested, shared", "subclassed"
)
def test_wrap_and_strip_change_no_output(kind):
    model = kind.model()
    inputs = kind.inputs()
    plain = model(inputs)
    model = dlth.wrap(model)
    assert difference(model(inputs), plain) == 0.0
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.5, dense_layers="none"), remove=True)
    sparse = model(inputs)
    assert difference(sparse, plain) > 1e-3, "the twin: a difference of outputs is seen"
    assert difference(dlth.strip(model)(inputs), sparse) == 0.0


@pytest.mark.fast_cases("conv2d, batch norm, dropout", "subclassed")
@pytest.mark.parametrize(
    "name",
    [
        "conv2d, batch norm, dropout",
        "embedding, lstm",
        "attention",
        "operations, many inputs and outputs",
        "subclassed",
    ],
)
def test_a_wrapped_network_trains_like_the_plain_one_to_the_last_bit(name):
    kind = KINDS[name]
    plain = kind.model()
    model = dlth.wrap(kind.model())
    first = weights(model)
    logs = []
    for network in (plain, model):
        tf_keras.utils.set_random_seed(1)  # for dropout
        logs.append(fit_kind(kind, network, [], run_eagerly=True).history)
    assert logs[0] == logs[1] and np.isfinite(logs[0]["loss"]).all()
    assert same(weights(plain), weights(model))
    assert not same(weights(model), first)


@pytest.mark.fast_cases("conv2d, batch norm, dropout", "subclassed inside functional")
def test_the_stripped_network_is_an_ordinary_one_with_exact_zeros(kind):
    before = weights(kind.model())
    model = removed(kind.model())
    masks = {name: entry.kept() for name, entry in masking.prunable_weights(model).items()}
    plain = dlth.strip(model)
    assert not any(isinstance(layer, MaskedLayer) for layer in leaf_layers(plain))
    after = weights(plain)
    for name, value in after.items():
        kept = masks.get(name, np.ones(value.shape, bool))
        assert value[kept].tobytes() == before[name][kept].tobytes(), "kept weights are bit-untouched"
        assert value[~kept].tobytes() == np.zeros((~kept).sum(), value.dtype).tobytes(), (
            "removed weights are positive zeros"
        )
    assert all((~mask).sum() == -(-mask.size // 2) for mask in masks.values())
    assert [type(layer) for layer in leaf_layers(plain)] == [type(layer) for layer in leaf_layers(kind.model())]
