"""Sentences about removed weights that are not zero state how many, and blame nothing that was not looked at."""

from __future__ import annotations

import numpy as np
import pytest

import dlth_tf as dlth
from dlth_tf import masking
from dlth_tf.errors import BadInput
from tests.masking.networks import batches, compiled, wrapped


def spoil(model, count: int, value: float, kept: float | None = None) -> int:
    """Assigns values to some removed weights of fc2, and to the kept ones unless None; returns how many are removed."""
    entry = masking.prunable_weights(model)["fc2/kernel"]
    kernel = entry.weight.numpy()
    places = np.argwhere(~entry.kept())
    kernel[tuple(places[:count].T)] = value
    if kept is not None:
        kernel[entry.kept()] = kept
    entry.weight.assign(kernel)
    return len(places)


@pytest.mark.parametrize(
    ("count", "value", "kept", "observed"),
    [
        (3, -0.25, None, "3 of {}, the largest |w| is 0.25"),
        (2, np.nan, None, "2 of {}, 2 NaN; of the {} kept weights none is NaN"),
        (2, np.nan, np.nan, "2 of {}, 2 NaN; of the {} kept weights {} are NaN"),
        (1, np.inf, None, "1 of {}, the largest |w| is inf"),
    ],
)
def test_the_removed_weights_that_are_not_zero_are_counted_and_measured(count, value, kept, observed):
    model = wrapped()
    total = spoil(model, count, value, kept)
    rest = masking.prunable_weights(model)["fc2/kernel"].kept().sum()
    expected = observed.format(total, rest, rest)
    with pytest.raises(BadInput) as refused:
        dlth.strip(model)
    start = "has removed weights in fc2/kernel that are not zero "
    assert refused.value.allowed.startswith(f"{start}({expected}): a fit without callbacks.KeepMask()")
    assert "it was trained without" not in str(refused.value)
    with pytest.raises(RuntimeError) as failed:
        masking.check_removed(model)
    what = "NaN" if np.isnan(value) else "not zero"
    assert str(failed.value).startswith(f"removed weights of fc2/kernel are {what}: something outside")
    assert str(failed.value).endswith(
        f"may have changed them, such as a constraint, an assignment or another optimizer ({expected})"
    )


def test_a_fit_without_keep_mask_is_told_by_the_number():
    model = compiled(wrapped())
    model.fit(batches(4), epochs=2, verbose=0)
    entry = masking.prunable_weights(model)["fc1/kernel"]
    removed = int((~entry.kept()).sum())
    back = int(np.count_nonzero(entry.weight.numpy()[~entry.kept()]))
    assert back > 0.5 * removed
    with pytest.raises(BadInput, match=rf"fc1/kernel that are not zero \({back} of {removed}, the largest"):
        dlth.strip(model)


def test_what_the_sentence_advises_helps():
    model = wrapped()
    spoil(model, 3, np.nan)
    masking.remove(model)
    dlth.strip(model)
