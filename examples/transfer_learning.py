"""Transfer learning: load, freeze, train a head, thaw, prune what thawed, export."""

# python examples/transfer_learning.py

from __future__ import annotations

import tf_keras as keras

import dlth_tf as dlth

layers = keras.layers
data = dlth.load_dataset("digits")
x, y = data.train.images / 16.0, data.train.labels
test_x, test_y = data.test.images / 16.0, data.test.labels
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
old, new, new_test = y < 5, y >= 5, test_y >= 5

# A network that somebody has trained: the digits 0 to 4. In your program, a file or
# keras.applications.
trained = keras.Sequential(
    [
        layers.Input((8, 8, 1)),
        layers.Conv2D(16, 3, activation="relu", name="conv1"),
        layers.Conv2D(32, 3, activation="relu", name="conv2"),
        layers.Flatten(name="flat"),
        layers.Dense(64, activation="relu", name="features"),
        layers.Dense(5, name="old_head"),
    ]
)
trained.compile("adam", loss)
trained.fit(x[old], y[old], batch_size=32, epochs=5, verbose=0)
trained.save("trained.keras")

# 1. Load it, cut the head off, freeze the rest, train a new head for the digits 5 to 9.
trained = keras.models.load_model("trained.keras", compile=False)
base = keras.Model(trained.input, trained.get_layer("features").output, name="base")
base.trainable = False
inputs = keras.Input((8, 8, 1))
model = keras.Model(inputs, layers.Dense(5, name="head")(base(inputs)))
model.compile("adam", loss)
model.fit(x[new], y[new] - 5, batch_size=32, epochs=5, verbose=0)

# 2. Thaw the base, all but its first layer. Frozen layers stay dense: a ticket takes
# nothing from them.
base.trainable = True
base.get_layer("conv1").trainable = False
model = dlth.wrap(model)
print(dlth.summary(model))  # conv1 stays dense: frozen

# 3. Transform a random ticket of the thawed part, and remove the rest. A small learning
# rate, as in any fine-tuning.
steps = -(-int(new.sum()) // 32)
transform = dlth.callbacks.RSTPenalty.for_epochs(20, steps_per_epoch=steps)
model.compile(dlth.optimizers.SGD(0.01, momentum=0.9), loss)
ticket = dlth.callbacks.RandomMask(sparsity=0.8, seed=0)
model.fit(
    x[new],
    y[new] - 5,
    batch_size=32,
    epochs=20,
    verbose=0,
    callbacks=[ticket, transform],
)

# 4. Finetune the sparse network; the checkpoint of the best epoch is sparse, and a
# plain `load_weights` reads it.
model.compile(dlth.optimizers.SGD(0.01, momentum=0.9), loss, metrics=["accuracy"])
checkpoint = keras.callbacks.ModelCheckpoint(
    "best.weights.h5", "val_accuracy", save_best_only=True, save_weights_only=True
)
validation = (data.validation.images / 16.0, data.validation.labels)
keep = validation[1] >= 5
model.fit(
    x[new],
    y[new] - 5,
    batch_size=32,
    epochs=10,
    verbose=0,
    validation_data=(validation[0][keep], validation[1][keep] - 5),
    callbacks=[dlth.callbacks.KeepMask(), checkpoint],
)
model.load_weights("best.weights.h5")

# 5. Export an ordinary model.
plain = dlth.strip(model)
accuracy = float(
    (
        plain.predict(test_x[new_test], verbose=0).argmax(-1) == test_y[new_test] - 5
    ).mean()
)
dlth.export(
    plain,
    "exported",
    formats=("packed",),
    label_names=[str(digit) for digit in range(5, 10)],
)
print(f"test accuracy {accuracy:.3f}")
