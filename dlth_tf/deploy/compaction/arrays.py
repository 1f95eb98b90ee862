"""The kernels and biases of a network while channels are moved and removed."""

from __future__ import annotations

import numpy as np

from dlth_tf.deploy.compaction import kinds
from dlth_tf.deploy.compaction.graph import Graph, LayerCall


class Arrays:
    """Copies of all weights, by layer name; those of convolutions and dense layers may be changed here.

    Attributes:
      weights: layer name -> its weights in Keras' order.
    """

    def __init__(self, graph: Graph) -> None:
        self.weights: dict[str, list[np.ndarray]] = {step.layer.name: step.layer.get_weights() for step in graph.steps}

    def matrix(self, step: LayerCall) -> np.ndarray:
        """The kernel as a view [positions, inputs, outputs]; of a depthwise one [positions, channels, times]."""
        kernel = self.weights[step.layer.name][0]
        return kernel.reshape(-1, *kernel.shape[-2:])

    def bias(self, step: LayerCall) -> np.ndarray:
        """float[outputs], a view; zeros where the layer has none."""
        return self.weights[step.layer.name][1] if step.layer.use_bias else np.zeros(self._outputs(step))

    def reads(self, step: LayerCall) -> np.ndarray:
        """bool[inputs]: which channels a mixing step looks at."""
        return (self.matrix(step) != 0).any((0, 2))

    def _outputs(self, step: LayerCall) -> int:
        *_, inputs, last = self.weights[step.layer.name][0].shape
        return inputs * last if step.kind == kinds.DEPTHWISE else last
