"""RandomMask: the ticket that it chooses at the start of a fit, with and without removal."""

from __future__ import annotations

import numpy as np
import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf import BadInput, masking
from dlth_tf.callbacks import KeepMask, RandomMask
from tests.masking.networks import compiled, kept_whole, largest_removed, mlp, same, train, watch, weights


def fitted(callback: RandomMask) -> tf_keras.Model:
    model = compiled(dlth.wrap(mlp()))
    train(model, [callback])
    return model


@pytest.mark.parametrize("options", [{}, {"dense_layers": "none"}, {"seed": 5, "dense_layers": "fc1"}])
def test_the_ticket_is_that_of_random_ticket(options):
    callback = RandomMask(0.75, **options)
    model = fitted(callback)
    assert (
        callback.ticket == masking.chosen_ticket(model) == dlth.random_ticket(dlth.wrap(mlp(seed=3)), 0.75, **options)
    )
    assert callback.ticket != dlth.random_ticket(model, 0.75, **{**options, "seed": 6})


def test_without_remove_the_weights_are_trained_as_if_it_were_not_there():
    model = fitted(RandomMask(0.5))
    plain = compiled(mlp())
    train(plain, [])
    assert kept_whole(model) and same(weights(model), weights(plain))


def test_with_remove_the_network_is_trained_sparse_from_its_first_step():
    model = compiled(dlth.wrap(mlp()))
    seen = watch(model)
    train(model, [RandomMask(0.5, remove=True)], epochs=2)
    assert int(seen.steps) == 12 and float(seen.largest) == 0.0
    assert largest_removed(model) == 0.0 and not kept_whole(model)
    assert masking.installed(model) is None, "the hook is removed again"
    dlth.strip(model)
    train(model, [])
    assert float(seen.largest) > 0, "the twin: the next fit keeps them only with a callback"


def test_keep_mask_goes_on_where_remove_ended():
    model = fitted(RandomMask(0.5, remove=True))
    seen = watch(model)
    train(compiled(model), [KeepMask()])
    assert float(seen.largest) == 0.0
    both = compiled(dlth.wrap(mlp()))
    train(both, [RandomMask(0.5, remove=True), KeepMask()])
    assert largest_removed(both) == 0.0 and masking.installed(both) is None


@pytest.mark.parametrize(("pick", "smallest"), [("magnitude_min", True), ("magnitude_max", False)])
def test_a_pick_by_magnitude_looks_at_the_present_weights(pick, smallest):
    model = dlth.wrap(mlp(seed=4))
    before = weights(model)
    callback = RandomMask(0.5, pick=pick)
    train(compiled(model), [callback])
    for name, mask in callback.ticket.items():
        removed = np.abs(before[name])[~mask]
        kept = np.abs(before[name])[mask]
        assert removed.max() < kept.min() if smallest else removed.min() > kept.max()
    assert callback.ticket.provenance["pick"] == pick


def test_an_unknown_pick_is_refused_at_once():
    with pytest.raises(BadInput, match="pick=best: must be one of random, magnitude_min, magnitude_max"):
        RandomMask(0.5, pick="best")


@pytest.mark.parametrize(
    ("build", "options", "sentence"),
    [
        (mlp, {"sparsity": 0.5}, "model=mlp: is not wrapped"),
        (lambda: dlth.wrap(mlp()), {"sparsity": 1.0}, "sparsity=1.0: must be at least 0 and below 1"),
        (lambda: dlth.wrap(mlp()), {"sparsity": 0.5, "dense_layers": "fc*,last"}, "leaves nothing to prune"),
        (lambda: dlth.wrap(mlp()), {"sparsity": 0.5, "allocation": "fair"}, "allocation=fair"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_the_first_step(build, options, sentence):
    model = compiled(build())
    before = weights(model)
    with pytest.raises(BadInput, match=sentence):
        train(model, [RandomMask(**options)])
    assert same(weights(model), before) and int(model.optimizer.iterations) == 0
