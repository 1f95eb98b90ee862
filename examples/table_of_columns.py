"""Prune a network for a table of 20 columns, with normalization inside the model."""

# python examples/table_of_columns.py

from __future__ import annotations

import numpy as np
import tf_keras as keras

import dlth_tf as dlth

random = np.random.default_rng(0)
table = random.normal(3.0, 5.0, (3000, 20)).astype(
    "float32"
)  # yours: frame.drop(columns="label").to_numpy("float32")
standard = (table - 3) / 5
label = (standard[:, 0] * standard[:, 1] + standard[:, 2] > 0).astype("int64")
x, test_x, y, test_y = table[:2400], table[2400:], label[:2400], label[2400:]

scale = keras.layers.Normalization(name="scale")
scale.adapt(x)  # measured on the training rows alone, and part of the exported model
model = keras.Sequential(
    [
        keras.Input((20,)),
        scale,
        keras.layers.Dense(200, activation="relu", name="fc1"),
        keras.layers.Dense(200, activation="relu", name="fc2"),
        keras.layers.Dense(2, name="logits"),
    ]
)
model = dlth.wrap(model)

loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
steps = -(-len(x) // 64)
transform = dlth.callbacks.RSTPenalty.for_epochs(20, steps_per_epoch=steps)
model.compile(dlth.optimizers.SGD(0.03, momentum=0.9), loss)
model.fit(
    x,
    y,
    batch_size=64,
    epochs=20,
    verbose=0,
    callbacks=[dlth.callbacks.RandomMask(0.9, seed=0), transform],
)
model.compile(dlth.optimizers.SGD(0.03, momentum=0.9), loss)
model.fit(
    x, y, batch_size=64, epochs=10, verbose=0, callbacks=[dlth.callbacks.KeepMask()]
)

plain = dlth.strip(model)
accuracy = float((plain.predict(test_x, verbose=0).argmax(-1) == test_y).mean())
print(f"90 % removed, test accuracy {accuracy:.3f}")
