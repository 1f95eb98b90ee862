"""The small sets that everyone uses, read from tensorflow_datasets' prepared files: one line each.

`cifar10` and `cifar100` crop and flip, as their published results do; the others are not augmented.
"""

from __future__ import annotations

import functools

from dlth_tf.data.tfds_sets import load

mnist = functools.partial(load, "mnist")
fashion_mnist = functools.partial(load, "fashion_mnist")
cifar10 = functools.partial(load, "cifar10")
cifar100 = functools.partial(load, "cifar100")
svhn_cropped = functools.partial(load, "svhn_cropped")
