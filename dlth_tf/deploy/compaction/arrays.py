"""Kernels and biases of a network while channels are folded and removed."""

from __future__ import annotations

import numpy as np

from dlth_tf.deploy.compaction import kinds
from dlth_tf.deploy.compaction.graph import Graph, LayerCall, weights_of


class Arrays:
    """Copies of all weights; those of convolutions and dense layers may be changed in place.

    Attributes:
      weights: Layer name -> its weights in Keras' order.
      maps: Layer name -> float64[map rows, map columns, outputs]: constants that are folded into a map (`maps`).
    """

    def __init__(self, graph: Graph) -> None:
        self.weights: dict[str, list[np.ndarray]] = {
            call.layer.name: call.layer.get_weights() if weights_of(call.layer) else [] for call in graph.calls
        }
        self.maps: dict[str, np.ndarray] = {}

    def matrix(self, call: LayerCall) -> np.ndarray:
        """Returns the kernel as a view [positions, inputs, outputs]; [positions, channels, multiplier] if depthwise."""
        kernel = self.weights[call.layer.name][0]
        return kernel.reshape(-1, *kernel.shape[-2:])

    def bias(self, call: LayerCall) -> np.ndarray:
        """Returns a view of the bias, float[outputs]; zeros if the layer has none."""
        return self.weights[call.layer.name][1] if call.layer.use_bias else np.zeros(self._outputs(call))

    def varying(self, call: LayerCall) -> np.ndarray:
        """Returns bool[outputs]: whether the map adds something to the output of a mixing call."""
        if call.layer.name not in self.maps:
            return np.zeros(self._outputs(call), bool)
        return (self.maps[call.layer.name] != 0).any((0, 1))

    def reads(self, call: LayerCall) -> np.ndarray:
        """Returns bool[inputs]: whether the kernel of a mixing call has a nonzero weight for each input channel."""
        return (self.matrix(call) != 0).any((0, 2))

    def _outputs(self, call: LayerCall) -> int:
        *_, inputs, last = self.weights[call.layer.name][0].shape
        return inputs * last if call.kind == kinds.DEPTHWISE else last
