"""Inputs: the examples of a run as batches for training, evaluation and scores."""

from __future__ import annotations

import dataclasses
import functools
import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from dlth_tf import data as data_room
from dlth_tf.data import (
    BatchFormat,
    BatchOrder,
    DataSet,
    Normalization,
    Outline,
    augmentation,
    evaluation_batches,
    train_batches,
)
from dlth_tf.data.splits import sampled
from dlth_tf.errors import BadInput
from dlth_tf.measures import REGRESSION
from dlth_tf.randomness import generator
from dlth_tf.runs.config import RunConfig

SCALES = (0.1, 10.0)  # root mean squares of targets that usual learning rates fit
Batch = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Inputs:
    """The images of a run; every batch is a pure function of the seed, a purpose and a step.

    Attributes:
      data: The data set.
      normalization: Normalization of all images.
      seed: Seed of order, augmentation and samples.
      augment: Augmentations of training images, joined by "+", or "none".
      dtype: Dtype of the images after normalization.
    """

    data: DataSet
    normalization: Normalization
    seed: int
    augment: str
    dtype: str

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of an example: height, width and channels of an image."""
        return self.data.image_shape

    @property
    def num_classes(self) -> int:
        """Number of classes, or of targets in regression."""
        return self.data.num_classes

    @property
    def examples(self) -> int:
        """Number of training examples."""
        return len(self.data.train.labels)

    def training(self, purpose: str, batch_size: int, start: int = 0, steps: int | None = None) -> tf.data.Dataset:
        """Returns augmented training batches.

        Args:
          purpose: Name of the sequence of batches, such as the name of a phase.
          batch_size: Images per batch, over all replicas.
          start: First step of the sequence.
          steps: Number of batches; infinite if None.

        Returns:
          Batches of (examples [B, ...], labels: int64 [B], float32 [B, classes] where the augmentation mixes images, or
          float32 [B, targets] in regression).
        """
        return self._batches(BatchOrder(batch_size, self.seed, purpose, start, steps), self.augment)

    def evaluation(self) -> dict[str, tf.data.Dataset]:
        """Returns the batches of every validation ("val") and test example, each once and in order."""
        splits = {"val": self.data.validation, "test": self.data.test}
        return {name: evaluation_batches(split, self._form("none")) for name, split in splits.items()}

    def batch(self, purpose: str, size: int) -> Batch:
        """Returns one random batch without augmentation: images [size, ...] and labels int64 [size], or targets."""
        images, labels = next(iter(self._samples(purpose, size, steps=1)))
        return images.numpy(), labels.numpy()

    def balanced(self, purpose: str, per_class: int, size: int) -> list[Batch]:
        """Returns `per_class` random images of every class without augmentation, in batches of at most `size` images.

        Of a class with fewer images, all are returned. In regression they are as many random examples.
        """
        if self.data.task == REGRESSION:
            number = min(len(self.data.train), per_class * self.num_classes)
            images, labels = self.batch(purpose, number)
            return [(images[at : at + size], labels[at : at + size]) for at in range(0, number, size)]
        by_class: dict[int, list[np.ndarray]] = {label: [] for label in range(self.num_classes)}
        # One by one: larger batches would leave out the last examples of an epoch.
        for images, labels in self._samples(purpose, 1, steps=len(self.data.train)):
            for image, label in zip(images.numpy(), labels.numpy(), strict=True):
                if len(by_class[label]) < per_class:
                    by_class[label].append(image)
            if all(len(images) == per_class for images in by_class.values()):
                break
        # The classes take turns, so that every batch is as balanced as the whole.
        pairs = [
            (images[index], label)
            for index in range(per_class)
            for label, images in by_class.items()
            if index < len(images)
        ]
        batches = [pairs[start : start + size] for start in range(0, len(pairs), size)]
        return [
            (np.stack([image for image, _ in batch]), np.array([label for _, label in batch], np.int64))
            for batch in batches
        ]

    def _samples(self, purpose: str, size: int, steps: int) -> tf.data.Dataset:
        return self._batches(BatchOrder(size, self.seed, f"sample/{purpose}", steps=steps), "none")

    def _batches(self, order: BatchOrder, augment: str) -> tf.data.Dataset:
        return train_batches(self.data.train, order, self._form(augment))

    def _form(self, augment: str) -> BatchFormat:
        return BatchFormat(self.normalization, augment, self.dtype, self.num_classes, self.data.value_range)

    def example_labels(self) -> tf.Tensor:
        """Returns labels of one training example: int64 [1], or float32 [1, classes] if augmentation mixes images.

        In regression they are float32 [1, targets].
        """
        if self.data.task == REGRESSION or augmentation(self.augment).soft_labels:
            return tf.zeros([1, self.num_classes])
        return tf.zeros([1], tf.int64)

    @functools.cached_property
    def sha256(self) -> str:
        """SHA-256 over the examples and labels, by which a run notices that its data has changed (`data.digest`)."""
        return data_room.digest(self.data)

    def to_json(self) -> dict[str, Any]:
        """Returns the description of the data in config.json, with which a run can be exported without its data set."""
        return {
            "image_shape": list(self.image_shape),
            "label_names": list(self.data.label_names),
            "value_range": self.data.value_range,
            "normalization": self.normalization.to_json(),
            "examples": {
                "train": self.examples,
                "validation": len(self.data.validation.labels),
                "test": len(self.data.test.labels),
            },
            **({"feature_names": list(self.data.feature_names)} if self.data.feature_names else {}),
            "sha256": self.sha256,
        }


def load_inputs(config: RunConfig) -> Inputs:
    """Loads the data set of a run.

    Raises:
      BadInput: If the data set does not exist, is not prepared, or is not made of labeled images.
    """
    data = data_room.load_for(config.dataset, config.data_dir, config.targets)
    if config.eval_examples is not None:
        data = evaluated_on(data, config.eval_examples)
    if data.task == REGRESSION:
        _warn_of_scale(data)
    augment = config.augment or data.augment
    check_augment_fits(augment, data.name, data.dtype, data.image_shape)
    normalization = data_room.normalization(data, config.normalization)
    return Inputs(data, normalization, config.seed, augment, config.weight_dtype)


def check_augment_fits(augment: str, name: str, dtype: str, image_shape: tuple[int, ...]) -> None:
    """Checks that the examples of a data set are images if they are augmented.

    Args:
      augment: Augmentations joined by "+", or "none".
      name: Name of the data set.
      dtype: Dtype of its examples.
      image_shape: Shape of an example.

    Raises:
      BadInput: If they are not.
    """
    if augment != "none" and data_room.noun_of(image_shape, dtype) != "images":
        examples = f"{dtype}{list(image_shape)}"
        raise BadInput("augment", augment, f"is for uint8 images, and the examples of {name} are {examples}")


def check_outline(config: RunConfig, outline: Outline) -> None:
    """Raises BadInput if `load_inputs` would refuse an option for data with this outline."""
    check_augment_fits(config.augment or "none", config.dataset, outline.dtype, outline.image_shape)
    if config.normalization is not None:
        data_room.check_fits(config.normalization, outline.dtype, outline.image_shape)


def evaluated_on(data: DataSet, count: int) -> DataSet:
    """Returns the data set with at most `count` validation and test examples, the same whatever the seed of the run."""
    validation = sampled(data.validation, count, generator(0, "evaluated examples", "validation"))
    test = sampled(data.test, count, generator(0, "evaluated examples", "test"))
    return dataclasses.replace(data, validation=validation, test=test)


def _warn_of_scale(data: DataSet) -> None:
    """Logs one sentence if the targets are so large or small that no usual learning rate fits their squared error."""
    scale = float(np.sqrt(np.mean(np.square(data.train.labels, dtype=np.float64))))
    if not SCALES[0] <= scale <= SCALES[1]:
        logging.getLogger("dlth_tf").warning(
            "the targets of %s have a root mean square of %.3g: learning rates are usually chosen for about 1, so "
            "scale the targets if the training diverges or does not begin",
            data.name,
            scale,
        )
