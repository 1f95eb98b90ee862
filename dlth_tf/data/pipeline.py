"""The input pipeline: a batch is a pure function of (seed, purpose, step), independent of resumption and replicas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlth_tf.data.augment.names import BatchFunction, augment_key, augmentation
from dlth_tf.data.batches import BatchFormat, BatchOrder, check_batch_size
from dlth_tf.data.dataset import Split
from dlth_tf.data.disk_split import DiskSplit, described
from dlth_tf.data.host_memory import shared_tensor
from dlth_tf.data.tf_data_options import READY, cores, options
from dlth_tf.errors import BadInput
from dlth_tf.randomness import int62

if TYPE_CHECKING:
    from collections.abc import Callable

    import tensorflow as tf

# Rounds of the block cipher of `index_shuffle`. TensorFlow's own wrapper takes 4, where for 54,000 images the distance
# between neighbors is measurably not uniform (chi-square per degree of freedom 54 over 300 epochs); with 8 it is 1.0.
ROUNDS = 8


def train_batches(split: Split | DiskSplit, order: BatchOrder, form: BatchFormat) -> tf.data.Dataset:
    """Returns the training batches of a split.

    An epoch is floor(N / batch_size) steps over the first examples of its own random permutation. Nothing is skipped to
    reach `order.start`: every step computes the places of its own examples, in memory or on disk.

    Args:
      split: Training images and labels, N examples.
      order: Batch size (at most N), seed and range of steps.
      form: Augmentation, normalization and dtype. Every part of the augmentation draws its own random numbers at every
        step.

    Returns:
      A dataset of (examples `form.dtype` [B, ...], labels), where labels are int64 [B], or float32 [B, classes] if
      the augmentation mixes them, or float32 [B, targets] in regression.

    Raises:
      BadInput: If the batch is larger than the split, or the augmentation is unknown or needs `form.num_classes`.
    """
    if order.batch_size > len(split):
        raise BadInput(
            "batch_size", order.batch_size, f"must be at most {len(split)}, the number of training {split.noun}"
        )
    if form.augment != "none" and isinstance(split, Split) and split.noun != "images":
        raise BadInput("augment", form.augment, f"is for uint8 images, and the examples are {described(split.images)}")
    if augmentation(form.augment).soft_labels and form.num_classes is None:
        raise BadInput("augment", form.augment, "mixes labels, and needs num_classes")
    batches = _from_disk(split, order, form) if isinstance(split, DiskSplit) else _from_memory(split, order, form)
    return batches.prefetch(READY).with_options(options())


def evaluation_batches(split: Split | DiskSplit, form: BatchFormat, batch_size: int = 500) -> tf.data.Dataset:
    """Returns every example of a split once, in order and without augmentation; the last batch may be smaller.

    Args:
      split: Images and labels to evaluate on.
      form: Normalization and dtype, the same as in training; the other fields are not used.
      batch_size: Examples per batch over all replicas, at least 1.

    Returns:
      A dataset of (examples `form.dtype` [B, ...], labels int64 [B], or float32 [B, targets] in regression).

    Raises:
      BadInput: If `batch_size` is below 1.
    """
    batch_size = check_batch_size(batch_size)
    import tensorflow as tf

    numbers = tf.data.Dataset.range(len(split))
    all_labels = _labels_on_host(split)
    if isinstance(split, DiskSplit):

        def example(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return split.image(number), all_labels[number]

        def normalized(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            images = tf.ensure_shape(images, [None, *split.image_shape])
            return form.normalization.of_batch(images, form.dtype), labels

        batches = _parallel(_parallel(numbers, example).batch(batch_size), normalized)
    else:
        all_images = shared_tensor(split.images)

        def batch(places: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            images = form.normalization.of_batch(tf.gather(all_images, places), form.dtype)
            return images, tf.gather(all_labels, places)

        batches = _parallel(numbers.batch(batch_size), batch)
    return batches.prefetch(READY).with_options(options())


def _from_memory(split: Split, order: BatchOrder, form: BatchFormat) -> tf.data.Dataset:
    """Returns training batches that are gathered from arrays, one batch at a time per core."""
    import tensorflow as tf

    all_images = shared_tensor(split.images)
    all_labels = _labels_on_host(split)
    place_of = _shuffled_places(len(split), order)
    finish = _finisher(split, order, form)

    def batch(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        places = place_of(step, tf.range(order.batch_size, dtype=tf.int64))
        return finish(tf.gather(all_images, places), tf.gather(all_labels, places), step)

    return _parallel(_numbers(order, 1), batch)


def _from_disk(split: DiskSplit, order: BatchOrder, form: BatchFormat) -> tf.data.Dataset:
    """Returns training batches of images that are read and decoded one at a time per core."""
    import tensorflow as tf

    all_labels = _labels_on_host(split)
    place_of = _shuffled_places(len(split), order)
    finish = _finisher(split, order, form)
    crop_key = None
    if "resized_crop" in augmentation(form.augment).parts:
        crop_key = augment_key(order.seed, order.purpose, "resized_crop")

    def example(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        step = number // order.batch_size
        place = place_of(step, number % order.batch_size)
        seed = None if crop_key is None else tf.stack([crop_key, number])
        return split.image(place, seed), all_labels[place], step

    def batch(images: tf.Tensor, labels: tf.Tensor, steps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return finish(images, labels, steps[0])

    examples = _parallel(_numbers(order, order.batch_size), example)
    return _parallel(examples.batch(order.batch_size, drop_remainder=True), batch)


def _finisher(split: Split | DiskSplit, order: BatchOrder, form: BatchFormat) -> BatchFunction:
    """Returns the function that augments and normalizes a batch; images on disk are cropped while they are decoded."""
    import tensorflow as tf

    parts = augmentation(form.augment)
    augment = (parts.without("resized_crop") if isinstance(split, DiskSplit) else parts).build(order, form)

    def finish(images: tf.Tensor, labels: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images, labels = augment(images, labels, step)
        images = tf.ensure_shape(images, [order.batch_size, *split.image_shape])
        return form.normalization.of_batch(images, form.dtype), labels

    return finish


def _parallel(dataset: tf.data.Dataset, function: Callable[..., object]) -> tf.data.Dataset:
    """Maps a function over a dataset on all cores, in order."""
    return dataset.map(function, num_parallel_calls=cores(), deterministic=True)


def _numbers(order: BatchOrder, per_step: int) -> tf.data.Dataset:
    """Returns the int64 numbers of the steps of `order`, or of their examples with `per_step` of them in each step."""
    import tensorflow as tf

    first = order.start * per_step
    if order.steps is None:
        return tf.data.Dataset.counter(first)
    return tf.data.Dataset.range(first, (order.start + order.steps) * per_step)


def _shuffled_places(count: int, order: BatchOrder) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Returns the function (step, place in its batch) -> place in a split of `count` examples, all int64."""
    import tensorflow as tf

    per_epoch = count // order.batch_size
    key = int62(order.seed, f"data/{order.purpose}")

    def place_of(step: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
        position = step % per_epoch * order.batch_size + place
        return _shuffled(position, count, tf.stack([key, step // per_epoch]))

    return place_of


def _shuffled(position: tf.Tensor, count: int, seed: tf.Tensor) -> tf.Tensor:
    """Returns the image of `position` under a pseudorandom permutation of range(count), one for every int64 [2] seed.

    The operation reads only the low bits of each word of its key (8 bits for a thousand images): with the seed and the
    epoch as words, the epochs would repeat after 256, and seeds that agree in those bits would share their order. So
    the words are first mixed into three random ones.
    """
    import tensorflow as tf

    key = tf.random.stateless_uniform([3], seed, minval=None, maxval=None, dtype=tf.int64, alg="philox")
    return tf.raw_ops.RandomIndexShuffle(
        index=position, seed=key, max_index=tf.constant(count - 1, tf.int64), rounds=ROUNDS
    )


def _labels_on_host(split: Split | DiskSplit) -> tf.Tensor:
    """Returns the labels as a tensor in host memory, int64 [N] or float32 [N, targets]."""
    import tensorflow as tf

    with tf.device("CPU"):
        return tf.constant(split.labels)
