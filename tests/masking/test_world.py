"""The functions on models that do not depend on the version of Keras."""

from __future__ import annotations

import numpy as np
import pytest

from dlth_tf import masking
from tests.masking.networks import wrapped


@pytest.mark.parametrize(
    ("value", "observed"),
    [(np.nan, "NaN"), (np.inf, "not zero"), (-1e-30, "not zero"), (-0.0, None), (0.0, None)],
    ids=str,
)
def test_check_removed_names_the_tensor_and_what_it_observed(value, observed):
    model = wrapped()
    entry = masking.prunable_weights(model)["fc2/kernel"]
    kernel = entry.weight.numpy()
    place = tuple(np.argwhere(~entry.kept())[3])
    kernel[place] = value
    entry.weight.assign(kernel)
    if observed is None:
        masking.check_removed(model)
        return
    with pytest.raises(RuntimeError, match=f"removed weights of fc2/kernel are {observed}: something outside"):
        masking.check_removed(model)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_check_removed_ignores_the_kept_weights(value):
    model = wrapped()
    entry = masking.prunable_weights(model)["fc2/kernel"]
    entry.weight.assign(np.where(entry.kept(), value, 0))
    masking.check_removed(model)
