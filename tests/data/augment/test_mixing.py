"""Cutout, CutMix and MixUp: pixels, labels and distributions."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from dlth_tf.data import AUGMENTS
from dlth_tf.data.augment.mixing import cutmix, cutout, mixup, partners

COUNT = 64
HEIGHT = 12
WIDTH = 10
CLASSES = 7
# Image i has the value i + 1 everywhere: every pixel shows which image it came from.
IMAGES = np.broadcast_to(np.arange(1, COUNT + 1, dtype=np.uint8)[:, None, None, None], (COUNT, HEIGHT, WIDTH, 3))
LABELS = np.eye(CLASSES, dtype=np.float32)[np.arange(COUNT) % CLASSES]


def seed(*words: int) -> tf.Tensor:
    return tf.constant(words, tf.int64)


def mixed(part: object, step: int = 0) -> tuple[np.ndarray, np.ndarray]:
    images, labels = part(tf.constant(IMAGES), tf.constant(LABELS), seed(5, step))
    return images.numpy(), labels.numpy()


@pytest.mark.parametrize("step", range(5))
def test_cutmix_labels_are_the_shares_of_the_pixels(step: int) -> None:
    images, labels = mixed(cutmix, step)
    for image, label in zip(images, labels, strict=True):
        numbers, counts = np.unique(image[..., 0], return_counts=True)
        expected = sum(count * LABELS[number - 1] for number, count in zip(numbers, counts, strict=True)) / (
            HEIGHT * WIDTH
        )
        np.testing.assert_allclose(label, expected, atol=1e-6)


def test_cutmix_pastes_one_rectangle_of_one_other_image_at_its_own_place() -> None:
    patterned = np.random.default_rng(0).integers(0, 256, IMAGES.shape, dtype=np.uint8)
    flat, _ = mixed(cutmix)
    images, _ = cutmix(tf.constant(patterned), tf.constant(LABELS), seed(5, 0))
    sizes = set()
    for number, (image, marks) in enumerate(zip(images.numpy(), flat[..., 0], strict=True)):
        foreign = marks != number + 1
        rows, columns = foreign.any(1), foreign.any(0)
        np.testing.assert_array_equal(foreign, rows[:, None] & columns[None])
        assert (
            len(np.unique(marks[foreign])) <= 1
            and (np.diff(np.flatnonzero(rows)) == 1).all()
            and (np.diff(np.flatnonzero(columns)) == 1).all()
        )
        np.testing.assert_array_equal(
            image, patterned[marks.astype(int) - 1, np.arange(HEIGHT)[:, None], np.arange(WIDTH)]
        )
        sizes.add((rows.sum(), columns.sum()))
    assert len(sizes) > 20


def test_cutmix_keeps_as_much_as_the_published_distribution_keeps() -> None:
    """Unclipped, the pasted share would be uniform, with mean 1/2; the border clips the share s / 4 of a side s."""
    kept = np.concatenate([mixed(cutmix, step)[1][np.arange(COUNT), np.arange(COUNT) % CLASSES] for step in range(30)])
    side = np.sqrt(np.linspace(0, 1, 10_001))
    assert abs((1 - kept).mean() * CLASSES / (CLASSES - 1) - np.mean((side * (1 - side / 4)) ** 2)) < 0.03


def test_mixup_mixes_images_and_labels_by_the_same_number() -> None:
    images, labels = mixed(mixup)
    assert images.dtype == np.float32
    own = np.arange(COUNT)
    for number in own:
        value = images[number].flat[0]
        np.testing.assert_allclose(images[number], value, rtol=1e-6)
        candidates = [
            label
            for other in own
            for share in [0.0 if other == number else (value - (number + 1)) / (other - number)]
            if -1e-5 <= share <= 1 + 1e-5
            for label in [(1 - share) * LABELS[number] + share * LABELS[other]]
        ]
        assert any(np.allclose(labels[number], candidate, atol=1e-4) for candidate in candidates)
    np.testing.assert_allclose(images[:, 0, 0, 0].mean(), labels @ np.ones(CLASSES) @ (own + 1) / COUNT, atol=4)


def test_mixup_draws_from_beta_one_fifth() -> None:
    own = np.eye(COUNT, dtype=np.float32)  # every image has its own class, so that its label is lambda
    kept = np.concatenate(
        [np.diag(mixup(tf.constant(IMAGES), tf.constant(own), seed(1, step))[1].numpy()) for step in range(30)]
    )
    assert abs(kept.mean() - 0.5) < 0.04
    # The variance of Beta(a, a) is 1 / (4 (2 a + 1)); 1/64 of the images are their own partners.
    assert abs(kept.var() - 1 / (4 * 1.4)) < 0.02


def test_labels_add_up_to_1() -> None:
    for part in (cutmix, mixup):
        np.testing.assert_allclose(mixed(part)[1].sum(1), 1, atol=1e-6)


def test_partners_are_a_permutation_so_no_image_is_lost() -> None:
    orders = [tuple(partners(COUNT, seed(0, step)).numpy()) for step in range(4)]
    assert all(sorted(order) == list(range(COUNT)) for order in orders) and len(set(orders)) == 4


def test_cutout_blackens_a_square_of_half_the_side_or_what_the_border_leaves_of_it() -> None:
    changed = cutout(tf.constant(IMAGES), seed(1, 2)).numpy()
    assert changed.dtype == np.uint8
    places = set()
    for number, image in enumerate(changed):
        black = image[..., 0] == 0
        assert ((image == number + 1) | (image == 0)).all()
        rows, columns = np.flatnonzero(black.any(1)), np.flatnonzero(black.any(0))
        assert black.sum() == len(rows) * len(columns) and 3 <= len(rows) <= 6 and 2 <= len(columns) <= 5
        places.add((rows[0], columns[0]))
    assert len(places) > 20


@pytest.mark.parametrize("part", ["crop_flip", "resized_crop", "cutout"])
def test_the_seed_decides_everything_about_an_image_part(part: str) -> None:
    images = tf.constant(np.random.default_rng(0).integers(0, 256, (16, 12, 10, 3), dtype=np.uint8))
    change = tf.function(AUGMENTS.load(part))
    first, again, other = (change(images, seed(1, step)).numpy() for step in (2, 2, 3))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any() and (first != images.numpy()).any()


@pytest.mark.parametrize("part", [cutmix, mixup])
def test_the_seed_decides_everything_about_a_mixing_part(part: object) -> None:
    (first, first_labels), (again, again_labels), (other, _) = mixed(part, 2), mixed(part, 2), mixed(part, 3)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first_labels, again_labels)
    assert (first != other).any()
