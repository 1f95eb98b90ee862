"""RandAugment: keras-cv's layer without a random state."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from dlth_tf.data.augment.rand_augment import keras_cv, randaugment
from dlth_tf.errors import BadInput

IMAGES = np.random.default_rng(0).integers(0, 256, (24, 8, 8, 3), dtype=np.uint8)
SEED = tf.constant([1, 2], tf.int64)


def drawing_operations(function: Any, *arguments: tf.Tensor) -> set[str]:
    """Returns the random operations in the graph of a `tf.function` that keep a state."""
    graph = function.get_concrete_function(*arguments).graph.as_graph_def()
    nodes = [*graph.node, *(node for each in graph.library.function for node in each.node_def)]
    return {node.op for node in nodes if "Random" in node.op and not node.op.startswith("StatelessRandom")} | {
        node.op for node in nodes if node.op.startswith("Rng")
    }


@pytest.fixture(scope="module")
def change() -> Any:
    """The augmentation, traced once for all tests with images of this shape."""
    return tf.function(randaugment)


@pytest.mark.slow
def test_no_operation_of_the_layer_keeps_a_random_state(change: Any) -> None:
    assert drawing_operations(change, tf.constant(IMAGES), SEED) == set()


@pytest.mark.slow
def test_the_stock_layer_keeps_one() -> None:
    layer = keras_cv.layers.RandAugment((0, 255), augmentations_per_image=1, seed=1)
    assert drawing_operations(tf.function(lambda images: layer(images, training=True)), tf.constant(IMAGES))


@pytest.mark.slow
def test_every_image_is_changed_in_its_own_way_and_stays_in_range(change: Any) -> None:
    changed = change(tf.constant(np.repeat(IMAGES[:1], 24, axis=0)), SEED).numpy()
    assert changed.dtype == np.float32 and changed.min() >= 0 and changed.max() <= 255
    assert len({image.tobytes() for image in changed}) > 15


@pytest.mark.slow
def test_the_seed_decides_everything(change: Any) -> None:
    first, again, other = (change(tf.constant(IMAGES), tf.constant([1, step], tf.int64)).numpy() for step in (2, 2, 3))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any() and (first != IMAGES).any()


@pytest.mark.slow
def test_gray_images_stay_gray_images_in_their_own_range() -> None:
    gray = IMAGES[..., :1] // 16
    changed = tf.function(lambda images: randaugment(images, SEED, 16))(tf.constant(gray)).numpy()
    assert changed.shape == gray.shape and changed.max() <= 16.001 and (changed != gray).any()


def test_other_numbers_of_channels_are_refused() -> None:
    with pytest.raises(BadInput, match="needs images with 1 or 3 channels, and these have 2"):
        randaugment(tf.constant(IMAGES[..., :2]), SEED)
