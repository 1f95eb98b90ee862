"""The value Normalization: precision, batches, JSON, and rejected numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tensorflow as tf

from dlth_tf.data import NORMALIZATIONS, Normalization, normalization
from dlth_tf.errors import BadInput
from tests.data.conftest import random_dataset


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_every_precision_is_rounded_once(dtype: str) -> None:
    scheme = Normalization(1 / 255, (0.49, 0.48, 0.44), (0.25, 0.24, 0.26))
    pixels = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    values = scheme(pixels, dtype)
    assert values.dtype.name == dtype
    exact = (pixels / 255 - np.array(scheme.mean)) / np.array(scheme.std)
    bound = {"float64": 1e-15, "float32": 1e-6, "float16": 2e-3, "bfloat16": 1e-2}[dtype]
    np.testing.assert_allclose(values.numpy().astype(np.float64), exact, atol=bound)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("shape", [(3, 5, 4, 3), (0, 2, 2, 3), (2, 7, 1, 1)], ids=str)
def test_a_batch_is_normalized_to_the_same_bits_as_its_images(shape: tuple[int, ...], dtype: str) -> None:
    scheme = Normalization(1 / 255, (0.49, 0.48, 0.44)[: shape[-1]], (0.2, 0.19, 0.21)[: shape[-1]])
    images = tf.constant(np.random.default_rng(0).integers(0, 256, shape, np.uint8))
    batch, one_by_one = scheme.of_batch(images, dtype), scheme(images, dtype)
    assert batch.dtype == dtype and np.array_equal(batch.numpy(), one_by_one.numpy())


def test_a_batch_with_other_channels_is_refused_as_its_images_are() -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        Normalization(1.0, (0.0, 0.0), (1.0, 1.0)).of_batch(tf.zeros([1, 4, 4, 3], tf.uint8))


@pytest.mark.parametrize("name", NORMALIZATIONS.names())
def test_every_normalization_survives_json(name: str) -> None:
    scheme = normalization(random_dataset(), name)
    assert Normalization.from_json(json.loads(json.dumps(scheme.to_json()))) == scheme


@pytest.mark.parametrize(
    "value", [{}, {"scale": 1, "mean": [0], "std": ["x"]}, {"scale": 1, "mean": 0, "std": [1]}, [], None]
)
def test_json_that_describes_no_normalization_is_refused(value: object) -> None:
    with pytest.raises(BadInput, match="must contain scale, mean and std"):
        Normalization.from_json(value)


@pytest.mark.parametrize(
    ("numbers", "thing"),
    [
        ((1.0, (0.0,), (0.0,)), "std"),
        ((1.0, (0.0, 0.0), (1.0,)), "normalization"),
        ((float("nan"), (0.0,), (1.0,)), "scale"),
        ((1.0, (), ()), "normalization"),
        ((1.0, (0.0,), (-1.0,)), "std"),
        ((1.0, (float("inf"),), (1.0,)), "mean"),
    ],
)
def test_numbers_that_cannot_normalize_are_refused(numbers: tuple, thing: str) -> None:
    with pytest.raises(BadInput) as caught:
        Normalization(*numbers)
    assert caught.value.thing == thing
