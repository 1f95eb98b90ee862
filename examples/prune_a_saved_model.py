"""Prune a network that is trained and saved as `.keras`, and save the sparse one."""

# python examples/prune_a_saved_model.py

from __future__ import annotations

import tf_keras as keras

import dlth_tf as dlth

data = dlth.load_dataset("digits")
x, y = data.train.images.reshape(-1, 64) / 16.0, data.train.labels
test_x, test_y = data.test.images.reshape(-1, 64) / 16.0, data.test.labels
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

# A file of yours. Keras 3 files are loaded with `keras.saving.load_model`; everything
# below is the same.
trained = keras.Sequential(
    [
        keras.Input((64,)),
        keras.layers.Dense(128, activation="relu", name="fc1"),
        keras.layers.Dense(64, activation="relu", name="fc2"),
        keras.layers.Dense(10, name="logits"),
    ]
)
trained.compile("adam", loss)
trained.fit(x, y, batch_size=64, epochs=15, verbose=0)
trained.save("trained.keras")

model = dlth.wrap(keras.models.load_model("trained.keras", compile=False))
before = model.predict(test_x, verbose=0).argmax(-1)

# Trained weights have meaning, so remove the smallest ones, a few at a time, while
# training goes on.
steps = -(-len(x) // 64)
model.compile(keras.optimizers.Adam(1e-3), loss)
prune = dlth.callbacks.GradualMagnitude(0.9, begin=1, end=10 * steps, every=steps)
model.fit(x, y, batch_size=64, epochs=15, verbose=0, callbacks=[prune])

plain = dlth.strip(model)
plain.save("sparse.keras")
again = keras.models.load_model("sparse.keras", compile=False)  # needs no dlth_tf
accuracies = [
    float((labels == test_y).mean())
    for labels in (before, again.predict(test_x, verbose=0).argmax(-1))
]
print(dlth.summary(model))
print("test accuracy: dense {:.3f}, 90 % removed {:.3f}".format(*accuracies))
