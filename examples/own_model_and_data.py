"""A custom network and data set, each given by the name of a function."""

# python -m dlth_tf.train --model=examples.own_model_and_data:network \
#     --dataset=examples.own_model_and_data:shapes --method=rst --sparsity=.9 \
#     --epochs=5 --lr=.05 --hold_steps=100 --penalty_step=.01 --penalty_every=1 \
#     --transform_lr=.01

from __future__ import annotations

import numpy as np

from dlth_tf.data import DataSet, Split

SIZE = 16
CLASSES = ("square", "circle", "cross")


def shapes(data_dir: str | None) -> DataSet:
    """Returns noisy gray images of three shapes at random positions.

    Called with --data_dir, which is unused.
    """
    random = np.random.default_rng(0)  # the same data for every --seed
    return DataSet(
        name="shapes",
        train=_images(random, 900),
        validation=_images(random, 150),
        test=_images(random, 300),
        label_names=CLASSES,
    )


def _images(random: np.random.Generator, count: int) -> Split:
    rows, columns = np.mgrid[:SIZE, :SIZE]
    labels = np.arange(count) % len(CLASSES)
    y, x = random.integers(5, SIZE - 5, (2, count, 1, 1))
    vertical = abs(rows - y)
    horizontal = abs(columns - x)
    inside = [
        np.maximum(vertical, horizontal) <= 3,
        vertical**2 + horizontal**2 <= 12,
        (np.minimum(vertical, horizontal) == 0)
        & (np.maximum(vertical, horizontal) <= 4),
    ]
    shape = np.select(
        [labels[:, None, None] == label for label in range(len(CLASSES))], inside
    )
    images = shape * 180 + random.integers(0, 60, (count, SIZE, SIZE))
    return Split(images[..., None].astype(np.uint8), labels.astype(np.int64))


def network(image_shape: tuple[int, int, int], classes: int, channels: int = 8):
    """Returns a network that outputs logits.

    Called with the image shape, the classes, and the --model_args.
    """
    import tf_keras

    layers = tf_keras.layers
    return tf_keras.Sequential(
        [
            layers.Input(image_shape),
            layers.Conv2D(channels, 3, padding="same", use_bias=False, name="conv1"),
            layers.BatchNormalization(epsilon=1e-5, momentum=0.9, name="bn1"),
            layers.ReLU(name="relu1"),
            layers.MaxPooling2D(name="pool1"),
            layers.Conv2D(
                2 * channels, 3, padding="same", use_bias=False, name="conv2"
            ),
            layers.BatchNormalization(epsilon=1e-5, momentum=0.9, name="bn2"),
            layers.ReLU(name="relu2"),
            layers.GlobalMaxPooling2D(name="pool2"),
            layers.Dense(classes, name="fc"),
        ]
    )
