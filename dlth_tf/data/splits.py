"""Division of examples into splits: by class, in fixed proportion, and always the same."""

from __future__ import annotations

import numpy as np

from dlth_tf.data.dataset import Split
from dlth_tf.data.disk_split import DiskSplit
from dlth_tf.plain_numbers import whole_number

CHUNK = 1024  # images moved at a time


def stratified(labels: np.ndarray, count: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Picks `count` examples at random so that every class keeps its share, up to rounding.

    The rounding is that of largest remainders, so the shares add up to exactly `count`; it takes the last example of a
    class only if the others cannot make up the number, so that rare classes stay in the training part. The order is
    drawn from the raw output of the bit generator, the only stream that NumPy promises to keep across its versions.

    Args:
      labels: Classes of the examples, int [N].
      count: Number of examples to pick, 0 to N.
      generator: Source of randomness, of which only the bit generator is used.

    Returns:
      (picked, others): Ascending int64 indices of shape [count] and [N - count].

    >>> picked, others = stratified(np.array([0, 0, 0, 0, 1, 1]), 3, np.random.Generator(np.random.Philox(1)))
    >>> len(picked), len(others)
    (3, 3)
    """
    count = whole_number("count", count, least=0, most=len(labels))
    classes, counts = np.unique(labels, return_counts=True)
    shares = counts * count / len(labels)
    take = np.floor(shares).astype(np.int64)
    take[np.argsort(take - shares, kind="stable")[: count - take.sum()]] += 1
    for rare in np.flatnonzero(take == counts):
        largest = np.argmax(counts - take)
        if counts[largest] - take[largest] > 1:
            take[rare] -= 1
            take[largest] += 1
    order = np.argsort(generator.bit_generator.random_raw(len(labels)), kind="stable")
    picked = np.concatenate([order[labels[order] == label][:most] for label, most in zip(classes, take, strict=True)])
    return np.sort(picked), np.setdiff1d(np.arange(len(labels)), picked)


def shuffled(count: int, share: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Picks `share` of `count` examples at random; returns ascending indices (picked, others), for targets."""
    order = np.argsort(generator.bit_generator.random_raw(count), kind="stable")
    return np.sort(order[:share]), np.sort(order[share:])


def sampled(split: Split | DiskSplit, count: int, generator: np.random.Generator) -> Split | DiskSplit:
    """Returns a sample of `count` examples, class by class, or at random for targets; a smaller split as it is."""
    if count >= len(split):
        return split
    if split.labels.dtype.kind == "f":
        picked, _ = shuffled(len(split), count, generator)
    else:
        picked, _ = stratified(split.labels, count, generator)
    return split.subset(picked) if isinstance(split, DiskSplit) else Split(split.images[picked], split.labels[picked])


def divided(
    train: Split | DiskSplit, count: int, generator: np.random.Generator
) -> tuple[Split | DiskSplit, Split | DiskSplit]:
    """Divides a training split by class into training and validation examples.

    The images of a split in memory are not copied but moved within their array, which must not be used afterwards: a
    large set is never in memory twice.

    Args:
      train: Examples to divide; a split in memory is used up.
      count: Number of validation examples.
      generator: Source of randomness, of which only the bit generator is used.

    Returns:
      (training, validation).
    """
    picked, others = stratified(train.labels, count, generator)
    if isinstance(train, DiskSplit):
        return train.subset(others), train.subset(picked)
    validation = Split(train.images[picked], train.labels[picked])
    for start in range(0, len(others), CHUNK):
        chunk = others[start : start + CHUNK]  # ascending, and never before the place that it moves to
        train.images[start : start + len(chunk)] = train.images[chunk]
    return Split(train.images[: len(others)], train.labels[others]), validation
