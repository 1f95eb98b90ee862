"""Weights of PyTorch ResNets: equal logits in our networks, under every naming, or a refusal that changes nothing."""

from __future__ import annotations

import numpy as np
import pytest

from dlth_tf import models
from dlth_tf.errors import BadInput
from dlth_tf.models.from_torch import load_torch_weights

torch = pytest.importorskip("torch")
nn = torch.nn


def conv_norm(inputs: int, outputs: int, size: int, stride: int = 1) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False), nn.BatchNorm2d(outputs)


class Basic(nn.Module):
    """A basic block, with torchvision's names; the shortcut is a convolution, or (option A) has no parameters."""

    def __init__(self, inputs: int, outputs: int, stride: int, option_a: bool) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv_norm(inputs, outputs, 3, stride)
        self.conv2, self.bn2 = conv_norm(outputs, outputs, 3)
        self.more = (outputs - inputs) // 2 if option_a else 0
        if stride > 1 and not option_a:
            self.downsample = nn.Sequential(*conv_norm(inputs, outputs, 1, stride))

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        if hasattr(self, "downsample"):
            x = self.downsample(x)
        elif self.more:
            x = nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.more, self.more))
        return torch.relu(y + x)


class ResNet(nn.Module):
    """A thin ResNet-18 (large images) or ResNet-8 (CIFAR), of our own writing."""

    def __init__(self, channels: tuple[int, ...], blocks: int, large: bool, head: str) -> None:
        super().__init__()
        self.large, self.head = large, head
        self.conv1, self.bn1 = conv_norm(3, channels[0], 7 if large else 3, 2 if large else 1)
        inputs = channels[0]
        self.stages = []
        for number, outputs in enumerate(channels, start=1):
            stage = []
            for block in range(blocks):
                stage.append(Basic(inputs, outputs, 2 if number > 1 and not block else 1, option_a=not large))
                inputs = outputs
            setattr(self, f"layer{number}", nn.Sequential(*stage))
            self.stages.append(f"layer{number}")
        setattr(self, head, nn.Linear(inputs, 10))

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = nn.functional.max_pool2d(x, 3, 2, 1) if self.large else x
        for stage in self.stages:
            x = getattr(self, stage)(x)
        return getattr(self, self.head)(x.mean((2, 3)))


def trained(network: nn.Module) -> nn.Module:
    """Returns the network with statistics that are not those of a fresh one."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.weight.data, module.running_var):
                values.uniform_(0.5, 1.5)
            for values in (module.bias.data, module.running_mean):
                values.normal_(0, 0.1)
    return network.eval()


def thin_resnet8(head: str = "linear") -> nn.Module:
    return trained(ResNet((16, 32, 64), 1, large=False, head=head))


CASES = {
    "official": ("resnet8", {}, 32, thin_resnet8, ""),
    "behind DataParallel": ("resnet8", {}, 32, lambda: thin_resnet8("fc"), "module."),
    "torchvision": ("resnet18", {"width": 0.125}, 40, lambda: trained(ResNet((8, 16, 32, 64), 2, True, "fc")), ""),
}


@pytest.mark.parametrize("case", CASES)
def test_the_logits_are_those_of_pytorch(case):
    name, arguments, side, twin, prefix = CASES[case]
    network = twin()
    images = np.random.default_rng(0).normal(size=(4, side, side, 3)).astype("float32")
    model = models.build(name, (side, side, 3), 10, 0, arguments)
    load_torch_weights(model, {prefix + key: value for key, value in network.state_dict().items()})
    with torch.no_grad():
        expected = network(torch.from_numpy(images.transpose(0, 3, 1, 2))).numpy()
    np.testing.assert_allclose(model(images).numpy(), expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def missing(state: dict) -> dict:
    return {key: value for key, value in state.items() if key != "layer2.0.conv1.weight"}


REFUSED = {
    "no tensor layer2.0.conv1.weight": missing,
    "has no weight": lambda state: {**state, "layer4.0.conv1.weight": state["conv1.weight"]},
    r"must have shape \[64, 10\] after its transposition, not \[63, 10\]": lambda state: {
        **state,
        "linear.weight": state["linear.weight"][:, 1:],
    },
    r"is a whole checkpoint: give its entry 'net'": lambda state: {"epoch": 3, "net": state, "optimizer": {"lr": 0.1}},
    "state_dict=list: must be what": list,
    "state_dict=str: must be what": lambda state: "resnet8.pth",
    r"\['epoch'\]=str: must be a tensor of real numbers": lambda state: {**state, "epoch": "last"},
    "must be a tensor of real numbers, and is complex64": lambda state: {
        **state,
        "fc": torch.ones(2, dtype=torch.complex64),
    },
    "cannot be converted to numbers": lambda state: {
        **state,
        "fc": torch.ones(2, device="meta"),
    },
    "module.bn1.bias: is the second tensor for bn1.bias": lambda state: {**state, "module.bn1.bias": state["bn1.bias"]},
    "contains NaN": lambda state: {**state, "bn1.bias": state["bn1.bias"] * float("nan")},
}


@pytest.mark.fast_cases(
    "has no weight",
    "must have shape*",
    "is a whole checkpoint*",
    "state_dict=list*",
    "must be a tensor of real numbers, and is complex64",
    "contains NaN",
)
@pytest.mark.parametrize("sentence", REFUSED)
def test_what_does_not_fit_is_refused_and_nothing_is_loaded(sentence):
    model = models.build("resnet8", (32, 32, 3), 10, 0)
    before = model.get_weights()
    with pytest.raises(BadInput, match=sentence):
        load_torch_weights(model, REFUSED[sentence](thin_resnet8().state_dict()))
    assert all((now == then).all() for now, then in zip(model.get_weights(), before, strict=True))


CONVERSIONS = {"bfloat16": lambda tensor: tensor.bfloat16(), "sparse": lambda tensor: tensor.to_sparse()}


@pytest.mark.parametrize("kind", CONVERSIONS)
def test_tensors_of_kinds_that_numpy_does_not_know_are_read_behind_every_wrapper(kind):
    state = {key: value for key, value in thin_resnet8().state_dict().items() if value.is_floating_point()}
    model = models.build("resnet8", (32, 32, 3), 10, 0)
    converted = {f"module._orig_mod.{key}": CONVERSIONS[kind](value) for key, value in state.items()}
    load_torch_weights(model, converted)
    expected = (state["bn1.weight"].bfloat16() if kind == "bfloat16" else state["bn1.weight"]).float().numpy()
    np.testing.assert_array_equal(model.get_layer("bn1").gamma.numpy(), expected)
