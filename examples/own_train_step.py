"""Transform a model with a `train_step` of its own: distillation from a teacher."""

# python examples/own_train_step.py

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras

import dlth_tf as dlth

data = dlth.load_dataset("digits")
x, y = data.train.images.reshape(-1, 64) / 16.0, data.train.labels
test_x, test_y = data.test.images.reshape(-1, 64) / 16.0, data.test.labels
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
dense = keras.layers.Dense


def network() -> list[keras.layers.Layer]:
    return [
        dense(100, activation="relu", name="fc1"),
        dense(100, activation="relu", name="fc2"),
        dense(10, name="logits"),
    ]


class Student(keras.Model):
    """Learns half from the labels, half from the teacher's probabilities."""

    def __init__(self, teacher: keras.Model) -> None:
        super().__init__()
        self.stack = network()
        # In a function, not an attribute: the teacher is no part of the student.
        self.teach = lambda images: tf.nn.softmax(teacher(images))

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        for layer in self.stack:
            inputs = layer(inputs)
        return inputs

    def train_step(self, batch: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        images, labels = batch
        with tf.GradientTape() as tape:
            logits = self(images, training=True)
            soft = tf.nn.softmax_cross_entropy_with_logits(self.teach(images), logits)
            value = 0.5 * self.compiled_loss(labels, logits) + 0.5 * tf.reduce_mean(
                soft
            )
        gradients = tape.gradient(value, self.trainable_variables)
        # Mask and penalty act in this step of the optimizer.
        self.optimizer.apply_gradients(
            zip(gradients, self.trainable_variables, strict=True)
        )
        return {"loss": value}


teacher = keras.Sequential([keras.Input((64,)), *network()])
teacher.compile("adam", loss)
teacher.fit(x, y, batch_size=64, epochs=15, verbose=0)

student = Student(teacher)
student(x[:1])  # a subclassed model has its weights after the first call
student = dlth.wrap(student)  # in place: `call` and `train_step` stay

steps = -(-len(x) // 64)
transform = dlth.callbacks.RSTPenalty.for_epochs(30, steps_per_epoch=steps)
student.compile(dlth.optimizers.SGD(0.03, momentum=0.9), loss)
ticket = dlth.callbacks.RandomMask(sparsity=0.95, seed=0)
student.fit(x, y, batch_size=64, epochs=30, verbose=0, callbacks=[ticket, transform])

student.compile(dlth.optimizers.SGD(0.1, momentum=0.9), loss)
student.fit(
    x, y, batch_size=64, epochs=20, verbose=0, callbacks=[dlth.callbacks.KeepMask()]
)

plain = dlth.strip(student)
accuracy = float((plain.predict(test_x, verbose=0).argmax(-1) == test_y).mean())
print(f"95 % removed, test accuracy {accuracy:.3f}")
