"""A network and data of your own, by the names of two functions."""

# python -m dlth_tf.train --model=examples.own_model_and_data:network --dataset=examples.own_model_and_data:shapes \
#     --method=rst --sparsity=.9 --epochs=5 --lr=.05 --hold_steps=100 --penalty_step=.01 --penalty_every=1 --transform_lr=.01

from __future__ import annotations

import numpy as np

from dlth_tf.data import DataSet, Split

SIZE, CLASSES = 16, ("square", "circle", "cross")


def shapes(data_dir: str | None) -> DataSet:
    """Grey pictures of three shapes, somewhere in the image, with noise. Called with --data_dir, which is not needed here."""
    draw = np.random.default_rng(0)  # a data set is the same in every run: --seed is for what is drawn from it
    return DataSet(
        name="shapes",
        train=_pictures(draw, 900),
        validation=_pictures(draw, 150),
        test=_pictures(draw, 300),
        label_names=CLASSES,
    )


def _pictures(draw: np.random.Generator, count: int) -> Split:
    rows, columns = np.mgrid[:SIZE, :SIZE]
    labels = np.arange(count) % len(CLASSES)
    y, x = draw.integers(5, SIZE - 5, (2, count, 1, 1))
    up, right = abs(rows - y), abs(columns - x)
    inside = [
        np.maximum(up, right) <= 3,
        up**2 + right**2 <= 12,
        (np.minimum(up, right) == 0) & (np.maximum(up, right) <= 4),
    ]
    shown = np.select([labels[:, None, None] == label for label in range(len(CLASSES))], inside)
    images = shown * 180 + draw.integers(0, 60, (count, SIZE, SIZE))
    return Split(images[..., None].astype(np.uint8), labels.astype(np.int64))


def network(image_shape: tuple[int, int, int], classes: int, channels: int = 8):
    """Called with the images' shape, the number of classes, and what --model_args says; gives logits."""
    import tf_keras

    layers = tf_keras.layers
    return tf_keras.Sequential(
        [
            layers.Input(image_shape),
            layers.Conv2D(channels, 3, padding="same", use_bias=False, name="conv1"),
            layers.BatchNormalization(epsilon=1e-5, momentum=0.9, name="bn1"),
            layers.ReLU(name="relu1"),
            layers.MaxPooling2D(name="pool1"),
            layers.Conv2D(2 * channels, 3, padding="same", use_bias=False, name="conv2"),
            layers.BatchNormalization(epsilon=1e-5, momentum=0.9, name="bn2"),
            layers.ReLU(name="relu2"),
            layers.GlobalMaxPooling2D(name="pool2"),
            layers.Dense(classes, name="fc"),
        ]
    )
