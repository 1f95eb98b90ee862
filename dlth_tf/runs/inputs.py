"""Training images for pruning at initialisation: without augmentation, a pure function of (seed, purpose)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from dlth_tf.data import BatchFormat, BatchOrder, DataSet, Normalization, train_batches

Batch = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Samples:
    """Draws from the training images.

    Attributes:
      data: whose training split is drawn from.
      normalization: of the images.
      seed: of the draws.
      dtype: of the images.
    """

    data: DataSet
    normalization: Normalization
    seed: int
    dtype: str

    def batch(self, purpose: str, size: int) -> Batch:
        """One random batch: images [size, ...] and labels int64 [size]."""
        images, labels = next(iter(self._batches(purpose, size, steps=1)))
        return images.numpy(), labels.numpy()

    def balanced(self, purpose: str, per_class: int, size: int) -> list[Batch]:
        """`per_class` random images of every class (all there are, if fewer), in batches of at most `size`."""
        found: dict[int, list[np.ndarray]] = {label: [] for label in range(self.data.num_classes)}
        for images, labels in self._batches(
            purpose, 1, steps=len(self.data.train)
        ):  # one by one, or the last few would never come
            for image, label in zip(images.numpy(), labels.numpy(), strict=True):
                if len(found[label]) < per_class:
                    found[label].append(image)
            if all(len(images) == per_class for images in found.values()):
                break
        # Class after class in turn, so that every batch is as balanced as the whole.
        pairs = [
            (found[label][index], label) for index in range(per_class) for label in found if index < len(found[label])
        ]
        batches = [pairs[start : start + size] for start in range(0, len(pairs), size)]
        return [
            (np.stack([image for image, _ in batch]), np.array([label for _, label in batch], np.int64))
            for batch in batches
        ]

    def _batches(self, purpose: str, size: int, steps: int) -> tf.data.Dataset:
        return train_batches(
            self.data.train,
            BatchOrder(size, self.seed, f"sample/{purpose}", steps=steps),
            BatchFormat(self.normalization, dtype=self.dtype),
        )
