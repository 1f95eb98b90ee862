"""small_dense: the width at which a dense network has as many parameters as the sparse one has non-zero ones."""

from __future__ import annotations

import math

import pytest

import dlth_tf as dlth
from dlth_tf import models
from dlth_tf.errors import BadInput
from dlth_tf.runs import runner
from dlth_tf.runs.network import TRIES, narrowed_arguments, nearest_factor
from tests.runs.tiny import tiny


def parameters(name: str, shape: tuple[int, ...], arguments: dict) -> int:
    return sum(
        math.prod(variable.shape) for variable in models.build(name, shape, 10, 0, arguments).trainable_variables
    )


@pytest.mark.fast_cases("lenet_300_100-shape0-*")
@pytest.mark.slow_cases("lenet5-*")
@pytest.mark.parametrize(
    ("name", "shape", "arguments", "sparsity", "close"),
    [
        ("lenet_300_100", (8, 8, 1), {}, 0.9, 0.01),
        ("lenet_300_100", (8, 8, 1), {"width": 0.5}, 0.5, 0.01),
        ("lenet5", (12, 12, 1), {}, 0.8, 0.05),
        pytest.param("resnet8", (8, 8, 3), {}, 0.9, 0.1, marks=pytest.mark.slow),  # builds a dozen of them
    ],
)
def test_parameters_come_near_to_the_sparse_networks(name, shape, arguments, sparsity, close, tmp_path):
    config = tiny("small_dense", tmp_path, model=name, sparsity=sparsity)
    full = dlth.wrap(models.build(name, shape, 10, 0, arguments))
    wanted = parameters(name, shape, arguments) - dlth.random_ticket(full, sparsity).removed
    found = narrowed_arguments(config, arguments, lambda given: models.build(name, shape, 10, 0, given))
    assert found["width"] < arguments.get("width", 1.0)
    assert abs(parameters(name, shape, found) / wanted - 1) <= close
    for factor in (0.85, 1.18):
        other = parameters(name, shape, {**found, "width": found["width"] * factor})
        assert abs(other - wanted) > abs(parameters(name, shape, found) - wanted), (
            "the negative twin: another width is farther away"
        )


def test_other_arguments_are_left_alone_and_nothing_removed_is_the_full_width(tmp_path):
    config = tiny("dense", tmp_path)

    def build(given):
        return models.build("lenet_300_100", (8, 8, 1), 10, 0, {"width": given["width"]})

    assert narrowed_arguments(config, {"width": 0.2, "other": "x"}, build) == {"width": 0.2, "other": "x"}


@pytest.mark.slow
def test_the_dense_layers_and_the_allocation_of_the_sparse_network_count(tmp_path):
    def width(**changes) -> float:
        config = tiny("small_dense", tmp_path, **changes)
        return narrowed_arguments(config, {}, lambda given: models.build("lenet_300_100", (8, 8, 1), 10, 0, given))[
            "width"
        ]

    assert width(dense_layers="fc1,fc3") > 2 * width(allocation='{"*": 0.97}')


@pytest.mark.parametrize("wanted", [1, 17, 400, 2500, 9999, 10_000])
def test_the_nearest_of_a_square_law_is_found_in_a_few_tries(wanted):
    tried = []

    def count(factor: float) -> int:
        tried.append(factor)
        return round(10_000 * factor**2)

    factor = nearest_factor(count, 10_000, wanted)
    assert (
        abs(round(10_000 * factor**2) - wanted) <= max(1, wanted // 100)
        and len(tried) <= TRIES
        and all(0 < one <= 1 for one in tried)
    )


def test_of_all_widths_the_nearest_is_found_though_layers_are_rounded():
    def count(factor: float) -> int:
        """The parameters of LeNet-5 for 12x12 images."""
        a, b, c, d = (max(1, round(size * factor)) for size in (6, 16, 120, 84))
        return 26 * a + (25 * a + 1) * b + (9 * b + 1) * c + (c + 1) * d + (d + 1) * 10

    assert count(0.5) == parameters("lenet5", (12, 12, 1), {"width": 0.5})
    everywhere = [count(place / 10_000) for place in range(200, 10_001)]
    for wanted in (400, 2500, 7178, 15_000, 30_000):
        assert abs(count(nearest_factor(count, count(1.0), wanted)) - wanted) == min(
            abs(found - wanted) for found in everywhere
        )


@pytest.mark.parametrize("width", ["wide", 0, -1, True, None])
def test_a_width_that_is_no_number_above_zero_is_refused(width, tmp_path):
    with pytest.raises(
        BadInput, match="small_dense reduces the width of the network, which must be a finite number above 0"
    ):
        narrowed_arguments(
            tiny("small_dense", tmp_path), {"width": width}, lambda given: pytest.fail("nothing is built")
        )


def fixed_size(image_shape, classes):
    return models.build("lenet_300_100", image_shape, classes, 0)


def test_a_builder_without_a_width_is_refused_and_nothing_is_written(tmp_path):
    config = tiny("small_dense", tmp_path / "run", model=f"{__name__}:fixed_size", model_args="{}")
    with pytest.raises(BadInput, match="width"):
        runner.run(config)
    assert not (tmp_path / "run").exists()
