"""Serve a sparse network with TensorFlow Serving: folder, request and answer."""

# python examples/run_serving.py

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras as keras

import dlth_tf as dlth

data = dlth.load_dataset("digits")
x, y = data.train.images, data.train.labels
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model = keras.Sequential(
    [
        keras.Input((8, 8, 1)),
        keras.layers.Rescaling(
            16.0 / 255
        ),  # the pictures of clients have values from 0 to 255
        keras.layers.Flatten(),
        keras.layers.Dense(100, activation="relu", name="fc"),
        keras.layers.Dense(10, name="logits"),
    ]
)
model = dlth.wrap(model)
model.compile("adam", loss)
pictures = np.round(x * (255 / 16))
model.fit(
    pictures,
    y,
    batch_size=64,
    epochs=20,
    verbose=0,
    callbacks=[dlth.callbacks.RandomMask(0.8, remove=True)],
)

# 1. Export, with a second signature that takes PNG and JPEG files. The server wants one
# folder for each version.
names = [str(digit) for digit in range(10)]
dlth.export(
    dlth.strip(model),
    "exported",
    formats=("packed",),
    label_names=names,
    image_bytes=True,
    measure_latency=False,
)
shutil.copytree("exported/packed", "models/digits/1", dirs_exist_ok=True)

# 2. The body of a request with one image: its pixels, or a PNG file in base64.
image = np.round(data.test.images[0] * (255 / 16)).astype("uint8")
png = tf.io.encode_png(image).numpy()
pixels = {"instances": image[None].astype(float).tolist()}
encoded = {
    "signature_name": "image_bytes",
    "instances": [{"b64": base64.b64encode(png).decode()}],
}
Path("pixels.json").write_text(json.dumps(pixels))
Path("encoded.json").write_text(json.dumps(encoded))

# 3. The answer. The server runs the same signature as this call, and sends
# {"predictions": [{...}]}.
served = tf.saved_model.load("models/digits/1")
outputs = served.signatures["image_bytes"](image_bytes=tf.constant([png]))
answer = {
    name: np.asarray(value.numpy()[0]).tolist()
    for name, value in sorted(outputs.items())
}
answer = {
    name: value.decode() if isinstance(value, bytes) else value
    for name, value in answer.items()
}
print(json.dumps(encoded)[:100], "...")
print(json.dumps({"predictions": [answer]}))
