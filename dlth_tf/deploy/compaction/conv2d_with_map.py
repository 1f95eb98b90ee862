"""Conv2DWithMap: the layer of tf_keras that holds what `maps` computes."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras


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
