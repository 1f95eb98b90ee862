"""Values, models and lengths that GradualMagnitude refuses."""

from __future__ import annotations

import pytest
import tf_keras

from dlth_tf import BadInput
from dlth_tf.callbacks import GradualMagnitude
from tests.callbacks.refusals import refused
from tests.masking.networks import compiled, mlp, unknown_length, wrapped


@pytest.mark.parametrize("options", [{"every": 0}, {"begin": 0}, {"end": -1}, {"every": 1.5}], ids=str)
def test_bad_values_are_refused_at_construction(options):
    with pytest.raises(BadInput, match=next(iter(options))):
        GradualMagnitude(**{"sparsity": 0.5, **options})


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"begin": 5, "end": 4}, "end=4: must be at least 5, the first step that prunes"),
        (
            {"begin": 1, "end": 7, "every": 1},
            "end=7: is too late: the last pruning is at step 7, and this fit ends after 6",
        ),
        (
            {"begin": 1, "end": 5, "every": 3},
            "end=5: is too late: the last pruning is at step 7, and this fit ends after 6",
        ),
        ({}, "every=100: is too large: the last pruning is at step 101, and this fit ends after 6"),
        ({"begin": 5}, "begin=5: must be at most 3, half of this fit, unless end is given too"),
        (
            {"every": 1, "allocation": "global"},
            "allocation=global: cannot be combined with GradualMagnitude, which needs the number",
        ),
        (
            {"every": 1, "granularity": "2:4"},
            "granularity=2:4: cannot be combined with GradualMagnitude, whose masks change",
        ),
        ({"every": 1, "granularity": "block:5x1"}, "granularity=block:5x1: does not fit fc1/kernel"),
        ({"every": 1, "dense_layers": "*"}, "dense_layers=*: leaves nothing to prune"),
        ({"every": 1, "allocation": '{"fc9": 0.5}'}, "allocation=fc9: matches no pruned tensor"),
    ],
    ids=str,
)
def test_what_does_not_fit_the_model_or_its_length_is_refused(options, sentence):
    refused(compiled(wrapped(remove=False)), lambda: [GradualMagnitude(0.5, **options)], sentence)


def test_an_unwrapped_model_and_unknown_length_are_refused():
    refused(
        compiled(wrapped(remove=False)),
        [GradualMagnitude(0.5)],
        "end=None: must be given in steps",
        data=unknown_length(4),
    )
    refused(
        compiled(wrapped(remove=False)),
        [GradualMagnitude(0.5, end=4)],
        "begin=None: must be given in steps",
        data=unknown_length(4),
    )
    refused(
        compiled(wrapped(), tf_keras.optimizers.legacy.SGD(0.1)),
        [GradualMagnitude(0.5, every=1)],
        "has no update step of its own",
    )
    with pytest.raises(BadInput, match="is not wrapped"):
        compiled(mlp()).fit(unknown_length(4), verbose=0, callbacks=[GradualMagnitude(0.5, begin=1, end=2)])
