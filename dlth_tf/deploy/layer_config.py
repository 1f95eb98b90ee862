"""The config of a layer of either Keras, whatever its activation was set to."""

from __future__ import annotations

import importlib
from typing import Any

from dlth_tf.masking.world import package_of


def config_of(layer: Any) -> dict[str, Any]:
    """Returns the config of a layer.

    A layer whose activation was set to None, which is how a softmax is dropped, computes what a linear one does, but
    Keras cannot describe it.

    Args:
      layer: Layer of either Keras, which is not changed.
    """
    if getattr(layer, "activation", "") is not None:
        return dict(layer.get_config())
    layer.activation = importlib.import_module(f"{package_of(layer)}.activations").linear
    try:
        return dict(layer.get_config())
    finally:
        layer.activation = None
