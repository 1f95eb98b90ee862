"""A tf.data pipeline with augmentation, and mixed precision."""

# python examples/tf_data_mixed_precision.py

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras

import dlth_tf as dlth

BATCH = 64
layers = keras.layers
data = dlth.load_dataset("digits")
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def shifted(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return tf.image.random_crop(
        tf.pad(image, [[1, 1], [1, 1], [0, 0]]), (8, 8, 1)
    ), label


train = (
    tf.data.Dataset.from_tensor_slices((data.train.images / 16.0, data.train.labels))
    .shuffle(2048, seed=0)
    .map(shifted, num_parallel_calls=tf.data.AUTOTUNE)
    .batch(BATCH, drop_remainder=True)
    .prefetch(tf.data.AUTOTUNE)
)
test = tf.data.Dataset.from_tensor_slices(
    (data.test.images / 16.0, data.test.labels)
).batch(BATCH)

# bfloat16 on CPUs and TPUs; "mixed_float16" on GPUs. Weights, scores and masks stay
# float32.
keras.mixed_precision.set_global_policy("mixed_bfloat16")
model = keras.Sequential(
    [
        layers.Input((8, 8, 1)),
        layers.Conv2D(16, 3, padding="same", activation="relu", name="conv1"),
        layers.Conv2D(32, 3, padding="same", activation="relu", name="conv2"),
        layers.MaxPooling2D(name="pool"),
        layers.Flatten(name="flat"),
        layers.Dense(64, activation="relu", name="fc"),
        layers.Dense(10, dtype="float32", name="logits"),  # the loss in float32
    ]
)
model = dlth.wrap(model)
keras.mixed_precision.set_global_policy(
    "float32"
)  # layers keep the policy with which they were made

transform = dlth.callbacks.RSTPenalty.for_epochs(15, steps_per_epoch=len(train))
model.compile(dlth.optimizers.SGD(0.03, momentum=0.9), loss)
model.fit(
    train,
    epochs=15,
    verbose=0,
    callbacks=[dlth.callbacks.RandomMask(0.9, seed=0), transform],
)

model.compile(dlth.optimizers.SGD(0.1, momentum=0.9), loss, metrics=["accuracy"])
model.fit(train, epochs=10, verbose=0, callbacks=[dlth.callbacks.KeepMask()])

plain = dlth.strip(model)
plain.compile(loss=loss, metrics=["accuracy"])
accuracy = plain.evaluate(test, verbose=0)[1]
print(f"90 % removed, test accuracy {accuracy:.3f}")
