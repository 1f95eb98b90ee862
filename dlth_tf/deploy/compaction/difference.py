"""What compaction has removed, layer by layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import tf_keras

from dlth_tf.masking.macs import kernel_positions


def removed(before: tf_keras.Model, after: tf_keras.Model) -> dict[str, Any]:
    """Parameters and multiply-adds of a model and of what `compact` made of it.

    Args:
      before: the model, with one input.
      after: `compact(before)`.

    Returns:
      {"parameters": [before, after], "macs": [before, after], "layers": {name: the same two, and the kernel's shapes}} for
      every layer with a kernel; multiply-adds are those of one image, 1 for each weight and position.
    """
    old, new = _layers(before), _layers(after)
    table = {
        name: {
            "kernel": [list(old[name][0]), list(new[name][0])],
            "parameters": [old[name][1], new[name][1]],
            "macs": [old[name][2], new[name][2]],
        }
        for name in old
    }
    return {
        "parameters": [before.count_params(), after.count_params()],
        "macs": [sum(entry[2] for entry in found.values()) for found in (old, new)],
        "layers": table,
    }


def _layers(model: tf_keras.Model) -> dict[str, tuple[tuple[int, ...], int, int]]:
    """Layer -> (shape of its kernel, its parameters, multiply-adds)."""
    positions = kernel_positions(model, model.input_shape[1:])
    found = {}
    for layer in model.layers:
        kernel = getattr(layer, "depthwise_kernel", getattr(layer, "kernel", None))
        if kernel is not None:
            name = next((name for name in positions if name.rpartition("/")[0] == layer.name), "")
            found[layer.name] = (
                tuple(kernel.shape),
                layer.count_params(),
                positions.get(name, 0) * int(np.prod(kernel.shape)),
            )
    return found
