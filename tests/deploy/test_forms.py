"""Every form of every family has the Keras model's outputs and the ticket's zeros, with TensorFlow alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from dlth_tf.data import Normalization
from dlth_tf.deploy.checks.verification import verify
from dlth_tf.deploy.examples import random_examples
from dlth_tf.deploy.forms import NOTHING_REMOVED, write_forms
from dlth_tf.deploy.report.folder_size import bytes_of
from dlth_tf.deploy.savedmodel.packed import save_packed
from dlth_tf.deploy.serving import expected_outputs
from dlth_tf.deploy.source import Source
from dlth_tf.export_options import ExportOptions
from tests.deploy.families import GRANULARITIES, OTHERS, SMALL, sparse_network

PRODUCT = [
    (name, granularity)
    for name in (*SMALL, *OTHERS)
    for granularity in (*GRANULARITIES, "channel", "2:4")
    # The numbers of inputs of these two are not multiples of 4.
    if name not in ("mobilenet_v2", "mlp_7_relu") or ":" not in granularity
]
FINGERPRINT = 8  # bytes by which the random numbers in two fingerprints differ in length
LABELS = ("tulip", "rose", "Ä")


def round_trip(
    name: str, granularity: str, folder: Path, formats: tuple[str, ...], values: str = "float32"
) -> dict[str, dict[str, Any]]:
    """Writes and verifies the forms, and returns name -> facts; raises RuntimeError if a form is defective."""
    model, ticket = sparse_network(name, granularity)
    channels = model.input_shape[-1]
    normalization = Normalization(1 / 255, (0.5,) * channels, (0.25,) * channels)
    source = Source(model, normalization, LABELS, ticket)
    written = write_forms(source, ExportOptions(formats, values), folder)
    examples = random_examples(model, source.serving)
    verified, measured = verify(written, source, examples)
    assert measured == {"accuracy": None, "mse": None}
    logits = expected_outputs(model, source.serving, {"images": examples.images})["logits"]
    assert np.all(logits.std(0) > 1e-3 * np.abs(logits).max())  # the outputs depend on the images
    return {form: {**verified[form], **facts.facts} for form, facts in written.items()}


# One network with batch norm in every granularity; of the others, what is folded.
FAST = {("resnet8", granularity) for granularity in GRANULARITIES} | {("lenet5", "weight"), ("vgg11", "weight")}


@pytest.mark.fast_cases("lenet5-weight")
@pytest.mark.slow_cases("resnet8-filter", "lenet5-block:4x1", "vgg11-weight")
@pytest.mark.usefixtures("checked_here")
@pytest.mark.parametrize(
    ("name", "granularity"),
    [
        pytest.param(name, granularity, marks=() if (name, granularity) in FAST else pytest.mark.slow)
        for name in SMALL
        for granularity in GRANULARITIES
    ],
)
def test_plain_and_packed_round_trip(name, granularity, tmp_path):
    # The pattern of zeros does not matter to plain.
    formats = ("plain", "packed") if granularity == "weight" else ("packed",)
    forms = round_trip(name, granularity, tmp_path, formats)
    assert all(facts["agreement"] > 0.99 and facts["max_difference"] <= facts["tolerance"] for facts in forms.values())
    assert forms["packed"]["max_difference"] <= forms["packed"]["tolerance"] / 100  # 2e-5 of the largest logit
    folds = {"lenet_300_100": 0, "lenet5": 0, "resnet8": 7, "mobilenet_v1": 27, "vgg11": 8}
    assert forms["packed"]["folded"] == folds[name]


def every_form() -> list[Any]:
    """Returns every network, granularity and precision; the slow tests round values in one granularity only."""
    return [
        pytest.param(name, granularity, values, marks=pytest.mark.slow if values == usual else pytest.mark.faults)
        for name, granularity in PRODUCT
        for values, usual in (("float32", "float32"), ("float16", "float16" if granularity == "filter" else ""))
    ]


@pytest.mark.slow_cases("lenet5-*", "resnet8-2:4-float32", "resnet8-filter-float16", "vgg11-channel-float32")
@pytest.mark.usefixtures("checked_here")
@pytest.mark.parametrize(("name", "granularity", "values"), every_form())
def test_all_saved_models_round_trip(name, granularity, values, tmp_path):
    forms = round_trip(name, granularity, tmp_path, ("plain", "packed", "compact"), values)
    assert all(facts["max_difference"] <= facts["tolerance"] for facts in forms.values())
    least = 0.99 if values == "float32" else 0.9
    assert all(facts["agreement"] > least for facts in forms.values())


@pytest.mark.slow_cases("resnet8", "lenet_300_100")
@pytest.mark.usefixtures("checked_here")
@pytest.mark.parametrize("name", ["lenet5", *(pytest.param(name, marks=pytest.mark.slow) for name in SMALL)])
def test_packed_is_never_larger_than_compact_and_gains_where_filters_are_removed(name, tmp_path):
    model, ticket = sparse_network(name, "filter")
    source = Source(model, ticket=ticket)
    written = write_forms(source, ExportOptions(["packed", "compact"]), tmp_path)
    verify(written, source, random_examples(model, source.serving))
    sizes = {form: bytes_of(facts.path) for form, facts in written.items()}
    assert sizes["packed"] <= sizes["compact"] + FINGERPRINT
    assert sorted(path.name for path in tmp_path.iterdir()) == ["compact", "packed"]
    save_packed(model, tmp_path / "whole", source.serving)
    assert sizes["packed"] < 0.9 * bytes_of(tmp_path / "whole")
    packed, compact = (written[form].facts["kernels"] for form in ("packed", "compact"))
    assert packed.keys() == compact.keys()
    for layer, shapes in packed.items():  # packed keeps a channel of constants where compact has a map for them
        more = np.subtract(shapes[1], compact[layer][1])
        assert shapes[0] == compact[layer][0] and set(more) <= {0, 1}, layer


@pytest.mark.slow_cases("lenet5-*", "resnet8-filter-int8", "vgg11-weight-bfloat16")
@pytest.mark.slow
@pytest.mark.usefixtures("checked_here")
@pytest.mark.parametrize("values", ["bfloat16", "int8"])
@pytest.mark.parametrize("granularity", ["weight", "filter"])
@pytest.mark.parametrize("name", SMALL)
def test_rounded_weights_keep_most_classes(name, granularity, values, tmp_path):
    facts = round_trip(name, granularity, tmp_path, ("packed",), values)["packed"]
    assert facts["values"] == values and facts["agreement"] > 0.75 and facts["max_difference"] > 0
    assert facts["tolerance"] is None if values == "int8" else facts["max_difference"] <= facts["tolerance"]


@pytest.mark.fast_cases("filter")
@pytest.mark.usefixtures("checked_here")
@pytest.mark.parametrize("granularity", ["weight", "filter"])
def test_compact_says_when_nothing_could_be_removed(granularity, tmp_path):
    forms = round_trip("resnet8", granularity, tmp_path, ("compact",))
    assert forms["compact"]["note"] == (NOTHING_REMOVED if granularity == "weight" else "")


@pytest.mark.slow
def test_all_forms_pass_in_a_fresh_process(tmp_path):
    forms = round_trip("vgg11", "filter", tmp_path, ("plain", "packed", "compact", "tflite", "onnx"))
    assert set(forms) == {"plain", "packed", "compact", "tflite/float32", "tflite/float16", "onnx"}
    assert min(facts["agreement"] for facts in forms.values()) > 0.97


@pytest.mark.usefixtures("checked_here")
def test_calibration_images_give_an_int8_file(tmp_path):
    model, ticket = sparse_network("lenet_300_100")
    source = Source(model, Normalization(1 / 255, (0.5,), (0.25,)), ticket=ticket)
    examples = random_examples(model, source.serving)
    source = dataclasses.replace(source, calibration=examples.images[:32])
    written = write_forms(source, ExportOptions(["tflite"]), tmp_path)
    facts = verify(written, source, examples)[0]["tflite/int8"]
    assert facts["tolerance"] is None and facts["agreement"] > 0.9


@pytest.mark.fast_cases("plain")
@pytest.mark.usefixtures("checked_here")
@pytest.mark.parametrize("form", ["plain", "packed", "compact"])
def test_a_weight_that_the_ticket_removes_would_be_seen(form, tmp_path):
    model, ticket = sparse_network("resnet8")
    kernel = model.get_layer("stage1_block1_conv2").kernel
    place = tuple(np.argwhere(~ticket["stage1_block1_conv2/kernel"])[0])
    kernel.assign(tf.tensor_scatter_nd_update(kernel, [place], [0.5]))
    source = Source(model, ticket=ticket)
    written = write_forms(source, ExportOptions([form]), tmp_path)
    with pytest.raises(
        RuntimeError, match=f"{form}: stage1_block1_conv2/kernel has nonzero weights that the ticket removes"
    ):
        verify(written, source, random_examples(model, source.serving))
