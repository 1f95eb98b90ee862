"""Values and models that EarlyBird refuses."""

from __future__ import annotations

import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf import BadInput
from dlth_tf.callbacks import EarlyBird
from tests.callbacks.refusals import refused
from tests.masking.networks import LOSS, compiled, mlp, train

L = tf_keras.layers
SGD = dlth.optimizers.SGD


@pytest.mark.parametrize(
    "options",
    [
        {"window": 1},
        {"window": 2.0},
        {"threshold": 1.1},
        {"scale_penalty": -1.0},
        {"scale_penalty": float("nan")},
        {"last_epoch": 0},
    ],
    ids=str,
)
def test_bad_values_are_refused_at_construction(options):
    with pytest.raises(BadInput, match=next(iter(options))):
        EarlyBird(0.5, **options)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"last_epoch": 3}, "last_epoch=3: must be at most 2, the number of epochs"),
        ({"sparsity": 1.0}, "sparsity=1.0"),
        ({"granularity": "block:5x1"}, "granularity=block:5x1: does not fit fc1/kernel"),
        ({"dense_layers": "fc9"}, "dense_layers=fc9: matches no prunable layer"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(options, sentence):
    refused(compiled(dlth.wrap(mlp())), lambda: [EarlyBird(**{"sparsity": 0.5, **options})], sentence, epochs=2)


def test_an_optimizer_that_cannot_carry_the_hook_and_an_unwrapped_model_are_refused():
    refused(
        compiled(dlth.wrap(mlp()), tf_keras.optimizers.legacy.SGD(0.1)),
        [EarlyBird(0.5)],
        "has no update step",
        epochs=2,
    )
    with pytest.raises(BadInput, match="is not wrapped"):
        train(compiled(mlp()), [EarlyBird(0.5)])
    with pytest.raises(BadInput, match="leaves nothing to prune"):
        model = dlth.wrap(tf_keras.Sequential([L.Input((8,)), L.Dense(3, name="out")]))
        model.compile(SGD(0.1), LOSS)
        train(model, [EarlyBird(0.5)])
