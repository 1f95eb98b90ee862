"""Sizes of well-known data sets are known before they are read."""

from __future__ import annotations

import pytest

from dlth_tf import data
from dlth_tf.data.sets import digits


def test_the_number_of_digits_is_that_of_the_package():
    assert data.known_examples("digits") == len(digits.division()["train"])


@pytest.mark.parametrize(
    ("name", "examples"),
    [("cifar10", 45_000), ("imagenet2012@64", 1_271_167), ("folder:pictures", None), ("mine.data:load", None)],
)
def test_a_tenth_of_published_training_images_validates_and_other_sizes_are_not_known(name, examples):
    assert data.known_examples(name) == examples
