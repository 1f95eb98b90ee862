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
WRAPPERS = re.compile(r"^((module|_orig_mod)\.)+")  # of DataParallel and of torch.compile
UNUSED = "num_batches_tracked"  # PyTorch's counter of batches, which nothing here reads


def load_torch_weights(model: Any, state_dict: Mapping[str, Any]) -> None:
    """Loads the `state_dict` of a PyTorch ResNet into the same network of this package.

    Takes torchvision's names (`layer1.0.downsample.0.weight`, `fc.weight`), those of the usual CIFAR ResNets and of the
    paper's official code (`linear.weight`), and either of them behind `module.` (DataParallel) or `_orig_mod.`
    (torch.compile). Kernels of convolutions
    are transposed from [out, in, height, width] to [height, width, in, out], those of dense layers from [out, in] to
    [in, out]; vectors stay. Nothing is loaded unless every weight of the network has its tensor.

    Args:
      model: A tf_keras network built as `resnet8` to `resnet110`, `resnet18`, `resnet34` or `resnet50`, or one with the
        same names of layers.
      state_dict: Name -> tensor or array, as `torch.load(path, weights_only=True)` returns it.

    Raises:
      BadInput: If a weight of the network has no tensor, a tensor has no place or another shape, or contains NaN, or
        `state_dict` is something else, such as a whole checkpoint.

    Example:
      ```python
      model = dlth_tf.models.build("resnet18", (224, 224, 3), 1000, seed=0)
      load_torch_weights(model, torch.load("resnet18.pth", weights_only=True))
      ```
    """
    arrays = _arrays(state_dict)
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


def _arrays(state_dict: Any) -> dict[str, np.ndarray]:
    """Returns the tensors of a network as arrays by their plain names."""
    if not isinstance(state_dict, Mapping):
        allowed = "must be what model.state_dict() or torch.load(path, weights_only=True) returns"
        raise BadInput("state_dict", type(state_dict).__name__, allowed)
    for name, value in state_dict.items():
        if isinstance(value, Mapping) and value and all(hasattr(tensor, "shape") for tensor in value.values()):
            raise BadInput("state_dict", list(state_dict), f"is a whole checkpoint: give its entry {name!r}")
    arrays: dict[str, np.ndarray] = {}
    for name, value in state_dict.items():
        if not isinstance(name, str) or UNUSED not in name:
            plain = _plain_name(str(name))
            if plain in arrays:
                raise BadInput("state_dict", name, f"is the second tensor for {plain}")
            arrays[plain] = _array(name, value)
    return arrays


def _plain_name(name: str) -> str:
    """Returns a PyTorch name without the prefixes of wrappers, with one name for every layer."""
    name = WRAPPERS.sub("", name)
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


def _array(name: Any, value: Any) -> np.ndarray:
    """Returns a tensor of PyTorch, on any device, or an array as an array."""
    thing = f"state_dict[{name!r}]"
    try:
        if hasattr(value, "detach"):
            value = value.detach().cpu().to_dense()
            value = (value.double() if value.is_floating_point() else value).numpy()  # NumPy has no bfloat16
        array = np.asarray(value)
    except (TypeError, RuntimeError) as error:  # quantized tensors, and those on the device meta
        raise BadInput(thing, "a tensor", f"cannot be converted to numbers ({str(error).splitlines()[0]})") from None
    if array.dtype.kind not in "iuf":
        raise BadInput(thing, type(value).__name__, f"must be a tensor of real numbers, and is {array.dtype}")
    if not np.isfinite(array).all():
        raise BadInput(thing, "a tensor", "contains NaN or infinity")
    return array


def _to_keras(array: np.ndarray) -> np.ndarray:
    """Returns OIHW as HWIO, OI as IO, and vectors as they are."""
    return array.transpose({4: (2, 3, 1, 0), 2: (1, 0)}.get(array.ndim, range(array.ndim)))
