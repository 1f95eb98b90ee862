"""The two LeNets, for images of several sizes."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import dlth_tf
from dlth_tf import masking, models
from dlth_tf.errors import BadInput
from dlth_tf.models import MODELS

SIZES = [(8, 8, 1), (28, 28, 1), (32, 32, 3), (16, 24, 2)]


@pytest.mark.parametrize("shape", SIZES, ids=str)
@pytest.mark.parametrize("name", MODELS.names())
def test_every_model_gives_logits_for_images_of_any_size(name, shape):
    model = models.build(name, shape, 7, 0)
    images = np.random.default_rng(0).random((3, *shape), np.float32)
    logits = model(images).numpy()
    assert logits.shape == (3, 7) and np.isfinite(logits).all()
    assert (logits < 0).any()  # no softmax, no ReLU at the end
    assert not np.allclose(logits[0], logits[1])


@pytest.mark.parametrize("name", MODELS.names())
def test_the_same_seed_gives_the_same_network_and_another_another(name):
    weights = [models.build(name, (8, 8, 1), 10, seed).get_weights() for seed in (0, 0, 1)]
    assert all(np.array_equal(one, other) for one, other in zip(*weights[:2], strict=True))
    assert not any(np.array_equal(one, other) for one, other in zip(weights[0], weights[2], strict=True) if one.ndim > 1)


@pytest.mark.parametrize(
    ("name", "prunable", "dense"),
    [
        ("lenet_300_100", ["fc1/kernel", "fc2/kernel"], ["fc3/kernel"]),
        ("lenet5", ["conv2/kernel", "fc1/kernel", "fc2/kernel"], ["conv1/kernel", "fc3/kernel"]),
    ],
)
def test_first_and_last_layer_stay_dense_as_in_the_paper(name, prunable, dense):
    model = dlth_tf.wrap(models.build(name, (28, 28, 1), 10, 0))
    assert list(masking.prunable_of_ticket(model)) == prunable
    dlth_tf.apply_ticket(model, dlth_tf.random_ticket(model, 0.5))
    table = dlth_tf.layer_table(model).query("weight != ''")
    names = table["layer"] + "/" + table["weight"]
    assert names[table["status"] == "pruned"].tolist() == prunable
    assert sorted(names[table["status"] == "dense"]) == dense


def test_width_multiplies_every_hidden_size_and_leaves_one_unit_at_least():
    shapes = [layer.units for layer in models.build("lenet_300_100", (8, 8, 1), 10, 0, {"width": 0.5}).layers if hasattr(layer, "units")]
    assert shapes == [150, 50, 10]
    thin = models.build("lenet5", (28, 28, 1), 10, 0, {"width": 1e-9})
    assert thin.count_params() == (25 + 1) + (25 + 1) + (25 + 1) + (1 + 1) + (10 + 10)


def test_the_second_convolution_pads_only_small_images():
    def size(side: int) -> int:
        return models.build("lenet5", (side, side, 1), 10, 0).get_layer("conv2").output_shape[1]

    assert (size(28), size(14), size(13), size(8)) == (10, 3, 6, 4)


@pytest.mark.parametrize("arguments", [{"depth": 3}, {"width": "wide"}, {"image_shape": 3}], ids=str)
def test_arguments_that_a_model_does_not_take_are_refused(arguments):
    with pytest.raises(BadInput, match="lenet5 does not take them") as refused:
        models.build("lenet5", (8, 8, 1), 10, 0, arguments)
    assert refused.value.thing == "model_args" and refused.value.value == arguments


def test_models_are_listed_and_suggested():
    assert models.check_name("lenet5") == "lenet5" and models.check_name("mine:net") == "mine:net"
    with pytest.raises(BadInput, match="did you mean lenet5"):
        models.check_name("lenet55")


def test_published_initialisation_is_glorot_normal():
    for name in MODELS.names():
        kernels = [layer for layer in models.build(name, (8, 8, 1), 10, 0).layers if hasattr(layer, "kernel_initializer")]
        assert {type(layer.kernel_initializer) for layer in kernels} == {tf.keras.initializers.GlorotNormal}
