"""Parameters and multiply-adds of every network against the published numbers, rounded as they were published."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pytest
import tf_keras

import dlth_tf
from dlth_tf import masking
from dlth_tf.masking.macs import forward_macs, kernel_positions
from dlth_tf.models import MODELS

CIFAR, IMAGENET, MNIST = (32, 32, 3), (224, 224, 3), (28, 28, 1)
# name, images, classes, parameters (all, or millions), multiply-adds (millions) where a number is published:
# ResNets for CIFAR: He et al., table 6, multiply-adds of the pruning papers (Li et al., ICLR 2017; Lin et al., CVPR 2020).
# ResNets for ImageNet and MobileNetV2: PyTorch's own networks. WRN, MobileNetV1: their papers.
# VGG: what pruning papers give for the form with one dense layer. LeNet-300-100, the MLPs and ResNet-8: by hand.
PUBLISHED = [
    ("lenet_300_100", MNIST, 10, 785 * 300 + 301 * 100 + 101 * 10, None),
    ("lenet5", MNIST, 10, 61_706, None),
    ("mlp_7_linear", MNIST, 10, 785 * 100 + 5 * 101 * 100 + 101 * 10, None),
    ("mlp_7_relu", MNIST, 10, 785 * 100 + 5 * 101 * 100 + 101 * 10, None),
    ("resnet8", CIFAR, 10, 9 * (3 * 16 + 2 * 16**2 + 16 * 32 + 32**2 + 32 * 64 + 64**2) + 480 + 650, None),
    ("resnet20", CIFAR, 10, "0.27", None),
    ("resnet32", CIFAR, 10, "0.46", None),
    ("resnet44", CIFAR, 10, "0.66", None),
    ("resnet56", CIFAR, 10, "0.85", "125"),
    ("resnet110", CIFAR, 10, "1.7", "253"),
    ("resnet18", IMAGENET, 1000, 11_689_512, "1814"),
    ("resnet34", IMAGENET, 1000, 21_797_672, "3664"),
    ("resnet50", IMAGENET, 1000, 25_557_032, "4089"),
    ("wrn_16_2", CIFAR, 10, "0.7", None),
    ("wrn_22_2", CIFAR, 10, "1.1", None),
    ("wrn_28_10", CIFAR, 10, 36_479_194, "5243"),
    ("vgg11", CIFAR, 10, "9.2", None),
    ("vgg13", CIFAR, 10, "9.4", None),
    ("vgg16", CIFAR, 10, "14.7", "313"),
    ("vgg19", CIFAR, 10, "20.0", "398"),
    ("mobilenet_v1", IMAGENET, 1000, "4.2", "569"),
    ("mobilenet_v2", IMAGENET, 1000, 3_504_872, "301"),
]


@dataclass(frozen=True)
class Published:
    """One network at its published size, and what is published of it."""

    name: str
    images: tuple[int, int, int]
    model: tf_keras.Model
    parameters: int | str
    multiply_adds: str | None


@pytest.fixture(scope="module", params=PUBLISHED, ids=lambda row: row[0])
def published(request) -> Published:
    name, images, classes, parameters, multiply_adds = request.param
    return Published(name, images, MODELS.load(name)(images, classes), parameters, multiply_adds)


def parameters(model: tf_keras.Model) -> int:
    """Trained ones, as they are published: without running statistics."""
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def rounded(count: int, like: str) -> str:
    """A count in millions, with as many digits behind the point as the published number."""
    return f"{count / 1e6:.{len(like.partition('.')[2])}f}"


def test_parameters_and_multiply_adds_are_the_published_ones(published):
    count, size, cost = parameters(published.model), published.parameters, published.multiply_adds
    assert (rounded(count, size) if isinstance(size, str) else count) == size
    if cost is not None:
        positions = kernel_positions(published.model, published.images)
        assert rounded(forward_macs(published.model, positions, density={})[0], cost) == cost


def test_is_made_of_stock_layers_with_names_of_their_own(published):
    assert published.model.name == published.name
    for layer in published.model.layers:
        assert type(layer).__module__.startswith("tf_keras.") and "Lambda" not in type(layer).__name__
        assert not re.fullmatch(r"[a-z0-9_]*_[0-9]+", layer.name), (
            "a name that Keras gave depends on what was built before"
        )
        if isinstance(layer, tf_keras.layers.BatchNormalization):
            assert (layer.epsilon, layer.momentum, layer.synchronized) == (1e-5, 0.9, False)


def test_initial_weights_have_the_published_variance(published):
    for layer in published.model.layers:
        is_depthwise = hasattr(layer, "depthwise_kernel")
        kernel = layer.depthwise_kernel if is_depthwise else getattr(layer, "kernel", None)
        if kernel is None or not 2000 <= kernel.shape.num_elements() <= 1e6:  # few are no sample, many take time
            continue
        *image, inputs, outputs = kernel.shape
        pixels = int(np.prod(image))
        fan_in, fan_out = pixels * (1 if is_depthwise else inputs), pixels * outputs
        glorot, lecun, kaiming = 2 / (fan_in + fan_out), 1 / fan_in, 2 / fan_in
        expected = {"lenet5": glorot, "lenet_300_100": glorot, "mlp_7_linear": lecun}.get(published.name, kaiming)
        assert np.var(kernel.numpy()) == pytest.approx(expected, rel=0.15), layer.name


def test_every_kernel_can_be_pruned_and_by_default_the_first_and_last_are_not(published):
    wrapped = dlth_tf.wrap(published.model)
    expected = [
        name for name in masking.named_weights(wrapped) if name.endswith("/kernel")
    ]  # tf-mot leaves depthwise ones alone
    assert list(masking.prunable_weights(wrapped)) == expected and len(expected) > 2
    convolutional = not published.name.startswith(("mlp", "lenet_300"))
    assert list(masking.prunable_of_ticket(wrapped)) == expected[convolutional:-1]


def test_every_network_is_here():
    assert [row[0] for row in PUBLISHED] == list(MODELS.names())


@pytest.mark.parametrize("name", ["mlp_7_linear", "mlp_7_relu"])
def test_the_mlps_have_seven_layers_and_a_hidden_size_of_100(name):
    dense = [layer for layer in MODELS.load(name)((8, 8, 1), 10).layers if isinstance(layer, tf_keras.layers.Dense)]
    assert [layer.units for layer in dense] == [100] * 6 + [10]
    assert [layer.activation.__name__ for layer in dense] == [name.removeprefix("mlp_7_")] * 6 + ["linear"]


def only(*names: str) -> pytest.MarkDecorator:
    """For a test of these networks alone."""
    return pytest.mark.parametrize("published", [row for row in PUBLISHED if row[0] in names], ids=names, indirect=True)


@only("resnet56")
def test_resnet56_has_the_prunable_weights_of_the_paper(published):
    model = dlth_tf.wrap(published.model)
    assert sum(int(np.prod(entry.shape)) for entry in masking.prunable_weights(model).values()) == 848_944
    ticket = dlth_tf.random_ticket(model, 0.9, seed=0)
    assert ticket.size == 847_872 and ticket.removed == 763_110
    assert {name.partition("_")[0] for name in ticket} == {"stage1", "stage2", "stage3"}


@only("resnet8")
def test_a_pattern_of_layer_names_chooses_a_stage(published):
    model = dlth_tf.wrap(published.model)
    ticket = dlth_tf.random_ticket(model, 0.98, seed=0, allocation={"stage1*": 0.5, "*": 0.98})
    sparsity = {name: 1 - ticket[name].mean() for name in ticket}
    assert sparsity["stage1_block1_conv1/kernel"] == 0.5 == sparsity["stage1_block1_conv2/kernel"]
    assert min(value for name, value in sparsity.items() if not name.startswith("stage1")) == pytest.approx(
        0.98, abs=1e-3
    )


@only("mobilenet_v1", "mobilenet_v2")
def test_mobilenets_have_the_form_that_sparse_runtimes_need(published):
    *body, last = published.model.layers
    strided = [layer for layer in body if getattr(layer, "strides", (1, 1)) == (2, 2)]
    assert len(strided) == 5
    for layer in strided:
        assert layer.padding == "valid" and layer.inbound_nodes[0].inbound_layers.padding == ((1, 1), (1, 1))
    assert not any(getattr(layer, "use_bias", False) for layer in body)
    assert [type(layer).__name__ for layer in (*body[-2:], last)] == ["ReLU", "GlobalAveragePooling2D", "Dense"]
