"""The input pipeline: order, restart at any step, dtypes, and rejected arguments."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from dlth_tf.data import (
    BatchFormat,
    BatchOrder,
    DataSet,
    Normalization,
    evaluation_batches,
    normalization,
    train_batches,
)
from dlth_tf.errors import BadInput
from tests.data.conftest import RAW, numbered

COUNT = 100
BATCH = 16
PER_EPOCH = COUNT // BATCH
PLAIN = BatchFormat(RAW)


def chosen(steps: int, *, start: int = 0, seed: int = 0, purpose: str = "finetune", count: int = COUNT) -> np.ndarray:
    """Returns the examples of each batch, int64 [steps, BATCH]; also checks that images and labels stay together."""
    batches = train_batches(numbered(count), BatchOrder(BATCH, seed, purpose, start, steps), PLAIN)
    examples = []
    for images, labels in batches.as_numpy_iterator():
        np.testing.assert_array_equal(images[:, 0, 0, 0], labels)
        examples.append(labels)
    return np.array(examples)


def test_an_epoch_takes_no_example_twice() -> None:
    for epoch in chosen(20 * PER_EPOCH).reshape(20, PER_EPOCH * BATCH):
        assert len(set(epoch)) == PER_EPOCH * BATCH


def test_an_epoch_without_remainder_takes_every_example() -> None:
    assert sorted(chosen(6, count=6 * BATCH).ravel()) == list(range(6 * BATCH))


def test_a_batch_depends_on_its_step_and_not_on_where_the_pipeline_started() -> None:
    whole = chosen(3 * PER_EPOCH + 2)
    for start in (1, PER_EPOCH - 1, PER_EPOCH, 2 * PER_EPOCH + 3):
        np.testing.assert_array_equal(chosen(len(whole) - start, start=start), whole[start:])
    np.testing.assert_array_equal(chosen(5), whole[:5])


def test_augmented_batches_depend_on_their_step_and_on_nothing_else(digits: DataSet) -> None:
    def batches(start: int, steps: int) -> list[np.ndarray]:
        form = BatchFormat(normalization(digits), augment="crop_flip")
        dataset = train_batches(digits.train, BatchOrder(64, 3, "x", start, steps), form)
        return [images for images, _ in dataset.as_numpy_iterator()]

    np.testing.assert_array_equal(batches(0, 20)[5:], batches(5, 15))


def test_epochs_seeds_and_purposes_differ_in_order() -> None:
    epochs = chosen(300 * PER_EPOCH).reshape(300, -1)
    assert len({epoch.tobytes() for epoch in epochs}) == 300  # TensorFlow's own index_shuffle repeats after 256
    first = [
        chosen(PER_EPOCH, seed=seed, purpose=purpose).tobytes()
        for seed in range(8)
        for purpose in ("transform", "finetune")
    ]
    assert len(set(first)) == 16


@pytest.mark.slow
def test_every_example_is_as_likely_at_every_place() -> None:
    epochs = chosen(600 * PER_EPOCH).reshape(600, -1)
    counts = np.array([np.bincount(place, minlength=COUNT) for place in epochs.T])
    # Per degree of freedom: 1 with a spread of .015.
    chi_square = ((counts - 6) ** 2 / 6).sum() / (counts.shape[0] * (COUNT - 1))
    assert abs(chi_square - 1) < 0.08


def test_training_continues_as_long_as_batches_are_taken() -> None:
    endless = train_batches(numbered(COUNT), BatchOrder(BATCH, 0, "finetune", start=4), PLAIN)
    assert endless.cardinality() == tf.data.INFINITE_CARDINALITY
    taken = np.array([labels for _, labels in endless.take(30).as_numpy_iterator()])
    np.testing.assert_array_equal(taken, chosen(30, start=4))
    assert chosen(0).size == 0


def test_batches_have_a_static_shape_and_the_requested_dtypes(digits: DataSet) -> None:
    scheme = normalization(digits)
    train = train_batches(digits.train, BatchOrder(64, 0, "x", steps=1), BatchFormat(scheme, dtype="bfloat16"))
    assert train.element_spec == (tf.TensorSpec((64, 8, 8, 1), tf.bfloat16), tf.TensorSpec((64,), tf.int64))
    assert evaluation_batches(digits.test, BatchFormat(scheme)).element_spec[0] == tf.TensorSpec(
        (None, 8, 8, 1), tf.float32
    )


def test_images_stay_uint8_until_they_are_in_a_batch(digits: DataSet) -> None:
    seen = []

    class Watched(Normalization):
        def of_batch(self, images: tf.Tensor, dtype: str = "float32") -> tf.Tensor:
            seen.append((images.dtype, images.shape))
            return super().of_batch(images, dtype)

    form = BatchFormat(Watched(1.0, (0.0,), (1.0,)), augment="crop_flip")
    list(train_batches(digits.train, BatchOrder(64, 0, "x", steps=1), form))
    list(evaluation_batches(digits.test, form, batch_size=50))
    assert {dtype for dtype, _ in seen} == {tf.uint8} and seen[0][1] == (64, 8, 8, 1)


def test_no_pipeline_is_autotuned_since_letting_go_of_one_that_is_can_take_seconds(digits: DataSet) -> None:
    training = train_batches(digits.train, BatchOrder(64, 0, "x"), PLAIN)
    evaluation = evaluation_batches(digits.test, PLAIN)
    assert [batches.options().autotune.enabled for batches in (training, evaluation)] == [False, False]


@pytest.mark.parametrize("batch_size", [1, 7, 10, 64, 1000])
def test_evaluation_sees_every_example_once_and_in_order(batch_size: int) -> None:
    batches = list(evaluation_batches(numbered(COUNT), PLAIN, batch_size).as_numpy_iterator())
    assert len(batches) == -(-COUNT // batch_size)
    for part in (
        np.concatenate([labels for _, labels in batches]),
        np.concatenate([images.ravel() for images, _ in batches]),
    ):
        np.testing.assert_array_equal(part, np.arange(COUNT))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"batch_size": 101}, "batch_size=101: must be at most 100, the number of training images"),
        ({"batch_size": 0}, "batch_size=0: must be a whole number, at least 1"),
        ({"augment": "crop"}, "augment=crop: no such augment; did you mean crop_flip or resized_crop?"),
        ({"augment": "crop_flip+mixup"}, "augment=crop_flip+mixup: mixes labels, and needs num_classes"),
        ({"start": -1}, "start=-1: must be a whole number, at least 0"),
        ({"steps": -1}, "steps=-1: must be a whole number, at least 0"),
    ],
)
def test_bad_input_is_named_in_one_sentence(changes: dict[str, object], sentence: str) -> None:
    form = {"augment": changes["augment"]} if "augment" in changes else {}
    order = {"batch_size": 10, "seed": 0, "purpose": "x", **{key: changes[key] for key in changes if key not in form}}
    with pytest.raises(BadInput) as caught:
        train_batches(numbered(COUNT), BatchOrder(**order), BatchFormat(RAW, **form))
    assert str(caught.value) == sentence


def test_a_batch_of_the_whole_split_is_allowed_and_evaluation_needs_one_example_per_batch() -> None:
    ((_, labels),) = train_batches(numbered(5), BatchOrder(5, 0, "x", steps=1), PLAIN)
    assert sorted(labels.numpy()) == list(range(5))
    with pytest.raises(BadInput, match="batch_size=0: must be a whole number, at least 1"):
        evaluation_batches(numbered(5), PLAIN, batch_size=0)
