"""EarlyBird in graphs, under mixed precision, and after a fit that was interrupted."""

from __future__ import annotations

import numpy as np
import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf.callbacks import EarlyBird
from tests.callbacks.early_bird_networks import convolutional, eager, fit
from tests.callbacks.refusals import Breaks
from tests.masking.networks import batches, compiled, kept_whole, mlp, weights

L = tf_keras.layers
SGD = dlth.optimizers.SGD


@pytest.mark.parametrize(
    "options", [{"steps_per_execution": 3}, pytest.param({"jit_compile": True}, marks=pytest.mark.slow)], ids=str
)
def test_graphs_give_the_same_as_eager_steps(options):
    outcomes = []
    for chosen in ({"run_eagerly": True}, options):
        bird = EarlyBird(0.5, last_epoch=2, granularity="filter")
        fit(model := compiled(convolutional(), **chosen), bird, epochs=3)
        outcomes.append((bird.ticket, weights(model)))
    assert outcomes[0][0] == outcomes[1][0]
    for name, value in outcomes[0][1].items():
        np.testing.assert_allclose(outcomes[1][1][name], value, rtol=0, atol=1e-4)


def test_mixed_precision_draws_too():
    tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    bird = EarlyBird(0.5, last_epoch=2, granularity="filter")
    fit(compiled(convolutional(), SGD(0.01, momentum=0.9)), bird, epochs=3)
    assert bird.drawn_at == 2


def test_it_can_be_used_again_after_a_fit_that_broke_off():
    bird = EarlyBird(0.5, last_epoch=3, window=2, threshold=0.0)
    broken = eager(dlth.wrap(mlp()), SGD(2.0))
    with pytest.raises(KeyboardInterrupt):
        broken.fit(batches(3), epochs=4, verbose=0, callbacks=[bird, Breaks(4)])
    assert bird.ticket is None and kept_whole(broken)
    fit(eager(broken, SGD(2.0)), bird, epochs=4)
    assert bird.drawn_at == 3
