"""The two LeNets, for images of several sizes."""

from __future__ import annotations

import numpy as np
import pytest
import tf_keras

import dlth_tf
from dlth_tf import masking, models
from dlth_tf.core import PruningSpec
from dlth_tf.errors import BadInput

LENETS = ("lenet_300_100", "lenet5")
SIZES = [(8, 8, 1), (28, 28, 1), (32, 32, 3), (16, 24, 2)]


@pytest.mark.parametrize("shape", SIZES, ids=str)
@pytest.mark.parametrize("name", LENETS)
def test_every_model_returns_logits_for_images_of_any_size(name, shape):
    model = models.build(name, shape, 7, 0)
    images = np.random.default_rng(0).random((3, *shape), np.float32)
    logits = model(images).numpy()
    assert logits.shape == (3, 7) and np.isfinite(logits).all()
    assert (logits < 0).any()  # no softmax, no ReLU at the end
    assert not np.allclose(logits[0], logits[1])


@pytest.mark.parametrize(
    ("name", "prunable", "dense"),
    [
        ("lenet_300_100", ["fc1/kernel", "fc2/kernel"], ["fc3/kernel"]),
        ("lenet5", ["conv2/kernel", "fc1/kernel", "fc2/kernel"], ["conv1/kernel", "fc3/kernel"]),
    ],
)
def test_first_and_last_layer_stay_dense_as_in_the_paper(name, prunable, dense):
    model = dlth_tf.wrap(models.build(name, (28, 28, 1), 10, 0))
    assert list(masking.prunable_of_ticket(model, PruningSpec.parse(0.5))) == prunable
    dlth_tf.apply_ticket(model, dlth_tf.random_ticket(model, 0.5))
    table = dlth_tf.layer_table(model).query("weight != ''")
    names = table["layer"] + "/" + table["weight"]
    assert names[table["status"] == "pruned"].tolist() == prunable
    assert sorted(names[table["status"] == "dense"]) == dense


def test_width_multiplies_every_hidden_size_and_leaves_one_unit_at_least():
    shapes = [
        layer.units
        for layer in models.build("lenet_300_100", (8, 8, 1), 10, 0, {"width": 0.5}).layers
        if hasattr(layer, "units")
    ]
    assert shapes == [150, 50, 10]
    thin = models.build("lenet5", (28, 28, 1), 10, 0, {"width": 1e-9})
    assert thin.count_params() == (25 + 1) + (25 + 1) + (25 + 1) + (1 + 1) + (10 + 10)


def test_the_second_convolution_pads_only_small_images():
    def size(side: int) -> int:
        return models.build("lenet5", (side, side, 1), 10, 0).get_layer("conv2").output_shape[1]

    assert (size(28), size(14), size(13), size(8)) == (10, 3, 6, 4)


@pytest.mark.parametrize("shape", [(3, 8, 1), (8, 3, 1), (64,)], ids=str)
def test_lenet5_refuses_images_that_its_poolings_cannot_halve_twice(shape):
    with pytest.raises(BadInput, match=r"lenet5: needs images of shape .* at least 4, not"):
        models.build("lenet5", shape, 10, 0)
    assert models.build("lenet5", (4, 4, 1), 10, 0).output_shape == (None, 10)


def test_published_initialization_is_glorot_normal():
    for name in LENETS:
        kernels = [
            layer for layer in models.build(name, (8, 8, 1), 10, 0).layers if hasattr(layer, "kernel_initializer")
        ]
        assert {type(layer.kernel_initializer) for layer in kernels} == {tf_keras.initializers.GlorotNormal}
