"""Constants that zero padding prevents from being folded into a bias, as an exact map of the output's positions.

A convolution with padding "same" turns a constant channel into the same number at every position whose window is
inside the image, and into other ones at the border. Positions that see the same part of the kernel get the same number:
three rows and three columns of a map suffice for a 3 x 3 kernel. With the map, no channel has to stay for the
constants, so that 8 channels are 8 and not 9 to runtimes that process 8 or 16 at a time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from dlth_tf.deploy.compaction.graph import Graph, LayerCall

MULTIPLE = 8  # channels that runtimes process at a time


class Conv2DWithMap(tf_keras.layers.Conv2D):
    """A convolution whose bias depends on the position.

    Args:
      filters: Number of outputs.
      kernel_size: As in Conv2D.
      rows: For every row of the output, the row of the map.
      columns: For every column of the output, the column of the map.
      **options: Options of Conv2D. Its bias is part of the map.
    """

    def __init__(self, filters: int, kernel_size: Any, rows: list[int], columns: list[int], **options: Any) -> None:
        super().__init__(filters, kernel_size, **(options | {"use_bias": False}))
        self.rows = list(rows)
        self.columns = list(columns)

    def build(self, input_shape: Any) -> None:
        """Adds the kernel and the map, float[map rows, map columns, filters]."""
        super().build(input_shape)
        self.map = self.add_weight("map", shape=(max(self.rows) + 1, max(self.columns) + 1, self.filters))

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Computes the convolution, adds the map and applies the activation."""
        whole = tf.gather(tf.gather(tf.convert_to_tensor(self.map), self.rows), self.columns, axis=1)
        outputs = self.convolution_op(inputs, self.kernel) + whole
        return outputs if self.activation is None else self.activation(outputs)

    def get_config(self) -> dict[str, Any]:
        """Returns the config of Conv2D with the rows and columns of the map."""
        return super().get_config() | {"rows": self.rows, "columns": self.columns}


def able(graph: Graph, call: LayerCall) -> bool:
    """Returns whether the call is a convolution that can have a map: one with padding "same" on images of one size."""
    layer = call.layer
    known = None not in graph.shapes[call.input][1:3]
    return type(layer) is tf_keras.layers.Conv2D and layer.padding == "same" and known


def windows(graph: Graph, call: LayerCall) -> tuple[np.ndarray, list[int], list[int]]:
    """Finds the positions that see the same part of the kernel.

    Returns:
      seen: float64[map rows, map columns, kernel positions]: 1 where the window is inside the image.
      rows: For every row of the output, its row of the map.
      columns: For every column of the output, its column of the map.
    """
    layer = call.layer
    sizes = [int(size or 0) for size in graph.shapes[call.input][1:3]]
    options = zip(sizes, layer.kernel_size, layer.strides, layer.dilation_rate, strict=True)
    (above, rows), (left, columns) = (_along(*along) for along in options)
    seen = above[:, None, :, None] * left[None, :, None, :]
    return seen.reshape(len(above), len(left), -1).astype(np.float64), rows, columns


def _along(size: int, taps: int, stride: int, dilation: int) -> tuple[np.ndarray, list[int]]:
    """Returns the different windows along one axis, bool[windows, taps], and the window of every output."""
    outputs = -(-size // stride)
    before = max((outputs - 1) * stride + (taps - 1) * dilation + 1 - size, 0) // 2
    positions = np.arange(outputs)[:, None] * stride - before + np.arange(taps) * dilation
    different, which = np.unique((positions >= 0) & (positions < size), axis=0, return_inverse=True)
    return different, which.ravel().tolist()
