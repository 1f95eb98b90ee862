"""Networks with attention, and layers and models that users write themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tf_keras

from tests.deploy.zoo.network import L, Network, sequence, tokens
from tests.deploy.zoo.refusals import UNKNOWN_GRAPH


class Transformer(L.Layer):
    """Attention and two dense layers, each with a residual connection."""

    def __init__(self, width: int = 6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = width
        self.attend = L.MultiHeadAttention(2, 4)
        self.norms = [L.LayerNormalization(), L.LayerNormalization()]
        self.feed = tf_keras.Sequential([L.Dense(12, activation="gelu"), L.Dense(width)])

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Attends, then feeds forward."""
        inputs = inputs + self.attend(self.norms[0](inputs), self.norms[0](inputs))
        return inputs + self.feed(self.norms[1](inputs))

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "width": self.width}


class Mixer(L.Layer):
    """Mixes positions, then channels."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.norm = L.LayerNormalization()

    def build(self, shape: Any) -> None:
        """Creates dense layers as wide as the input."""
        self.positions, self.channels = L.Dense(shape[1]), L.Dense(shape[2])
        super().build(shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Adds both mixtures."""
        mixed = tf.transpose(self.positions(tf.transpose(self.norm(inputs), [0, 2, 1])), [0, 2, 1])
        return inputs + tf.nn.gelu(self.channels(inputs + mixed))


class Subclassed(tf_keras.Model):
    """A model whose graph Keras does not know."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.norm, self.head = L.Dense(8), L.BatchNormalization(), L.Dense(3)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Computes logits."""
        return self.head(tf.nn.relu(self.norm(self.hidden(inputs), training=training)))


class Branches(tf_keras.Model):
    """A subclassed model of two inputs and two outputs, in dictionaries."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = L.Dense(3), L.Dense(4)

    def call(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Computes both outputs."""
        return {"sum": self.left(inputs["a"]) + self.left(inputs["b"]), "right": self.right(inputs["b"])}


def _called(make: Callable[[], tf_keras.Model], example: Any) -> Callable[[], tf_keras.Model]:
    def build() -> tf_keras.Model:
        model = make()
        model(example)
        return model

    return build


def _functional(layer: Callable[[Any], Any]) -> Callable[[], tf_keras.Model]:
    def build() -> tf_keras.Model:
        start = L.Input((10, 6))
        return tf_keras.Model(start, L.Dense(3)(L.GlobalAveragePooling1D()(layer(L.Dense(6)(start)))))

    return build


def _vit() -> tf_keras.Model:
    start = L.Input((8, 8, 3))
    out = L.Reshape((16, 6))(L.Conv2D(6, 2, 2)(start))
    out = Transformer()(out + L.Embedding(16, 6)(tf.range(16)))
    return tf_keras.Model(start, L.Dense(3)(L.LayerNormalization()(out)[:, 0]))


def _masked() -> tf_keras.Model:
    start = L.Input((12,), dtype="int32")
    out = L.Embedding(10, 6, mask_zero=True)(start)
    out = L.MultiHeadAttention(2, 4)(out, out)
    return tf_keras.Model(start, L.Dense(3)(L.GlobalAveragePooling1D()(out)))


NETWORKS = {
    "multi-head attention": Network(_functional(lambda x: L.MultiHeadAttention(2, 3)(x, x))),
    "multi-head attention, causal": Network(
        _functional(lambda x: L.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True))
    ),
    "multi-head attention, masked": Network(_masked),
    "attention": Network(_functional(lambda x: L.Attention()([x, x]))),
    "additive attention": Network(_functional(lambda x: L.AdditiveAttention()([x, x]))),
    "transformer of tokens": Network(tokens(Transformer)),
    "transformer of sequences": Network(sequence(lambda: L.Dense(6), Transformer)),
    "vision transformer": Network(_vit),
    "mixer": Network(sequence(lambda: L.Dense(6), Mixer)),
    "subclassed": Network(_called(Subclassed, tf.zeros([2, 5])), refused={"compact": UNKNOWN_GRAPH}),
    "subclassed, dictionaries": Network(
        _called(Branches, dict.fromkeys("ab", tf.zeros([2, 5]))), task="raw", refused={"compact": UNKNOWN_GRAPH}
    ),
}
