"""Prune a text classifier: Embedding and a transformer block."""

# python examples/text_classifier.py

from __future__ import annotations

import numpy as np
import tf_keras as keras

import dlth_tf as dlth

WORDS, LENGTH, SIZE = 200, 12, 32
layers = keras.layers


def sentences(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns word numbers [count, LENGTH], and 1 where more are below WORDS // 2."""
    random = np.random.default_rng(seed)
    tokens = random.integers(1, WORDS, (count, LENGTH))
    return tokens, ((tokens < WORDS // 2).sum(1) > LENGTH // 2).astype("int64")


class Block(layers.Layer):
    """Attention, then two dense layers, both with a shortcut and layer norm."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self.attend = layers.MultiHeadAttention(2, SIZE // 2, name="attend")
        self.up = layers.Dense(4 * SIZE, activation="relu", name="up")
        self.down = layers.Dense(SIZE, name="down")
        self.norm1, self.norm2 = (
            layers.LayerNormalization(name="norm1"),
            layers.LayerNormalization(name="norm2"),
        )

    def call(self, inputs: object) -> object:
        hidden = self.norm1(inputs + self.attend(inputs, inputs))
        return self.norm2(hidden + self.down(self.up(hidden)))


tokens = keras.Input((LENGTH,), dtype="int32", name="tokens")
hidden = layers.Embedding(WORDS, SIZE, name="words")(tokens)
hidden = Block(name="block")(hidden)
hidden = layers.GlobalAveragePooling1D(name="mean")(hidden)
model = dlth.wrap(keras.Model(tokens, layers.Dense(2, name="logits")(hidden)))
print(
    dlth.summary(model)
)  # the layers inside the block are pruned, each under its own name

x, y = sentences(4000, seed=0)
test_x, test_y = sentences(1000, seed=1)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
steps = -(-len(x) // 64)

# Adam suits transformers. Its steps are normalized, so the penalty needs no larger
# learning rate.
transform = dlth.callbacks.RSTPenalty.for_epochs(8, steps_per_epoch=steps)
model.compile(keras.optimizers.Adam(3e-3), loss)
model.fit(
    x,
    y,
    batch_size=64,
    epochs=8,
    verbose=0,
    callbacks=[dlth.callbacks.RandomMask(0.8, seed=0), transform],
)
model.compile(keras.optimizers.Adam(3e-3), loss)
model.fit(
    x, y, batch_size=64, epochs=4, verbose=0, callbacks=[dlth.callbacks.KeepMask()]
)

plain = dlth.strip(model)
accuracy = float((plain.predict(test_x, verbose=0).argmax(-1) == test_y).mean())
print(f"80 % removed, test accuracy {accuracy:.3f}")
