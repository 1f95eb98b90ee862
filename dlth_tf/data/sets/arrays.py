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
            self._check_classes(labels)
        classes = np.unique(parts["train"])
        for part, labels in parts.items():
            others = np.setdiff1d(labels, classes)
            if len(others):
                without = f"its {part} part has examples of class {others[0]}, of which there are no training examples"
                raise BadInput("dataset", self.name, without)
        numbers = {part: np.searchsorted(classes, labels).astype(np.int64) for part, labels in parts.items()}
        return numbers, tuple(map(str, classes.tolist()))

    def _numbers(self, parts: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
        for labels in parts.values():
            if labels.dtype.kind not in "biuf" or labels.ndim not in (1, 2):
                raise BadInput("task", REGRESSION, f"needs labels that are numbers, and those of {self.name} are text")
        arrays = {part: labels.reshape(len(labels), -1).astype(np.float32) for part, labels in parts.items()}
        count = arrays["train"].shape[1]
        numbered = ("target",) if count == 1 else tuple(f"target_{number}" for number in range(count))
        return arrays, self.names or numbered

    def _check_classes(self, labels: np.ndarray) -> None:
        if labels.ndim != 1:
            allowed = "must be one class number per example, [N]; of one-hot labels take labels.argmax(1)"
            raise BadInput("dataset", self.name, f"its labels have the shape {list(labels.shape)}, and {allowed}")
        if labels.dtype.kind == "f":
            numbers = "its labels are floating-point numbers: convert class numbers to integers, or give"
            raise BadInput("dataset", self.name, f"{numbers} --task=regression")
        classes = len(np.unique(labels))
        if classes > max(2, len(labels) // 2):
            many = f"its {len(labels):,} labels have {classes:,} different values, too many for classes"
            raise BadInput("dataset", self.name, f"{many}: give --task=regression if they are numbers to predict")


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
    pairs = dict(parts)
    for part, (examples, answers) in pairs.items():
        if len(examples) != len(answers) or not len(answers):
            counts = f"its {part} part has {len(examples)} examples and {len(answers)} labels"
            raise BadInput("dataset", labels.name, f"{counts}: there must be one label for each, and at least one")
    numbers, names = labels.convert({part: answers for part, (_, answers) in pairs.items()})
    pairs = {part: (examples, numbers[part]) for part, (examples, _) in pairs.items()}
    for part, share in (("test", TEST_SHARE), ("validation", VALIDATION_SHARE)):
        if part not in pairs:
            pairs["train"], pairs[part] = _divided(pairs["train"], share, part, labels.name)
    try:
        train, validation, test = (Split(*pairs[part]) for part in PARTS)
    except BadInput as refused:
        raise BadInput("dataset", labels.name, f"its {refused}") from None
    return DataSet(labels.name, train, validation, test, names, feature_names=feature_names)


def _divided(pair: Pair, share: int, part: str, name: str) -> tuple[Pair, Pair]:
    examples, answers = pair
    count = len(answers) // share
    if not count:
        noun = "example" if len(answers) == 1 else "examples"
        few = f"has {len(answers)} {noun}, too few to divide off a {part} part, which takes one of {share}"
        raise BadInput("dataset", name, few)
    random = generator(SPLIT_SEED, "split of arrays", part)
    if answers.dtype.kind == "f":
        picked, others = shuffled(len(answers), count, random)
    else:
        picked, others = stratified(answers, count, random)
    return (examples[others], answers[others]), (examples[picked], answers[picked])
