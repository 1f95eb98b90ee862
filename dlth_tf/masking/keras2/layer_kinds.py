"""Layers by what they do to channels: one taxonomy for residual ties and for compaction."""

from __future__ import annotations

import tf_keras

layers = tf_keras.layers

MIXING = "mixing"
DEPTHWISE = "depthwise"
POINTWISE = "pointwise"
POOLING = "pooling"
PADDING = "padding"
FLATTEN = "flatten"
CONCATENATE = "concatenate"
JOIN = "join"
INPUT = "input"

TYPES = {
    MIXING: (layers.Dense, layers.Conv1D, layers.Conv2D, layers.Conv3D),
    DEPTHWISE: (layers.DepthwiseConv2D,),
    # One function of one number per channel, the same at every position.
    POINTWISE: (
        layers.BatchNormalization,
        layers.Activation,
        layers.ReLU,
        layers.LeakyReLU,
        layers.ELU,
        layers.Dropout,
        layers.SpatialDropout1D,
        layers.SpatialDropout2D,
        layers.SpatialDropout3D,
    ),
    # A channel that is constant over the positions stays that constant. Keras' average pooling does not count padding.
    POOLING: (
        layers.MaxPooling1D,
        layers.MaxPooling2D,
        layers.MaxPooling3D,
        layers.AveragePooling1D,
        layers.AveragePooling2D,
        layers.AveragePooling3D,
        layers.GlobalMaxPooling1D,
        layers.GlobalMaxPooling2D,
        layers.GlobalMaxPooling3D,
        layers.GlobalAveragePooling1D,
        layers.GlobalAveragePooling2D,
        layers.GlobalAveragePooling3D,
        layers.UpSampling1D,
        layers.UpSampling2D,
        layers.UpSampling3D,
        layers.Cropping1D,
        layers.Cropping2D,
        layers.Cropping3D,
    ),
    PADDING: (layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D),
    FLATTEN: (layers.Flatten,),
    CONCATENATE: (layers.Concatenate,),
    JOIN: (layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum),
    INPUT: (layers.InputLayer,),
}
# Layers that keep every channel at its index, so that a removed one can be followed through them. PReLU has one number
# per position, so its channels are not interchangeable with constants as those of POINTWISE are.
CHANNELWISE = (
    *(TYPES[INPUT] + TYPES[DEPTHWISE] + TYPES[POINTWISE] + TYPES[POOLING] + TYPES[PADDING]),
    layers.PReLU,
)
JOINING = TYPES[JOIN]
