from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from dlth_tf.data import AUGMENTS
from dlth_tf.data.augment.crops import PAD
from dlth_tf.errors import BadInput

IMAGES = np.random.default_rng(0).integers(1, 256, (200, 8, 6, 3), dtype=np.uint8)
crop_flip = AUGMENTS.load("crop_flip")


def seed(*words: int) -> tf.Tensor:
    return tf.constant(words, tf.int64)


def possible(image: np.ndarray) -> dict[bytes, tuple[int, int, bool]]:
    """Everything that the published recipe can make of one image: result -> (rows cut above, columns cut left, mirrored)."""
    padded = np.pad(image, [(PAD, PAD), (PAD, PAD), (0, 0)])
    height, width = image.shape[:2]
    outcomes = {}
    for top in range(2 * PAD + 1):
        for left in range(2 * PAD + 1):
            cut = padded[top : top + height, left : left + width]
            outcomes[cut.tobytes()] = (top, left, False)
            outcomes[cut[:, ::-1].tobytes()] = (top, left, True)
    return outcomes


def choices(words: tuple[int, int], images: np.ndarray = IMAGES) -> list[tuple[int, int, bool]]:
    changed = crop_flip(tf.constant(images), seed(*words)).numpy()
    assert changed.dtype == np.uint8 and changed.shape == images.shape
    return [possible(before)[after.tobytes()] for before, after in zip(images, changed, strict=True)]


def test_every_image_is_one_of_the_crops_and_flips_that_numpy_makes() -> None:
    assert len(choices((1, 2))) == len(IMAGES)


def test_images_of_one_batch_are_cut_at_different_places() -> None:
    found = choices((1, 2), np.repeat(IMAGES[:1], 200, axis=0))
    assert len(set(found)) > 80  # of 162 that are possible; 200 fair draws give about 115 different ones


def test_all_places_and_both_sides_are_equally_likely() -> None:
    found = np.array([choice for step in range(10) for choice in choices((3, step))])
    for column, kinds in ((0, 9), (1, 9), (2, 2)):
        counts = np.bincount(found[:, column], minlength=kinds)
        expected = len(found) / kinds
        assert len(counts) == kinds and (np.abs(counts - expected) < 5 * np.sqrt(expected)).all()


def test_the_seed_decides_everything() -> None:
    assert choices((1, 2)) == choices((1, 2))
    assert choices((1, 2)) != choices((1, 3))
    assert choices((1, 2)) != choices((2, 2))


def test_none_changes_nothing() -> None:
    np.testing.assert_array_equal(AUGMENTS.load("none")(tf.constant(IMAGES), seed(0, 0)).numpy(), IMAGES)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(BadInput, match="augment=cropflip: no such augment; did you mean crop_flip"):
        AUGMENTS.check("cropflip")
