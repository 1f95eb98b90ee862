"""Export for phones and small devices, and run the file in LiteRT as they do."""

# python examples/run_litert.py

from __future__ import annotations

from pathlib import Path

import numpy as np
import tf_keras as keras
from ai_edge_litert.interpreter import Interpreter  # or tf.lite.Interpreter

import dlth_tf as dlth

data = dlth.load_dataset("digits")
x, y = data.train.images.reshape(-1, 64) / 16.0, data.train.labels
test_x, test_y = (
    (data.test.images.reshape(-1, 64) / 16.0).astype("float32"),
    data.test.labels,
)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
layers = [
    keras.layers.Dense(units, activation="relu", name=f"fc{units}")
    for units in (300, 100)
]
model = dlth.wrap(
    keras.Sequential(
        [keras.Input((64,)), *layers, keras.layers.Dense(10, name="logits")]
    )
)

# Blocks of 4 x 1 are what LiteRT's kernel for sparse dense layers skips. At 90 % it is
# faster than the dense one.
ticket = dlth.callbacks.RandomMask(0.9, seed=0, granularity="block:4x1")
transform = dlth.callbacks.RSTPenalty.for_epochs(20, steps_per_epoch=-(-len(x) // 64))
model.compile(dlth.optimizers.SGD(0.03, momentum=0.9), loss)
model.fit(x, y, batch_size=64, epochs=20, verbose=0, callbacks=[ticket, transform])
model.compile(dlth.optimizers.SGD(0.1, momentum=0.9), loss)
model.fit(
    x, y, batch_size=64, epochs=10, verbose=0, callbacks=[dlth.callbacks.KeepMask()]
)
plain = dlth.strip(model)

# float32, float16 and int8 files; int8 is calibrated and compared on the examples.
dlth.export(
    plain,
    "exported",
    formats=("tflite",),
    examples=x[:500].astype("float32"),
    measure_latency=False,
)
run = Interpreter("exported/tflite/float32.tflite").get_signature_runner(
    "serving_default"
)
classes = run(images=test_x)["logits"].argmax(-1)
accuracy = float((classes == test_y).mean())
agreement = float(np.mean(classes == plain.predict(test_x, verbose=0).argmax(-1)))
for path in sorted(Path("exported/tflite").glob("*.tflite")):
    print(f"{path.name}: {path.stat().st_size:,} bytes")
print(f"test accuracy in LiteRT {accuracy:.3f}, the class of Keras for {agreement:.1%}")
