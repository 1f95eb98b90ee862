"""EarlyStopping and ReduceLROnPlateau beside the callbacks of dlth_tf."""

# python examples/early_stopping.py

from __future__ import annotations

import tf_keras as keras

import dlth_tf as dlth

data = dlth.load_dataset("digits")
x, y = data.train.images.reshape(-1, 64) / 16.0, data.train.labels
validation = (data.validation.images.reshape(-1, 64) / 16.0, data.validation.labels)
test_x, test_y = data.test.images.reshape(-1, 64) / 16.0, data.test.labels
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
steps = -(-len(x) // 64)


def network() -> keras.Model:
    dense = keras.layers.Dense
    return keras.Sequential(
        [
            keras.Input((64,)),
            dense(100, activation="relu", name="fc1"),
            dense(10, name="logits"),
        ]
    )


# The transformation takes exactly its steps: no EarlyStopping here (it would be an
# error, and nothing removed).
model = dlth.wrap(network())
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

# The finetuning is an ordinary training: stop when it no longer improves, with the best
# weights. They are sparse too.
model.compile(dlth.optimizers.SGD(0.1, momentum=0.9), loss, metrics=["accuracy"])
plateau = keras.callbacks.ReduceLROnPlateau(patience=3, factor=0.3)
stop = keras.callbacks.EarlyStopping(patience=8, restore_best_weights=True)
history = model.fit(
    x,
    y,
    batch_size=64,
    epochs=100,
    verbose=0,
    validation_data=validation,
    callbacks=[dlth.callbacks.KeepMask(), plateau, stop],
)
plain = dlth.strip(model)
accuracy = float((plain.predict(test_x, verbose=0).argmax(-1) == test_y).mean())
print(f"rst: {len(history.epoch)} epochs of at most 100, test accuracy {accuracy:.3f}")

# A schedule that prunes while it trains must reach its end first: let EarlyStopping
# start after it.
gradual = dlth.wrap(network())
gradual.compile("adam", loss)
prune = dlth.callbacks.GradualMagnitude(0.9, begin=1, end=10 * steps, every=steps)
stop = keras.callbacks.EarlyStopping(
    min_delta=0.01, patience=3, restore_best_weights=True, start_from_epoch=11
)
gradual.fit(
    x,
    y,
    batch_size=64,
    epochs=60,
    verbose=0,
    validation_data=validation,
    callbacks=[prune, stop],
)
sparsity = dlth.summary(gradual).sparsity
print(f"gradual: {stop.stopped_epoch or 60} epochs, sparsity {sparsity:.3f}")
