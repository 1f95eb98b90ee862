"""Values that describe batches: their order and their form."""

from __future__ import annotations

from dataclasses import dataclass

from dlth_tf.data.normalize import Normalization
from dlth_tf.errors import BadInput


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
      BadInput: If `batch_size`, `start` or `steps` is out of range.
    """

    batch_size: int
    seed: int
    purpose: str
    start: int = 0
    steps: int | None = None

    def __post_init__(self) -> None:
        check_batch_size(self.batch_size)
        for name, value in (("start", self.start), ("steps", self.steps or 0)):
            if value < 0:
                raise BadInput(name, value, "must be 0 or more")


@dataclass(frozen=True)
class BatchFormat:
    """The form of a batch: the augmentation and normalization of its images, and the dtype.

    Attributes:
      normalization: Normalization of the images, applied last, to pixels from 0 to `value_range`.
      augment: Names in AUGMENTS joined by "+", applied to training batches only; `augmentation(augment).soft_labels`
        tells whether their labels are mixed.
      dtype: Name of the dtype of the images.
      num_classes: Number of classes; required by augmentations that mix labels.
      value_range: Largest possible pixel value.
    """

    normalization: Normalization
    augment: str = "none"
    dtype: str = "float32"
    num_classes: int | None = None
    value_range: int = 255


def check_batch_size(batch_size: int) -> None:
    """Raises BadInput unless `batch_size` is at least 1."""
    if batch_size < 1:
        raise BadInput("batch_size", batch_size, "must be at least 1")
