"""Models whose graph cannot be read are refused."""

from __future__ import annotations

import pytest
import tf_keras

from dlth_tf.deploy.compaction import compact
from dlth_tf.errors import BadInput

L = tf_keras.layers


class Subclassed(tf_keras.Model):
    def __init__(self):
        super().__init__(name="own")
        self.out = L.Dense(3)

    def call(self, x):
        return self.out(x)


def test_a_model_without_a_graph_is_refused():
    model = Subclassed()
    model.build((None, 4))
    for refused in (model, tf_keras.Sequential([L.Dense(3)], name="unbuilt")):
        with pytest.raises(BadInput, match=f"model={refused.name}: has no known graph"):
            compact(refused)
