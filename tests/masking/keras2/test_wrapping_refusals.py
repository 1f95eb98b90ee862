"""Models that `wrap` and `strip` refuse."""

from __future__ import annotations

import pytest
import tensorflow_model_optimization as tfmot
import tf_keras

import dlth_tf as dlth
from dlth_tf import BadInput, masking
from tests.masking.kinds import (
    functional,
)
from tests.masking.networks import batches, compiled, mlp, same, train, weights, wrapped

L = tf_keras.layers


def attention_that_was_never_called() -> tf_keras.Model:
    class Model(tf_keras.Model):
        def __init__(self):
            super().__init__()
            self.mha = L.MultiHeadAttention(2, 3)

    return Model()


def stock_wrapped() -> tf_keras.Model:
    return tfmot.sparsity.keras.prune_low_magnitude(mlp())


@pytest.mark.parametrize(
    ("build", "arguments", "sentence"),
    [
        (lambda: L.Dense(3), {}, "model=Dense: must be a tf_keras.Model"),
        (stock_wrapped, {}, "tf-mot's own wrapper prune_low_magnitude_fc1: call .*strip_pruning first"),
        (mlp, {"skip": "conv*"}, r"skip=conv\*: matches no layer; the model has fc1, fc2, out"),
        (mlp, {"only": ["fc1", "head"]}, "only=head: matches no layer"),
        (mlp, {"skip": None}, "skip=None: must be layer names or patterns: one text, or several"),
        (mlp, {"skip": [L.Dense(3, name="fc1")]}, "skip=.*: must be layer names or patterns"),
        (mlp, {"only": 3}, "only=3: must be layer names or patterns"),
        (mlp, {"skip": "*"}, "model=mlp: has no layer that tf-mot can prune"),
        (lambda: functional((8,), L.ReLU(), L.BatchNormalization()), {}, "has no layer that tf-mot can prune"),
        (attention_that_was_never_called, {}, "is not built yet .*call it once on a batch"),
    ],
)
def test_wrap_refuses(build, arguments, sentence):
    with pytest.raises(BadInput, match=sentence):
        dlth.wrap(build(), **arguments)


def test_strip_refuses_a_network_that_is_not_wrapped():
    with pytest.raises(BadInput, match=r"is not wrapped \(call model = dlth_tf.wrap"):
        dlth.strip(mlp())


def test_strip_refuses_a_ticket_that_is_chosen_but_not_removed():
    model = wrapped(remove=False)
    with pytest.raises(BadInput, match="has a ticket for fc1/kernel but its weights are not removed yet"):
        dlth.strip(model)
    masking.remove(model)
    dlth.strip(model)


def test_strip_refuses_a_second_ticket_that_is_chosen_but_not_removed():
    model = wrapped(0.5)
    sparser = dlth.random_ticket(model, 0.8)
    assert all((sparser[name] <= ticket).all() for name, ticket in masking.chosen_ticket(model).items()), (
        "the same scores decide"
    )
    masking.choose(model, sparser)
    with pytest.raises(BadInput, match="not removed yet"):
        dlth.strip(model)


def test_strip_refuses_removed_weights_that_came_back():
    model = compiled(wrapped())
    train(model, [])
    with pytest.raises(BadInput, match=r"removed weights in fc1/kernel that are not zero.*KeepMask"):
        dlth.strip(model)


def test_strip_of_a_network_without_a_ticket_is_the_network():
    model = mlp()
    before = weights(model)
    assert same(weights(dlth.strip(dlth.wrap(model))), before)


def test_a_stripped_network_trains_on_as_any_other():
    plain = dlth.strip(wrapped())
    history = compiled(plain).fit(batches(4), epochs=3, verbose=0).history["loss"]
    assert history[-1] < history[0]
