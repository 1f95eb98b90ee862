"""Data sets: three splits of examples, in memory or on disk, with the defaults for reading them."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlth_tf.data.augment.names import check_augment
from dlth_tf.data.disk_split import DiskSplit, described
from dlth_tf.data.names import texts_of
from dlth_tf.data.normalize import NORMALIZATIONS
from dlth_tf.errors import BadInput
from dlth_tf.measures import CLASSIFICATION, REGRESSION
from dlth_tf.plain_numbers import store, whole_number


@dataclass(frozen=True, eq=False)
class Split:
    """Examples and their labels in memory.

    The pipeline may use the array of examples without copying it, so it must not be modified.

    Attributes:
      images: Examples as stored in the file, neither scaled nor augmented: uint8 images [N, H, W, C]; or numbers
        [N, ...] of any shape but one number per example: floating-point ones, kept as float32, or integers, kept as
        int32 (uint8 stays uint8).
      labels: Class numbers from 0, int64 [N]; for regression targets, floating-point [N] or [N, targets], kept as
        float32 [N, targets].

    Raises:
      BadInput: If an array has another shape or dtype, contains a value that is not finite or masked, or looks like
        images with channels first, or there is not one label per example.
    """

    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        store(self, images=_examples(self.images))
        store(self, labels=_labels(self.labels, len(self.images)))

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"Split({len(self):,} {self.noun} of {size_text(self.image_shape)})"

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of every example: height, width and channels of images."""
        return self.images.shape[1:]

    @property
    def dtype(self) -> str:
        """Dtype of the examples: "uint8", "float32" or "int32"."""
        return str(self.images.dtype)

    @property
    def noun(self) -> str:
        """Word for the examples in messages: "images" or "examples"."""
        return noun_of(self.image_shape, self.dtype)

    def where(self, place: int) -> str:
        """Returns where the example at `place` is, for messages."""
        return f"{self.noun.removesuffix('s')} {place}"


def noun_of(shape: tuple[int, ...], dtype: str) -> str:
    """Returns "images" for uint8 [height, width, channels], and "examples" for everything else."""
    return "images" if dtype == "uint8" and len(shape) == 3 else "examples"


def size_text(shape: tuple[int, ...]) -> str:
    """Returns a shape in words.

    >>> size_text((8, 8, 1)), size_text((20,))
    ('8x8x1', '20 numbers')
    """
    return "x".join(map(str, shape)) if len(shape) > 1 else f"{shape[0]} numbers"


