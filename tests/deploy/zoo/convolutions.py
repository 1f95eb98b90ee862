"""Networks of convolutions, poolings, and dense layers of every kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tf_keras

from tests.deploy.zoo.network import L, Network, image, sequence, vector


def volume(*layers: Any) -> Callable[[], tf_keras.Model]:
    """Returns the builder of layers on volumes of voxels."""
    return lambda: tf_keras.Sequential(
        [L.Input((6, 6, 6, 2)), *(make() for make in layers), L.GlobalAveragePooling3D(), L.Dense(3)]
    )


NETWORKS = {
    "conv 1d": Network(sequence(lambda: L.Conv1D(6, 3, activation="relu"), lambda: L.Conv1D(6, 3, 2))),
    "conv 1d causal": Network(sequence(lambda: L.Conv1D(6, 3, padding="causal"))),
    "conv 1d dilated": Network(sequence(lambda: L.Conv1D(6, 3, dilation_rate=2, padding="same"))),
    "conv 1d transposed": Network(sequence(lambda: L.Conv1DTranspose(6, 3, 2))),
    "conv 1d separable": Network(sequence(lambda: L.SeparableConv1D(6, 3), L.BatchNormalization)),
    "conv 1d depthwise": Network(sequence(lambda: L.DepthwiseConv1D(3), L.BatchNormalization)),
    "conv 1d local": Network(sequence(lambda: L.LocallyConnected1D(6, 3))),
    "conv 2d dilated": Network(image(lambda: L.Conv2D(6, (1, 3), dilation_rate=2, padding="same"))),
    "conv 2d grouped": Network(image(lambda: L.Conv2D(6, 3, groups=2), L.ReLU)),
    "conv 2d transposed": Network(image(lambda: L.Conv2DTranspose(6, 3, 2, padding="same"), L.BatchNormalization)),
    "conv 2d separable": Network(image(lambda: L.SeparableConv2D(6, 3), L.BatchNormalization, L.ReLU)),
    "conv 2d depthwise": Network(image(lambda: L.DepthwiseConv2D(3, depth_multiplier=2), L.BatchNormalization)),
    "conv 2d local": Network(image(lambda: L.LocallyConnected2D(4, 3))),
    "conv 3d": Network(volume(lambda: L.Conv3D(4, 3, activation="relu"), L.BatchNormalization)),
    "conv 3d transposed": Network(volume(lambda: L.Conv3DTranspose(4, 3))),
    "pooling": Network(
        image(
            L.MaxPooling2D,
            lambda: L.AveragePooling2D(2, 1),
            L.ZeroPadding2D,
            L.GlobalMaxPooling2D,
            end=(lambda: L.Dense(3),),
        )
    ),
    "cropping and upsampling": Network(image(lambda: L.Cropping2D(1), lambda: L.UpSampling2D(2))),
    "bilinear upsampling": Network(image(lambda: L.UpSampling2D(2, interpolation="bilinear"))),
    "permute and reshape": Network(image(lambda: L.Permute((3, 1, 2)), lambda: L.Reshape((6, 6, 4)))),
    "einsum dense": Network(sequence(lambda: L.EinsumDense("abc,cd->abd", output_shape=(None, 6), bias_axes="d"))),
    "time distributed": Network(sequence(lambda: L.TimeDistributed(L.Dense(6)))),
    "dropout and noise": Network(
        vector(lambda: L.Dropout(0.5), lambda: L.GaussianNoise(1.0), lambda: L.AlphaDropout(0.5))
    ),
    "lambda": Network(vector(lambda: L.Lambda(lambda x: 2 * x + 1))),
    "one pixel": Network(lambda: tf_keras.Sequential([L.Input((1, 1, 1)), L.Conv2D(4, 1), L.Flatten(), L.Dense(3)])),
    "one unit": Network(lambda: tf_keras.Sequential([L.Input((1,)), L.Dense(2), L.Dense(1)]), task="raw"),
    "maxout by reshape": Network(vector(lambda: L.Dense(8), lambda: L.Reshape((4, 2)), L.GlobalMaxPooling1D)),
}
