"""Values that describe batches: their order and their form."""

from __future__ import annotations

from dataclasses import dataclass

from dlth_tf.data.normalize import Normalization
from dlth_tf.plain_numbers import store, whole_number, whole_or_none


@dataclass(frozen=True)
class BatchOrder:
    """A sequence of training batches: which examples, in which order, from which step on.

    Attributes:
      batch_size: Examples per batch over all replicas, at least 1.
      seed: Seed of the run.
      purpose: Name of the sequence, such as the name of a phase; the sequences of one seed are independent of each
        other.
      start: First step, at least 0; the sequence from `start=k` equals the one from 0 without its first k batches.
      steps: Number of batches, at least 0; endless if None.

    Raises:
      BadInput: If a number is out of range.
    """

    batch_size: int
    seed: int
    purpose: str
    start: int = 0
    steps: int | None = None

    def __post_init__(self) -> None:
        store(
            self,
            batch_size=check_batch_size(self.batch_size),
            seed=whole_number("seed", self.seed),
            start=whole_number("start", self.start, least=0),
            steps=whole_or_none("steps", self.steps, least=0),
        )


@dataclass(frozen=True)
class BatchFormat:
    """The form of a batch: the augmentation and normalization of its images, and the dtype.

    Attributes:
      normalization: Normalization of the images, applied last, to pixels from 0 to `value_range`.
      augment: Names in AUGMENTS joined by "+", applied to training batches only; `augmentation(augment).soft_labels`
        tells whether their labels are mixed.
      dtype: Name of the dtype of the images.
      num_classes: Number of classes; required by augmentations that mix labels.
      value_range: Largest possible pixel value, at least 1.

    Raises:
      BadInput: If a number is out of range.
    """

    normalization: Normalization
    augment: str = "none"
    dtype: str = "float32"
    num_classes: int | None = None
    value_range: int = 255

    def __post_init__(self) -> None:
        classes = whole_or_none("num_classes", self.num_classes, least=1)
        store(self, num_classes=classes, value_range=whole_number("value_range", self.value_range, least=1))


def check_batch_size(batch_size: int) -> int:
    """Returns the number of examples in a batch; raises BadInput unless it is a whole number, at least 1."""
    return whole_number("batch_size", batch_size, least=1)
