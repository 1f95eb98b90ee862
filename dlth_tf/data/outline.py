"""The outline of a data set: the sizes that a plan needs, also if the data itself is not available."""

from __future__ import annotations

from dataclasses import dataclass

from dlth_tf.data.dataset import DataSet
from dlth_tf.data.load import load_for
from dlth_tf.data.names import divide_name
from dlth_tf.data.targets import CLASSES, Targets
from dlth_tf.errors import BadInput
from dlth_tf.plain_numbers import store, whole_number, whole_numbers

# Published sizes: training images, image shape, classes. A tenth of the training images (of ImageNet 10,000) validates.
PUBLISHED = {
    "mnist": (60_000, (28, 28, 1), 10),
    "fashion_mnist": (60_000, (28, 28, 1), 10),
    "cifar10": (50_000, (32, 32, 3), 10),
    "cifar100": (50_000, (32, 32, 3), 100),
    "svhn_cropped": (73_257, (32, 32, 3), 10),
    "tiny_imagenet": (100_000, (64, 64, 3), 200),
    "imagenet2012": (1_281_167, (224, 224, 3), 1000),
}
VALIDATED = {"imagenet2012": 10_000}
DIGITS = 1_097  # training examples of the package's own set


@dataclass(frozen=True)
class Outline:
    """Sizes that determine the phases and the network of a run.

    Attributes:
      image_shape: Shape of an example: height, width and channels of an image.
      num_classes: Number of classes, or of targets.
      examples: Number of training examples.
      known_from: "the data", or the reason why the published sizes are used instead.
      dtype: Dtype of the examples: "uint8", "float32" or "int32".
    """

    image_shape: tuple[int, ...]
    num_classes: int
    examples: int
    known_from: str = "the data"
    dtype: str = "uint8"

    def __post_init__(self) -> None:
        store(
            self,
            image_shape=whole_numbers("image_shape", self.image_shape),
            num_classes=whole_number("num_classes", self.num_classes, least=1),
            examples=whole_number("examples", self.examples, least=1),
        )


def outline(name: str, data_dir: str | None = None, targets: Targets = CLASSES) -> Outline:
    """Returns the outline of a data set: measured if the data is available, published if the set is well known.

    Args:
      name: Name of the data set, as `load` takes it.
      data_dir: Directory of the prepared data sets; if None, the default of tensorflow_datasets.
      targets: Task, and the column of the labels in a table.

    Raises:
      BadInput: If the data is not available and its sizes are not known (those of `imagenet200` depend on the classes).
    """
    try:
        data = load_for(name, data_dir, targets)
    except BadInput as missing:
        base, side = divide_name(name)
        if base not in PUBLISHED:
            raise
        _, shape, classes = PUBLISHED[base]
        shape = (side, side, shape[2]) if side else shape
        return Outline(shape, classes, _published_examples(base), f"published sizes, since {missing}")
    return of_data(data)


def known_examples(name: str) -> int | None:
    """Returns the number of training examples of a well-known data set without reading it, or None for any other."""
    base, _ = divide_name(name)
    if base == "digits":
        return DIGITS
    return _published_examples(base) if base in PUBLISHED else None


def _published_examples(base: str) -> int:
    count, *_ = PUBLISHED[base]
    return count - VALIDATED.get(base, count // 10)


def of_data(data: DataSet) -> Outline:
    """Returns the outline of a loaded data set."""
    return Outline(data.image_shape, data.num_classes, len(data.train.labels), dtype=data.dtype)
