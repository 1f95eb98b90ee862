"""Names of augmentations: how they are combined, and the function that a combination builds.

Importing this module does not import TensorFlow, so that flags can be checked first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlth_tf.errors import BadInput
from dlth_tf.randomness import int62
from dlth_tf.registry import Registry

if TYPE_CHECKING:
    import tensorflow as tf

    from dlth_tf.data.batches import BatchFormat, BatchOrder

# In the order of application. An image part is a function (images uint8 or float32 [B, H, W, C] with values from 0 to
# value_range, seed int64 [2], value_range) -> images; a mixing part is a function (images, labels float32 [B, classes],
# seed) -> (images, labels).
_MODULES = {
    "none": "dlth_tf.data.augment.crops",
    "crop_flip": "dlth_tf.data.augment.crops",
    "resized_crop": "dlth_tf.data.augment.crops",
    "randaugment": "dlth_tf.data.augment.rand_augment",
    "cutout": "dlth_tf.data.augment.mixing",
    "cutmix": "dlth_tf.data.augment.mixing",
    "mixup": "dlth_tf.data.augment.mixing",
}
AUGMENTS = Registry("augment", {name: f"{module}:{name}" for name, module in _MODULES.items()})
RIVALS = (("crop_flip", "resized_crop"), ("cutmix", "mixup"))  # each pair does the same thing in two ways
MIXING = ("cutmix", "mixup")

BatchFunction = Callable[["tf.Tensor", "tf.Tensor", "tf.Tensor"], "tuple[tf.Tensor, tf.Tensor]"]


@dataclass(frozen=True)
class Augmentation:
    """Parts that are applied one after the other; `augmentation` creates one from its text.

    Every part draws from (seed, purpose, its own name, step) alone, so a resumed run sees the images that it would have
    seen without the interruption, and a part does the same whichever other parts are present.

    Attributes:
      parts: Names in AUGMENTS, each at most once, in the order of application; empty for no augmentation.
    """

    parts: tuple[str, ...]

    @property
    def soft_labels(self) -> bool:
        """True if the labels of a batch are float32 [B, classes], each row with sum 1, instead of int64 [B]."""
        return any(part in MIXING for part in self.parts)

    def __str__(self) -> str:
        return "+".join(self.parts) or "none"

    def without(self, name: str) -> Augmentation:
        """Returns the augmentation without one of its parts."""
        return Augmentation(tuple(part for part in self.parts if part != name))

    def build(self, order: BatchOrder, form: BatchFormat) -> BatchFunction:
        """Builds the function (images, labels int64 [B], step int64) -> (images, labels) for a graph.

        Args:
          order: Seed and purpose of the batches; the other fields are not used.
          form: Number of classes and value range of the batches; the other fields are not used.
        """
        import tensorflow as tf

        functions = [
            (AUGMENTS.load(part), part in MIXING, augment_key(order.seed, order.purpose, part)) for part in self.parts
        ]

        def augment(images: tf.Tensor, labels: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            if self.soft_labels:
                labels = tf.one_hot(labels, form.num_classes)
            for function, mixes, key in functions:
                seed = tf.stack([key, step])
                if mixes:
                    images, labels = function(images, labels, seed)
                else:
                    images = function(images, seed, form.value_range)
            return images, labels

        return augment


def augment_key(seed: int, purpose: str, part: str) -> int:
    """Returns the first word of the seeds of one part of an augmentation; the second is the step or the example."""
    return int62(seed, f"augment/{purpose}", part)


def augmentation(text: str) -> Augmentation:
    """Returns the augmentation that names joined by "+" describe, such as "crop_flip+cutmix".

    The parts are applied in the order of AUGMENTS, whatever their order in the text: first crops, then parts that
    change one image, then parts that mix two.

    Args:
      text: Names in AUGMENTS joined by "+"; spaces around a name are ignored.

    Raises:
      BadInput: If a name is unknown or repeated, "none" is joined with others, or two names do the same thing in two
        ways.
    """
    names = [name.strip() for name in str(text).split("+")]
    for name in names:
        AUGMENTS.check(name)
        if names.count(name) > 1:
            raise BadInput("augment", text, f"names {name} twice")
    if "none" in names and len(names) > 1:
        raise BadInput("augment", text, "none cannot be joined with others")
    for pair in RIVALS:
        if set(pair) <= set(names):
            raise BadInput("augment", text, f"{pair[0]} and {pair[1]} exclude each other: name one of them")
    return Augmentation(tuple(name for name in AUGMENTS.names() if name in names and name != "none"))


def check_augment(text: str) -> str:
    """Checks the text of an augmentation without importing TensorFlow.

    Args:
      text: Names in AUGMENTS joined by "+".

    Returns:
      The canonical form of the text, with the parts in the order of application.

    Raises:
      BadInput: If `augmentation` rejects the text.

    >>> check_augment("cutmix + crop_flip")
    'crop_flip+cutmix'
    """
    return str(augmentation(text))
