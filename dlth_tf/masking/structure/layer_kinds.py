"""Layers by what they do to channels: one taxonomy of both Kerases, for residual ties and for compaction."""

from __future__ import annotations

from typing import Any

MIXING = "mixing"
DEPTHWISE = "depthwise"
POINTWISE = "pointwise"
POOLING = "pooling"
PADDING = "padding"
FLATTEN = "flatten"
CONCATENATE = "concatenate"
JOIN = "join"
INPUT = "input"

# Names of layers, the same in tf_keras and in Keras 3.
NAMES: dict[str, tuple[str, ...]] = {
    MIXING: ("Dense", "Conv1D", "Conv2D", "Conv3D"),
    DEPTHWISE: ("DepthwiseConv1D", "DepthwiseConv2D"),
    # One function of one number per channel, the same at every position.
    POINTWISE: (
        *("BatchNormalization", "Activation", "ReLU", "LeakyReLU", "ELU", "Dropout"),
        *(f"SpatialDropout{rank}D" for rank in (1, 2, 3)),
    ),
    # A channel that is constant over the positions stays that constant. Keras' average pooling does not count padding.
    POOLING: (
        *(f"{kind}Pooling{rank}D" for kind in ("Max", "Average", "GlobalMax", "GlobalAverage") for rank in (1, 2, 3)),
        *(f"{kind}{rank}D" for kind in ("UpSampling", "Cropping") for rank in (1, 2, 3)),
    ),
    PADDING: ("ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D"),
    FLATTEN: ("Flatten",),
    CONCATENATE: ("Concatenate",),
    JOIN: ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"),
    INPUT: ("InputLayer",),
}


def types_in(layers: Any) -> dict[str, tuple[type, ...]]:
    """Returns the types of every kind in a Keras' module of layers."""
    return {kind: tuple(getattr(layers, name) for name in names) for kind, names in NAMES.items()}


def channelwise(layers: Any) -> tuple[type, ...]:
    """Returns the types of layers that keep every channel at its index, so that a removed one can be followed.

    PReLU is one of them, but not of POINTWISE: it has one number per position, so its channels are not interchangeable
    with constants.

    Args:
      layers: A Keras' module of layers.
    """
    types = types_in(layers)
    return (*(each for kind in (INPUT, DEPTHWISE, POINTWISE, POOLING, PADDING) for each in types[kind]), layers.PReLU)
