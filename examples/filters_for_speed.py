"""Remove whole filters, so that an ordinary smaller and faster network remains."""

# python examples/filters_for_speed.py

from __future__ import annotations

import numpy as np
import tf_keras as keras

import dlth_tf as dlth

layers = keras.layers
data = dlth.load_dataset("digits")
x, y = data.train.images / 16.0, data.train.labels
test_x, test_y = data.test.images / 16.0, data.test.labels
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
steps = -(-len(x) // 64)

model = keras.Sequential([layers.Input((8, 8, 1))])
for number, filters in enumerate((16, 32, 32), start=1):
    model.add(
        layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"conv{number}")
    )
    model.add(layers.BatchNormalization(momentum=0.9, name=f"bn{number}"))
    model.add(layers.ReLU(name=f"relu{number}"))
model.add(layers.GlobalAveragePooling2D(name="pool"))
model.add(layers.Dense(10, name="logits"))
model = dlth.wrap(model)

# Half of the filters of every layer but the first. 50 % leaves multiples of 8, which
# runtimes like.
ticket = dlth.callbacks.RandomMask(sparsity=0.5, seed=0, granularity="filter")
transform = dlth.callbacks.RSTPenalty.for_epochs(20, steps_per_epoch=steps)
model.compile(dlth.optimizers.SGD(0.03, momentum=0.9), loss)
model.fit(x, y, batch_size=64, epochs=20, verbose=0, callbacks=[ticket, transform])

plain = dlth.strip(model)
small = dlth.compact(
    plain
)  # an ordinary Keras model with half of the filters, equal outputs
difference = float(
    np.abs(plain.predict(test_x, verbose=0) - small.predict(test_x, verbose=0)).max()
)

# Finetune the small network: nothing is masked any more, and every step is cheaper. The
# learning rate falls to 0: at a constant 0.1 the averages of batch normalisation lag
# behind the weights, and the test accuracy of this network swings between 34 and 99 %.
rate = keras.optimizers.schedules.CosineDecay(0.1, decay_steps=10 * steps)
small.compile(dlth.optimizers.SGD(rate, momentum=0.9), loss)
small.fit(x, y, batch_size=64, epochs=10, verbose=0)
accuracy = float((small.predict(test_x, verbose=0).argmax(-1) == test_y).mean())
print(f"{plain.count_params()} -> {small.count_params()} parameters")
print(f"outputs differ by {difference:.1e}")
print(f"test accuracy {accuracy:.3f}")
