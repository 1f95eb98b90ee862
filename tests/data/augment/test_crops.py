"""Crops and flips: every outcome is one of the published recipe, and equally likely."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from dlth_tf.data.augment.crops import PAD, crop_flip, none, resized_crop

IMAGES = np.random.default_rng(0).integers(1, 256, (200, 8, 6, 3), dtype=np.uint8)


def seed(*words: int) -> tf.Tensor:
    return tf.constant(words, tf.int64)


def possible(image: np.ndarray) -> dict[bytes, tuple[int, int, bool]]:
    """Returns every outcome of the published recipe for one image: result -> (rows above, columns left, mirrored)."""
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


def test_images_of_one_batch_are_cropped_at_different_places() -> None:
    outcomes = choices((1, 2), np.repeat(IMAGES[:1], 200, axis=0))
    assert len(set(outcomes)) > 80  # of 162 that are possible; 200 fair draws give about 115 different ones


def test_all_places_and_both_sides_are_equally_likely() -> None:
    outcomes = np.array([choice for step in range(10) for choice in choices((3, step))])
    for column, kinds in ((0, 9), (1, 9), (2, 2)):
        counts = np.bincount(outcomes[:, column], minlength=kinds)
        expected = len(outcomes) / kinds
        assert len(counts) == kinds and (np.abs(counts - expected) < 5 * np.sqrt(expected)).all()


def test_the_seed_decides_everything() -> None:
    assert choices((1, 2)) == choices((1, 2))
    assert choices((1, 2)) != choices((1, 3))
    assert choices((1, 2)) != choices((2, 2))


def test_none_changes_nothing() -> None:
    np.testing.assert_array_equal(none(tf.constant(IMAGES), seed(0, 0)).numpy(), IMAGES)


def test_resized_crop_shows_a_part_of_the_image_at_the_old_size() -> None:
    ramp = np.broadcast_to(np.linspace(0, 250, 50).astype(np.uint8)[None, None, :, None], (40, 50, 50, 3))
    changed = resized_crop(tf.constant(ramp), seed(3, 4)).numpy()
    assert changed.shape == ramp.shape and changed.dtype == np.uint8
    steps = np.diff(changed[:, 25, :, 0].astype(int), axis=1)
    rising = (steps >= 0).all(1)
    assert ((steps <= 0).all(1) | rising).all() and 8 < rising.sum() < 32  # mirrored or not, by a fair coin
    spans = np.ptp(changed[:, 25, :, 0].astype(int), axis=1)
    assert spans.min() < 120 and spans.max() > 180  # small parts and large ones
