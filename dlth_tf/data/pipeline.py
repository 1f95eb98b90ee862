"""The input pipeline: a batch is a pure function of (seed, stream, step), so neither resuming nor replicas can change it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dlth_tf.data.augment.names import BatchFunction, augment_key, augmentation
from dlth_tf.data.dataset import Split
from dlth_tf.data.disk_split import DiskSplit
from dlth_tf.data.normalize import Normalization
from dlth_tf.data.tf_data_options import READY, cores, options
from dlth_tf.errors import BadInput
from dlth_tf.randomness import stateless_seed

if TYPE_CHECKING:
    from collections.abc import Callable

    import tensorflow as tf

# Of `index_shuffle`'s block cipher. TensorFlow's own wrapper takes 4, where for 54,000 images the distance between neighbours
# is measurably not uniform (chi-square per degree of freedom 54 over 300 epochs); with 8 it is 1.0.
ROUNDS = 8
ALIGNMENT = 64  # bytes: where TensorFlow can use an array's memory as it is


def train_batches(
    split: Split | DiskSplit,
    *,
    batch_size: int,
    seed: int,
    stream: str,
    normalization: Normalization,
    augment: str = "none",
    start: int = 0,
    steps: int | None = None,
    dtype: str = "float32",
    num_classes: int | None = None,
    value_range: int = 255,
) -> tf.data.Dataset:
    """Training batches from step `start` on.

    An epoch is floor(N / batch_size) steps: the first so many examples of a permutation of its own. Nothing is skipped to get to
    `start`: every step finds its own examples, in memory or on disk.

    Args:
      split: the training images.
      batch_size: examples in a batch over all replicas, 1 to N.
      seed: the run's seed.
      stream: which sequence of batches of that seed, such as the phase's name.
      normalization: applied last, to what the augmentation made of pixels from 0 to `value_range`.
      augment: names in AUGMENTS joined by "+", with randomness of its own at every step; `augmentation(augment).soft_labels` tells
        which labels come out.
      start: the first step; with `start=k` come exactly the batches that come without it after k steps.
      steps: how many batches come; endlessly many when not given.
      dtype: of the images that come out.
      num_classes: for an augmentation that mixes labels.
      value_range: the largest value that a pixel can have.

    Returns:
      A dataset of (images `dtype` [B, H, W, C], labels int64 [B], or float32 [B, classes] where the augmentation mixes them).

    Raises:
      BadInput: `batch_size`, `augment`, `start` or `steps` is not allowed.
    """
    count = len(split)
    _check_batch_size(batch_size)
    if batch_size > count:
        raise BadInput("batch_size", batch_size, f"must be at most {count}, the number of training images")
    for name, value in (("start", start), ("steps", steps or 0)):
        if value < 0:
            raise BadInput(name, value, "must be 0 or more")
    parts = augmentation(augment)
    if parts.soft_labels and num_classes is None:
        raise BadInput("augment", augment, "mixes labels, and needs num_classes")
    import tensorflow as tf

    per_epoch, order_key = count // batch_size, _key(seed, f"data/{stream}")
    cut = parts.without("resized_crop") if isinstance(split, DiskSplit) else parts  # a stream cuts while it decodes
    change = cut.build(seed=seed, stream=stream, num_classes=num_classes, value_range=value_range)

    def chosen(step: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
        return _shuffled(step % per_epoch * batch_size + place, count, tf.stack([order_key, step // per_epoch]))

    def finish(images: tf.Tensor, labels: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images, labels = change(images, labels, step)
        return normalization.of_batch(tf.ensure_shape(images, [batch_size, *split.image_shape]), dtype), labels

    if isinstance(split, DiskSplit):
        crop_key = augment_key(seed, stream, "resized_crop") if cut != parts else None
        return _streamed(split, _numbers(start, steps, batch_size), batch_size, chosen, crop_key, finish, True)
    images, labels = _on_host(split)

    def batch(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        examples = chosen(step, tf.range(batch_size, dtype=tf.int64))
        return finish(tf.gather(images, examples), tf.gather(labels, examples), step)

    batches = _numbers(start, steps, 1).map(batch, num_parallel_calls=cores(), deterministic=True)
    return batches.prefetch(READY).with_options(options())


def evaluation_batches(
    split: Split | DiskSplit, *, normalization: Normalization, batch_size: int = 500, dtype: str = "float32"
) -> tf.data.Dataset:
    """Every example once, in order; the last batch may be smaller.

    Args:
      split: the images to evaluate on.
      normalization: the one that the training used.
      batch_size: examples in a batch over all replicas, at least 1.
      dtype: of the images that come out.

    Returns:
      A dataset of (images `dtype` [B, H, W, C], labels int64 [B]).

    Raises:
      BadInput: `batch_size` is below 1.
    """
    _check_batch_size(batch_size)
    import tensorflow as tf

    if isinstance(split, DiskSplit):

        def finish(images: tf.Tensor, labels: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            del step
            return normalization.of_batch(tf.ensure_shape(images, [None, *split.image_shape]), dtype), labels

        def in_order(step: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
            return step * batch_size + place

        return _streamed(split, tf.data.Dataset.range(len(split)), batch_size, in_order, None, finish, False)
    images, labels = _on_host(split)

    def batch(chosen: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return normalization.of_batch(tf.gather(images, chosen), dtype), tf.gather(labels, chosen)

    batches = (
        tf.data.Dataset.range(len(split)).batch(batch_size).map(batch, num_parallel_calls=cores(), deterministic=True)
    )
    return batches.prefetch(READY).with_options(options())


def _numbers(start: int, steps: int | None, each: int) -> tf.data.Dataset:
    """int64 from `start` on, for `steps` or for ever, `each` times as fine."""
    import tensorflow as tf

    return (
        tf.data.Dataset.counter(start * each)
        if steps is None
        else tf.data.Dataset.range(start * each, (start + steps) * each)
    )


def _streamed(
    split: DiskSplit,
    numbers: tf.data.Dataset,
    batch_size: int,
    chosen: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    crop_key: int | None,
    finish: BatchFunction,
    training: bool,
) -> tf.data.Dataset:
    """Batches of images that are read and decoded one by one, as many at a time as there are cores.

    Args:
      split: what is read.
      numbers: of the examples, as they come.
      batch_size: examples in a batch.
      chosen: (step, place in its batch) -> place in the split.
      crop_key: of the random crops; None cuts out the middle.
      finish: what is done to a batch.
      training: whether all batches are full.
    """
    import tensorflow as tf

    with tf.device("CPU"):
        labels = tf.constant(split.labels)

    def example(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        place = chosen(number // batch_size, number % batch_size)
        seed = None if crop_key is None else tf.stack([crop_key, number])
        return split.image(place, seed), labels[place], number // batch_size

    def batch(images: tf.Tensor, some_labels: tf.Tensor, steps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return finish(images, some_labels, steps[0])

    examples = numbers.map(example, num_parallel_calls=cores(), deterministic=True)
    batches = examples.batch(batch_size, drop_remainder=training).map(
        batch, num_parallel_calls=cores(), deterministic=True
    )
    return batches.prefetch(READY).with_options(options())


def _check_batch_size(batch_size: int) -> None:
    if batch_size < 1:
        raise BadInput("batch_size", batch_size, "must be at least 1")


def _shuffled(position: tf.Tensor, count: int, seed: tf.Tensor) -> tf.Tensor:
    """Where a pseudorandom permutation of range(count), one for every int64 [2] seed, takes `position`.

    The operation reads only the low bits of each word of its key (8 bits for a thousand images): with the seed and the epoch
    as words, the epochs would repeat after 256, and seeds that agree in those bits would share their order. So the words
    are first mixed into three random ones.
    """
    import tensorflow as tf

    key = tf.random.stateless_uniform([3], seed, minval=None, maxval=None, dtype=tf.int64, alg="philox")
    return tf.raw_ops.RandomIndexShuffle(
        index=position, seed=key, max_index=tf.constant(count - 1, tf.int64), rounds=ROUNDS
    )


def _key(seed: int, purpose: str) -> int:
    high, low = stateless_seed(seed, purpose)
    return high << 31 | low


def _on_host(split: Split) -> tuple[tf.Tensor, tf.Tensor]:
    """The split as tensors beside the pipeline, which captures them by reference: no graph holds a copy, no accelerator the data."""
    import tensorflow as tf

    with tf.device("CPU"):
        return _tensor(split.images), tf.constant(split.labels)


def _tensor(images: np.ndarray) -> tf.Tensor:
    """The array as a tensor: the same memory where that is laid out as TensorFlow needs it (see `prepared.aligned`), else a copy."""
    import tensorflow as tf

    if images.flags.c_contiguous and images.flags.writeable and images.ctypes.data % ALIGNMENT == 0:
        return tf.experimental.dlpack.from_dlpack(images.__dlpack__())
    return tf.constant(images)
