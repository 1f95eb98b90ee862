"""Backbones of keras-cv by name, "keras_cv:NAME", with average pooling and a dense layer on top.

The named classes of keras-cv fetch their configuration from a server. Here the papers' configurations are passed to its
general classes instead, so that nothing is downloaded. Only backbones made of stock Keras layers are available; the
others have their convolutions inside custom layers of keras-cv, where tf-mot does not see them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dlth_tf.errors import BadInput
from dlth_tf.legacy_keras import import_keras_cv
from dlth_tf.registry import unknown

PREFIX = "keras_cv:"

# He et al., CVPR 2016, table 1 (and ECCV 2016 for V2): blocks in each stage.
_RESNETS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
# Huang et al., CVPR 2017, table 1: layers in each dense block.
_DENSENETS = {121: (6, 12, 24, 16), 169: (6, 12, 32, 32), 201: (6, 12, 48, 32)}
# Tan and Le, ICML 2019, table 1 (Lite: the same without squeeze and excitation), and width and depth of each size.
_EFFICIENTNET = {
    "stackwise_kernel_sizes": (3, 3, 5, 3, 5, 5, 3),
    "stackwise_num_repeats": (1, 2, 2, 3, 3, 4, 1),
    "stackwise_input_filters": (32, 16, 24, 40, 80, 112, 192),
    "stackwise_output_filters": (16, 24, 40, 80, 112, 192, 320),
    "stackwise_expansion_ratios": (1, 6, 6, 6, 6, 6, 6),
    "stackwise_strides": (1, 2, 2, 2, 1, 2, 1),
    "drop_connect_rate": 0.0,  # the draws of a dropout layer depend on where a run was stopped and resumed
}
_SIZES = ((1.0, 1.0), (1.0, 1.1), (1.1, 1.2), (1.2, 1.4), (1.4, 1.8), (1.6, 2.2), (1.8, 2.6), (2.0, 3.1))


def _resnet(blocks: tuple[int, ...], block_type: str) -> dict[str, Any]:
    return {
        "stackwise_filters": (64, 128, 256, 512),
        "stackwise_blocks": blocks,
        "stackwise_strides": (1, 2, 2, 2),
        "block_type": block_type,
    }


def _efficientnet(width: float, depth: float, **others: Any) -> dict[str, Any]:
    return {**_EFFICIENTNET, "width_coefficient": width, "depth_coefficient": depth, **others}


# Name of a class in keras_cv.models -> (name of the general class, its arguments).
BACKBONES: dict[str, tuple[str, Mapping[str, Any]]] = {
    **{
        f"ResNet{depth}{version}Backbone": (
            f"ResNet{version}Backbone",
            _resnet(blocks, "basic_block" if depth < 50 else "block"),
        )
        for version in ("", "V2")
        for depth, blocks in _RESNETS.items()
    },
    **{
        f"DenseNet{depth}Backbone": ("DenseNetBackbone", {"stackwise_num_repeats": layers})
        for depth, layers in _DENSENETS.items()
    },
    **{
        f"EfficientNetV1B{number}Backbone": (
            "EfficientNetV1Backbone",
            _efficientnet(*size, stackwise_squeeze_and_excite_ratios=(0.25,) * 7),
        )
        for number, size in enumerate(_SIZES)
    },
    **{
        f"EfficientNetLiteB{number}Backbone": ("EfficientNetLiteBackbone", _efficientnet(*size))
        for number, size in enumerate(_SIZES[:5])
    },
}


def is_name(name: str) -> bool:
    """Returns whether `name` has the form "keras_cv:NAME"."""
    return name.startswith(PREFIX)


def check_name(name: str) -> str:
    """Returns `name`, "keras_cv:NAME", if there is such a backbone; raises BadInput with the closest names if not."""
    if name.removeprefix(PREFIX) not in BACKBONES:
        raise BadInput("model", name, unknown("backbone", name, [PREFIX + known for known in BACKBONES]))
    return name


def build(name: str, image_shape: tuple[int, ...], classes: int, **arguments: Any) -> Any:
    """Builds a backbone with random weights, global average pooling "pool" and the logits "fc", as one flat model.

    Args:
      name: Name "keras_cv:NAME" of one of `BACKBONES`.
      image_shape: Height, width and channels, at least 17x17.
      classes: Number of logits.
      **arguments: Arguments of keras-cv's general class (`stackwise_filters`, `width_coefficient`, ...) that replace
        the paper's.

    Returns:
      The tf_keras model.

    Raises:
      BadInput: If the name is unknown, the images are too small, or keras-cv is already imported on Keras 3.
      TypeError: If the class does not take an argument.
    """
    import tf_keras

    from dlth_tf.models.parts import classifier, image_input

    general, published = BACKBONES[check_name(name).removeprefix(PREFIX)]
    inputs = image_input(name, image_shape, least=17)
    options = {"include_rescaling": False, **published, **arguments}
    backbone = getattr(import_keras_cv().models, general)(input_shape=image_shape, input_tensor=inputs, **options)
    return tf_keras.Model(inputs, classifier(backbone.output, classes), name=name.replace(":", "_"))
