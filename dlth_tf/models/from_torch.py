"""Weights of PyTorch's ResNets in the networks of this package: names, layouts, and nothing left over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from dlth_tf.errors import BadInput

PARTS = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
# Other names of the same layer: torchvision's, and those of the official code of the paper.
ALIASES = {
    "downsample.0.": "shortcut.",
    "downsample.1.": "shortcut_bn.",
    "shortcut.0.": "shortcut.",
    "shortcut.1.": "shortcut_bn.",
    "linear.": "fc.",
}
UNUSED = "num_batches_tracked"  # PyTorch's counter of batches, which nothing here reads


def load_torch_weights(model: Any, state_dict: Mapping[str, Any]) -> None:
    """Loads the `state_dict` of a PyTorch ResNet into the same network of this package.

    Takes torchvision's names (`layer1.0.downsample.0.weight`, `fc.weight`), those of the usual CIFAR ResNets and of the
    paper's official code (`linear.weight`), and either of them behind `module.` (DataParallel). Kernels of convolutions
    are transposed from [out, in, height, width] to [height, width, in, out], those of dense layers from [out, in] to
    [in, out]; vectors stay. Nothing is loaded unless every weight of the network has its tensor.

    Args:
      model: A tf_keras network built as `resnet8` to `resnet110`, `resnet18`, `resnet34` or `resnet50`, or one with the
        same names of layers.
      state_dict: Name -> tensor or array, as `torch.load(path, weights_only=True)` returns it.

    Raises:
      BadInput: If a weight of the network has no tensor, a tensor has no place or another shape, or contains NaN.

    Example:
      ```python
      model = dlth_tf.models.build("resnet18", (224, 224, 3), 1000, seed=0)
      load_torch_weights(model, torch.load("resnet18.pth", weights_only=True))
      ```
    """
    arrays = {_plain_name(name): _array(name, value) for name, value in state_dict.items() if UNUSED not in name}
    placed = []
    for weight in model.weights:
        name = _torch_name(weight.name.split(":")[0])
        if name not in arrays:
            raise BadInput("state_dict", sorted(state_dict), f"has no tensor {name}, which {model.name} needs")
        value = _to_keras(arrays.pop(name))
        if value.shape != tuple(weight.shape):
            shapes = f"must have shape {list(weight.shape)} after its transposition, not {list(value.shape)}"
            raise BadInput(f"state_dict[{name!r}]", "a tensor", shapes)
        placed.append((weight, value))
    if arrays:
        raise BadInput("state_dict", sorted(arrays), f"holds tensors for which {model.name} has no weight")
    for weight, value in placed:
        weight.assign(value)


def _plain_name(name: str) -> str:
    """Returns a PyTorch name without DataParallel's prefix, with one name for every layer."""
    name = name.removeprefix("module.")
    for theirs, ours in ALIASES.items():
        name = re.sub(rf"(^|\.){re.escape(theirs)}", rf"\g<1>{ours}", name)
    return name


def _torch_name(name: str) -> str:
    """Returns layer2.0.conv1.weight for stage2_block1_conv1/kernel, and conv1.weight for conv1/kernel."""
    layer, _, part = name.rpartition("/")
    block = re.fullmatch(r"stage(\d+)_block(\d+)_(\w+)", layer)
    if block:
        layer = f"layer{block[1]}.{int(block[2]) - 1}.{block[3]}"
    return f"{layer}.{PARTS.get(part, part)}"


def _array(name: str, value: Any) -> np.ndarray:
    """Returns a tensor of PyTorch, on any device, or an array as an array."""
    array = np.asarray(value.detach().cpu().numpy() if hasattr(value, "detach") else value)
    if not np.isfinite(array).all():
        raise BadInput(f"state_dict[{name!r}]", "a tensor", "contains NaN or infinity")
    return array


def _to_keras(array: np.ndarray) -> np.ndarray:
    """Returns OIHW as HWIO, OI as IO, and vectors as they are."""
    return array.transpose({4: (2, 3, 1, 0), 2: (1, 0)}.get(array.ndim, range(array.ndim)))
