"""Data sets: three splits of uint8 images, in memory or on disk, with the defaults for reading them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlth_tf.data.augment.names import check_augment
from dlth_tf.data.disk_split import DiskSplit, described
from dlth_tf.data.normalize import NORMALIZATIONS
from dlth_tf.errors import BadInput
from dlth_tf.plain_numbers import store, whole_number


@dataclass(frozen=True, eq=False)
class Split:
    """Images and their labels in memory.

    The pipeline may use the array of images without copying it, so it must not be modified.

    Attributes:
      images: Images as stored in the file, neither scaled nor augmented, uint8 [N, H, W, C].
      labels: Class numbers from 0, int64 [N].

    Raises:
      BadInput: If an array has another shape or dtype, or there is not one label per image.
    """

    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        if not _is_array(self.images, np.uint8, 4) or not self.images.size:
            allowed = "must be a uint8 array of shape [N, height, width, channels], N > 0"
            raise BadInput("images", described(self.images), allowed + _values(self.images))
        if not _is_array(self.labels, np.int64, 1) or len(self.labels) != len(self.images):
            allowed = f"must be an int64 array of shape [{len(self.images)}], one label per image"
            raise BadInput("labels", described(self.labels), allowed + _values(self.labels))

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"Split({len(self):,} images of {'x'.join(map(str, self.image_shape))})"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        height, width, channels = self.images.shape[1:]
        return height, width, channels

    def where(self, place: int) -> str:
        """Returns where the image at `place` is, for messages."""
        return f"image {place}"


@dataclass(frozen=True, eq=False)
class DataSet:
    """A data set for image classification.

    Small sets are in memory (Split); large sets, and sets with images of many sizes, stay on disk (DiskSplit).

    Attributes:
      name: Name of the data set, as given to `--dataset`.
      train: Examples that the weights are fitted to.
      validation: Examples that selection may look at.
      test: Examples that the headline number is measured on; selection never looks at them.
      label_names: Names of the classes, in the order of the class numbers.
      normalization: Name of the default normalization, which `--normalization` overrides.
      value_range: Largest possible pixel value, at least 1 (255 for most sets, 16 for digits).
      augment: Name of the default augmentation, which `--augment` overrides.

    Raises:
      BadInput: If the splits, names and value range do not fit together.
    """

    name: str
    train: Split | DiskSplit
    validation: Split | DiskSplit
    test: Split | DiskSplit
    label_names: tuple[str, ...]
    normalization: str = "standard"
    value_range: int = 255
    augment: str = "none"

    def __post_init__(self) -> None:
        store(self, value_range=whole_number("value_range", self.value_range, least=1))
        for part in ("train", "validation", "test"):
            split = getattr(self, part)
            if not isinstance(split, Split | DiskSplit):
                raise BadInput(
                    "dataset",
                    self.name,
                    f"its {part} part must be a Split or a DiskSplit, and is a {type(split).__name__}",
                )
            self._check(part, split)
        NORMALIZATIONS.check(self.normalization)
        check_augment(self.augment)

    def __repr__(self) -> str:
        sizes = f"{len(self.train):,} training, {len(self.validation):,} validation and {len(self.test):,} test images"
        return f"DataSet({self.name}: {sizes} of {'x'.join(map(str, self.image_shape))}, {self.num_classes} classes)"

    def _check(self, part: str, split: Split | DiskSplit) -> None:
        if split.image_shape != self.image_shape:
            shapes = f"{list(split.image_shape)} and {list(self.image_shape)}"
            raise BadInput("dataset", self.name, f"its {part} images and its training images differ in shape: {shapes}")
        self._check_labels(part, split)
        if isinstance(split, Split) and split.images.max() > self.value_range:
            raise BadInput(
                "dataset",
                self.name,
                f"its {part} images contain the value {split.images.max()}, and value_range allows at most "
                f"{self.value_range}",
            )

    def _check_labels(self, part: str, split: Split | DiskSplit) -> None:
        wrong = np.flatnonzero((split.labels < 0) | (split.labels >= self.num_classes))
        if len(wrong):
            raise BadInput(
                "dataset",
                self.name,
                f"its {part} labels range from {split.labels.min()} to {split.labels.max()}, and must range from 0 to "
                f"{self.num_classes - 1}: {len(wrong)} of {len(split)} do not, the first is {split.labels[wrong[0]]} "
                f"of {split.where(int(wrong[0]))}",
            )

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.label_names)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        return self.train.image_shape


def _is_array(value: object, dtype: type[np.generic], rank: int) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == dtype and value.ndim == rank


def _values(array: object) -> str:
    """Returns the end of a sentence about an array of floating-point numbers: what it contains."""
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f" or not array.size:
        return ""
    wrong = np.argwhere(~np.isfinite(array))
    if len(wrong):
        return f"; {len(wrong)} of its {array.size} values are not finite, the first at {wrong[0].tolist()}"
    return f"; its values range from {array.min():g} to {array.max():g}"
