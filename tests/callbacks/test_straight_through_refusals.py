"""Values, models and optimizers that StraightThrough refuses."""

from __future__ import annotations

import pytest
import tf_keras

import dlth_tf as dlth
from dlth_tf import BadInput
from dlth_tf.callbacks import StraightThrough
from tests.callbacks.refusals import refused
from tests.masking.networks import compiled, mlp, train, unknown_length

SGD = dlth.optimizers.SGD


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"sparsity": 1.0}, "sparsity=1.0: must be at least 0 and below 1"),
        (
            {"allocation": "global"},
            "allocation=global: cannot be combined with StraightThrough, which needs the number",
        ),
        (
            {"granularity": "2:4"},
            "granularity=2:4: cannot be combined with StraightThrough, whose masks change during training",
        ),
        ({"granularity": "block:4x4"}, "granularity=block:4x4: does not fit fc2/kernel"),
        ({"dense_layers": "fc9"}, "dense_layers=fc9: matches no prunable layer"),
    ],
    ids=str,
)
def test_what_does_not_fit_the_model_is_refused(options, sentence):
    refused(compiled(dlth.wrap(mlp())), lambda: [StraightThrough(**{"sparsity": 0.5, **options})], sentence)


@pytest.mark.parametrize(
    ("optimizer", "sentence"),
    [(tf_keras.optimizers.legacy.SGD(0.1), "has no update step of its own"), (SGD(0.1, use_ema=True), "use_ema=True")],
    ids=["legacy", "ema"],
)
def test_an_optimizer_that_cannot_carry_the_hook_is_refused_while_the_weights_are_whole(optimizer, sentence):
    refused(compiled(dlth.wrap(mlp()), optimizer), [StraightThrough(0.5)], sentence)


def test_an_unwrapped_model_is_refused():
    with pytest.raises(BadInput, match="is not wrapped"):
        train(compiled(mlp()), [StraightThrough(0.5)])
    with pytest.raises(BadInput, match="is not wrapped"):
        compiled(mlp()).fit(unknown_length(2), verbose=0, callbacks=[StraightThrough(0.5)])
