"""Constants that zero padding prevents from being folded into a bias, as an exact map of the output's positions.

A convolution with padding "same" turns a constant channel into the same number at every position whose window is
inside the image, and into other ones at the border. Positions that see the same part of the kernel get the same number:
three rows and three columns of a map suffice for a 3 x 3 kernel. With the map, no channel has to stay for the
constants, so that 8 channels are 8 and not 9 to runtimes that process 8 or 16 at a time.
"""

from __future__ import annotations

import numpy as np

from dlth_tf.deploy.compaction.graph import Graph, LayerCall

MULTIPLE = 8  # channels that runtimes process at a time


def able(graph: Graph, call: LayerCall) -> bool:
    """Returns whether the call is a convolution that can have a map: one with padding "same" on images of one size."""
    layer = call.layer
    known = None not in graph.shapes[call.input][1:3]
    return type(layer).__name__ == "Conv2D" and layer.padding == "same" and known


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
