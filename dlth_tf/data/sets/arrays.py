"""Data sets from arrays: labels become class numbers or targets, and parts that are missing are divided off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dlth_tf.data.dataset import DataSet, Split
from dlth_tf.data.splits import shuffled, stratified
from dlth_tf.data.targets import Targets
from dlth_tf.errors import BadInput
from dlth_tf.measures import REGRESSION
from dlth_tf.randomness import generator

SPLIT_SEED = 0  # of the data set, not of a run: the division is always the same
TEST_SHARE = 5  # one of so many examples tests, if there is no test part
VALIDATION_SHARE = 10  # one of so many of the others validates, if there is no validation part
PARTS = ("train", "validation", "test")
Pair = tuple[np.ndarray, np.ndarray]  # examples and labels


@dataclass(frozen=True)
class Labels:
    """Labels of a data set as the file states them.

    Attributes:
      name: Name of the data set, for messages.
      targets: What they are taken for.
      names: Names of the targets, for regression.
    """

    name: str
    targets: Targets
    names: tuple[str, ...] = ()

    def convert(self, parts: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
        """Returns the labels by part as `Split` takes them, and the names of classes or targets.

        Args:
          parts: Labels by part: numbers or texts [N], or [N, targets] for regression. Classes are those of "train".

        Raises:
          BadInput: If they do not fit the task, or a part has a class without training examples.
        """
        if self.targets.task == REGRESSION:
            return self._numbers(parts)
        for labels in parts.values():
            self._check_kind(labels)
        classes = self._classes(parts["train"])
        for part, labels in parts.items():
            others = np.setdiff1d(labels, classes)
            if len(others):
                without = f"its {part} part has examples of class {others[0]}, of which there are no training examples"
                raise BadInput("dataset", self.name, without)
        numbers = {part: np.searchsorted(classes, labels).astype(np.int64) for part, labels in parts.items()}
        return numbers, tuple(map(str, classes.tolist()))

    def _numbers(self, parts: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
        for labels in parts.values():
            if labels.dtype.kind not in "biuf":
                raise BadInput("task", REGRESSION, f"needs labels that are numbers, and those of {self.name} are text")
            if labels.ndim not in (1, 2):
                shapes = f"its labels have the shape {list(labels.shape)}, and must have [N] or [N, targets]"
                raise BadInput("dataset", self.name, shapes)
        with np.errstate(over="ignore"):  # `Split` refuses what is infinite then
            arrays = {part: labels.reshape(len(labels), -1).astype(np.float32) for part, labels in parts.items()}
        count = arrays["train"].shape[1]
        numbered = ("target",) if count == 1 else tuple(f"target_{number}" for number in range(count))
        return arrays, self.names or numbered

    def _check_kind(self, labels: np.ndarray) -> None:
        if labels.ndim != 1:
            allowed = "must be one class number per example, [N]; of one-hot labels take labels.argmax(1)"
            raise BadInput("dataset", self.name, f"its labels have the shape {list(labels.shape)}, and {allowed}")
        if labels.dtype.kind == "f":
            numbers = "its labels are floating-point numbers: convert class numbers to integers, or give"
            raise BadInput("dataset", self.name, f"{numbers} --task=regression")

    def _classes(self, labels: np.ndarray) -> np.ndarray:
        """Returns the classes of the training labels, of which other parts may have one example each."""
        classes = np.unique(labels)
        if len(classes) > max(2, len(labels) // 2):
            many = f"its {len(labels):,} labels have {len(classes):,} different values, too many for classes"
            raise BadInput("dataset", self.name, f"{many}: give --task=regression if they are numbers to predict")
        return classes


def in_memory(parts: Mapping[str, Pair], labels: Labels, feature_names: tuple[str, ...] = ()) -> DataSet:
    """Returns the data set of some arrays.

    Without a test part a fifth of the examples tests, and without a validation part a tenth of the others validates:
    class by class, or at random for regression, and always the same ones.

    Args:
      parts: Examples and labels by part: "train", and possibly "validation" and "test".
      labels: Name, task and names of the labels.
      feature_names: Names of the columns of a table.

    Raises:
      BadInput: If the arrays do not fit together, or are too few to be divided.
    """
    for part, pair in parts.items():
        examples, answers = (array.shape[0] if array.ndim else 0 for array in pair)
        if examples != answers or not answers:
            counts = f"its {part} part has {examples} examples and {answers} labels"
            raise BadInput("dataset", labels.name, f"{counts}: there must be one label for each, and at least one")
    numbers, names = labels.convert({part: answers for part, (_, answers) in parts.items()})
    try:  # before anything is divided off, so that places in messages are those in the file
        splits = {part: Split(examples, numbers[part]) for part, (examples, _) in parts.items()}
    except BadInput as refused:
        raise BadInput("dataset", labels.name, f"its {refused}") from None
    for part, share in (("test", TEST_SHARE), ("validation", VALIDATION_SHARE)):
        if part not in splits:
            splits["train"], splits[part] = _divided(splits["train"], share, part, labels.name)
    train, validation, test = (splits[part] for part in PARTS)
    return DataSet(labels.name, train, validation, test, names, feature_names=feature_names)


def _divided(train: Split, share: int, part: str, name: str) -> tuple[Split, Split]:
    """Returns what is left for training, and the part that is divided off."""
    count = len(train) // share
    if not count:
        noun = "example" if len(train) == 1 else "examples"
        few = f"has {len(train)} {noun} for training, too few to divide off a {part} part, which takes one of {share}"
        raise BadInput("dataset", name, few)
    random = generator(SPLIT_SEED, "split of arrays", part)
    if train.labels.dtype.kind == "f":
        picked, others = shuffled(len(train), count, random)
    else:
        picked, others = stratified(train.labels, count, random)
    left, off = (Split(train.images[places], train.labels[places]) for places in (others, picked))
    return left, off