@dataclass(frozen=True, eq=False)
class DataSet:
    """A data set for classification or regression.

    Small sets are in memory (Split); large sets, and sets with images of many sizes, stay on disk (DiskSplit).

    Attributes:
      name: Name of the data set, as given to `--dataset`.
      train: Examples that the weights are fitted to.
      validation: Examples that selection may look at.
      test: Examples that the headline number is measured on; selection never looks at them.
      label_names: Names of the classes, in the order of the class numbers; for regression, names of the targets. A
        list, tuple or array of texts or numbers, kept as texts.
      normalization: Name of the default normalization, which `--normalization` overrides; "auto" is "none" for int32
        examples (tokens), and "standard" for all others.
      value_range: Largest possible pixel value of uint8 examples, at least 1 (255 for most sets, 16 for digits).
      augment: Name of the default augmentation, which `--augment` overrides.
      feature_names: Names of the columns of a table, in their order and given as label_names are; empty if they have
        none.

    Raises:
      BadInput: If the splits, names and value range do not fit together.
    """

    name: str
    train: Split | DiskSplit
    validation: Split | DiskSplit
    test: Split | DiskSplit
    label_names: tuple[str, ...]
    normalization: str = "auto"
    value_range: int = 255
    augment: str = "none"
    feature_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        store(
            self,
            value_range=whole_number("value_range", self.value_range, least=1),
            label_names=texts_of(self.name, "label_names", self.label_names),
            feature_names=texts_of(self.name, "feature_names", self.feature_names),
        )
        for part in ("train", "validation", "test"):
            split = getattr(self, part)
            if not isinstance(split, Split | DiskSplit):
                raise BadInput(
                    "dataset",
                    self.name,
                    f"its {part} part must be a Split or a DiskSplit, and is a {type(split).__name__}",
                )
            self._check(part, split)
        if len(self.feature_names) not in (0, self.image_shape[-1]):
            counts = f"{len(self.feature_names)} feature_names, and its examples {self.image_shape[-1]} columns"
            raise BadInput("dataset", self.name, f"has {counts}")
        if self.normalization == "auto":
            store(self, normalization="none" if self.dtype == "int32" else "standard")
        NORMALIZATIONS.check(self.normalization)
        check_augment(self.augment)

    def __repr__(self) -> str:
        sizes = (
            f"{len(self.train):,} training, {len(self.validation):,} validation and {len(self.test):,} test {self.noun}"
        )
        one, many = ("target", "targets") if self.task == REGRESSION else ("class", "classes")
        kind = one if self.num_classes == 1 else many
        return f"DataSet({self.name}: {sizes} of {size_text(self.image_shape)}, {self.num_classes} {kind})"

    def _repr_html_(self) -> str:
        """Returns a table of the sizes, for notebooks."""
        rows = [(part, len(getattr(self, part))) for part in ("train", "validation", "test")]
        cells = "".join(f"<tr><td>{part}</td><td>{count:,}</td></tr>" for part, count in rows)
        return f"<p>{html.escape(repr(self))}</p><table><tr><th>split</th><th>{self.noun}</th></tr>{cells}</table>"

    def _check(self, part: str, split: Split | DiskSplit) -> None:
        for attribute, words in (("image_shape", "shape"), ("dtype", "dtype")):
            mine, its = getattr(self, attribute), getattr(split, attribute)
            if mine != its:
                values = f"{_listed(its)} and {_listed(mine)}"
                texts = f"its {part} {self.noun} and its training {self.noun} differ in {words}: {values}"
                raise BadInput("dataset", self.name, texts)
        if split.labels.dtype.kind == "f" or self.task == REGRESSION:
            self._check_targets(part, split)
        else:
            self._check_labels(part, split)
        if isinstance(split, Split) and self.dtype == "uint8" and split.images.max() > self.value_range:
            raise BadInput(
                "dataset",
                self.name,
                f"its {part} {self.noun} contain the value {split.images.max()}, and value_range allows at most "
                f"{self.value_range}",
            )

    def _check_targets(self, part: str, split: Split | DiskSplit) -> None:
        expected = self.train.labels.dtype, (len(split), self.num_classes)
        if (split.labels.dtype, split.labels.shape) != expected:
            raise BadInput(
                "dataset",
                self.name,
                f"its {part} targets are {described(split.labels)}, and must be {expected[0]}{list(expected[1])}, with "
                "one column for each of label_names",
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
        """Number of classes, or of targets: the number of outputs of a network."""
        return len(self.label_names)

    @property
    def task(self) -> str:
        """Task of the labels: "classification" by class numbers, "regression" by floating-point targets."""
        return REGRESSION if self.train.labels.dtype.kind == "f" else CLASSIFICATION

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of every example: height, width and channels of images."""
        return self.train.image_shape

    @property
    def dtype(self) -> str:
        """Dtype of the examples: "uint8", "float32" or "int32"."""
        return self.train.dtype

    @property
    def noun(self) -> str:
        """Word for the examples in messages: "images" or "examples"."""
        return noun_of(self.image_shape, self.dtype)


def _listed(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


CHANNELS = (1, 3)  # of images, by which channels that come first are recognized


def _examples(value: object) -> np.ndarray:
    """Returns an array of examples in one of the dtypes that are kept."""
    _refuse_masked("images", value)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "uif" or value.ndim < 2 or not value.size:
        allowed = "must be an array of numbers of shape [N, ...], N > 0: uint8 images [N, height, width, channels], "
        hint = "; one number per example has the shape [N, 1]" if getattr(value, "ndim", 0) == 1 else ""
        raise BadInput("images", described(value), f"{allowed}or float32 or int32 numbers of any shape{hint}")
    if value.ndim == 4 and value.shape[1] in CHANNELS and min(value.shape[2:]) > 4:
        turned = "have channels first, and must have them last: convert them by images.transpose(0, 2, 3, 1)"
        raise BadInput("images", described(value), turned)
    if value.dtype.kind == "f":
        with np.errstate(over="ignore"):
            kept = value.astype(np.float32, copy=False)
        if not np.isfinite(kept).all():
            raise BadInput("images", described(value), f"must be finite as float32{_values(kept)}")
        return kept
    if value.dtype == np.uint8:
        return value
    limits = np.iinfo(np.int32)
    if value.min() < limits.min or value.max() > limits.max:
        raise BadInput("images", described(value), "must fit into int32, from -2^31 to 2^31 - 1")
    return value.astype(np.int32, copy=False)


def _labels(value: Any, count: int) -> np.ndarray:
    """Returns class numbers as they are, and targets as float32 [N, targets]."""
    _refuse_masked("labels", value)
    if _is_array(value, np.int64, 1) and len(value) == count:
        return value
    if getattr(getattr(value, "dtype", None), "kind", "") == "f" and value.ndim in (1, 2) and len(value) == count:
        with np.errstate(over="ignore"):
            kept = np.asarray(value, np.float32).reshape(count, -1)
        if kept.size and np.isfinite(kept).all():
            return kept
    allowed = f"must be an int64 array of shape [{count}], one label per image, or finite targets [{count}, targets]"
    raise BadInput("labels", described(value), allowed + _values(value))


def _refuse_masked(thing: str, value: object) -> None:
    """Raises BadInput for masked values, behind each of which is a number that nobody means."""
    if np.ma.is_masked(value):
        count = np.ma.count_masked(value)
        raise BadInput(
            thing, described(value), f"must have no masked values, and has {count:,}: fill or drop them first"
        )


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
