"""Export to ONNX and run the file in onnxruntime."""

# python examples/run_onnx.py

from __future__ import annotations

import numpy as np
import onnxruntime
import tf_keras as keras

import dlth_tf as dlth

data = dlth.load_dataset("digits")
x, y = data.train.images / 16.0, data.train.labels
test_x, test_y = (data.test.images / 16.0).astype("float32"), data.test.labels
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model = keras.Sequential(
    [
        keras.Input((8, 8, 1)),
        keras.layers.Conv2D(16, 3, activation="relu", name="conv1"),
        keras.layers.Conv2D(32, 3, activation="relu", name="conv2"),
        keras.layers.Flatten(name="flat"),
        keras.layers.Dense(10, name="logits"),
    ]
)
model = dlth.wrap(model)
model.compile("adam", loss)
ticket = dlth.callbacks.RandomMask(
    0.5, granularity="filter", dense_layers="last", remove=True
)
model.fit(x, y, batch_size=64, epochs=15, verbose=0, callbacks=[ticket])
plain = dlth.strip(model)

# The file is written from the compact network: the removed filters are not in it.
names = [str(digit) for digit in range(10)]
dlth.export(
    plain, "exported", formats=("onnx",), label_names=names, measure_latency=False
)
session = onnxruntime.InferenceSession("exported/onnx/model.onnx")
print(
    {entry.name: entry.shape for entry in session.get_inputs()},
    [entry.name for entry in session.get_outputs()],
)
logits, label = session.run(["logits", "label"], {"images": test_x})
difference = float(np.abs(logits - plain.predict(test_x, verbose=0)).max())
accuracy = float((label.astype(int) == test_y).mean())
print(f"test accuracy in onnxruntime {accuracy:.3f}, logits differ by {difference:.1e}")
