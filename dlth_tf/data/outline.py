"""The outline of a data set: what a plan needs to know, also where the data itself is not at hand."""

from __future__ import annotations

from dataclasses import dataclass

from dlth_tf.data.dataset import DataSet
from dlth_tf.data.load import load
from dlth_tf.data.names import divide_name
from dlth_tf.errors import BadInput

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


@dataclass(frozen=True)
class Outline:
    """What the phases and the network of a run depend on.

    Attributes:
      image_shape: (height, width, channels).
      num_classes: number of labels.
      examples: training images.
      known_from: "the data", or why it is not.
    """

    image_shape: tuple[int, int, int]
    num_classes: int
    examples: int
    known_from: str = "the data"


def outline(name: str, data_dir: str | None = None) -> Outline:
    """The outline of a data set that is there, or the published one of a set that everyone knows.

    Raises:
      BadInput: the data is not there, and its sizes are not known without it (of `imagenet200` they depend on the classes).
    """
    try:
        data = load(name, data_dir)
    except BadInput as missing:
        base, side = divide_name(name)
        if base not in PUBLISHED:
            raise
        count, shape, classes = PUBLISHED[base]
        shape = (side, side, shape[2]) if side else shape
        return Outline(shape, classes, count - VALIDATED.get(base, count // 10), f"published sizes, since {missing}")
    return of_data(data)


def of_data(data: DataSet) -> Outline:
    """The outline of a loaded data set."""
    return Outline(data.image_shape, data.num_classes, len(data.train.labels))
