"""Removed weights that are not zero are counted, and their size and the kept ones tell the causes apart."""

from __future__ import annotations

import numpy as np
import pytest

from dlth_tf.core.removed_weights import not_zero

KEPT = np.array([[True, False], [False, True], [False, False]])
NAN = np.nan


@pytest.mark.parametrize(
    ("weight", "observed"),
    [
        ([[5, 0], [0, NAN], [-0.0, 0]], None),
        ([[5, 2], [0, 7], [-3, 0]], "2 of 4, the largest |w| is 3"),
        ([[5, -1e-30], [0, 7], [0, 0]], "1 of 4, the largest |w| is 1e-30"),
        ([[5, np.inf], [0, 7], [0, 0]], "1 of 4, the largest |w| is inf"),
        ([[5, NAN], [-2, 7], [0, 0]], "2 of 4, 1 NaN, the largest |w| is 2; of the 2 kept weights none is NaN"),
        ([[NAN, NAN], [NAN, NAN], [NAN, NAN]], "4 of 4, 4 NaN; of the 2 kept weights 2 are NaN"),
        ([[NAN, NAN], [0, 1], [0, 0]], "1 of 4, 1 NaN; of the 2 kept weights 1 is NaN"),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_not_zero_is_counted(weight: object, observed: str | None, dtype: type) -> None:
    assert not_zero(np.array(weight, dtype), KEPT) == observed


def test_nothing_removed_is_nothing_to_describe() -> None:
    assert not_zero(np.ones(3), np.ones(3, bool)) is None
