"""Every form of every family computes what the Keras model computes, with the ticket's zeros, where only TensorFlow is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from dlth_tf.data import Normalization
from dlth_tf.deploy.checks.verification import probes, verify
from dlth_tf.deploy.export import write
from dlth_tf.deploy.forms import FORMS, NOTHING_REMOVED, Request
from dlth_tf.deploy.serving import Serving, expected_logits
from tests.deploy.families import GRANULARITIES, OTHERS, SMALL, sparse_network

PRODUCT = [
    (name, granularity)
    for name in (*SMALL, *OTHERS)
    for granularity in (*GRANULARITIES, "channel", "2:4")
    if name not in ("mobilenet_v2", "mlp_7_relu")
    or ":" not in granularity  # whose numbers of inputs are no multiples of 4
]
LABELS = ("tulip", "rose", "Ä")


def round_trip(
    name: str, granularity: str, folder: Path, formats: tuple[str, ...], values: str = "float32"
) -> dict[str, dict[str, Any]]:
    """Writes and verifies the forms; raises RuntimeError if one is not right. Form -> what is known about it."""
    model, ticket = sparse_network(name, granularity)
    channels = model.input_shape[-1]
    serving = Serving(Normalization(1 / 255, (0.5,) * channels, (0.25,) * channels), LABELS)
    written = write(Request(model, serving, values, None), folder, formats)
    images = probes(serving.images(model))
    found, accuracy = verify(written, model, serving, ticket, images)
    assert accuracy is None
    logits = expected_logits(model, serving, images.images)
    assert np.all(logits.std(0) > 1e-3 * np.abs(logits).max())  # the images do matter
    return {form: {**found[form], **facts.facts} for form, facts in written.items()}


@pytest.mark.usefixtures("checked_here")
@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("name", SMALL)
def test_plain_and_packed_round_trip(name, granularity, tmp_path):
    formats = ("plain", "packed") if granularity == "weight" else ("packed",)  # to plain all zeros are alike
    found = round_trip(name, granularity, tmp_path, formats)
    assert all(facts["agreement"] > 0.99 and facts["max_difference"] <= facts["tolerance"] for facts in found.values())
    assert found["packed"]["max_difference"] <= found["packed"]["tolerance"] / 100  # 2e-5 of the largest logit
    folds = {"lenet_300_100": 0, "lenet5": 0, "resnet8": 7, "mobilenet_v1": 27, "vgg11": 8}
    assert found["packed"]["folded"] == folds[name]


@pytest.mark.slow
@pytest.mark.usefixtures("checked_here")
@pytest.mark.parametrize("values", ["float32", "float16"])
@pytest.mark.parametrize(("name", "granularity"), PRODUCT)
def test_all_saved_models_round_trip(name, granularity, values, tmp_path):
    found = round_trip(name, granularity, tmp_path, ("plain", "packed", "compact"), values)
    assert all(facts["max_difference"] <= facts["tolerance"] for facts in found.values())
    least = 0.99 if values == "float32" else 0.9
    assert all(facts["agreement"] > least for facts in found.values())


@pytest.mark.usefixtures("checked_here")
@pytest.mark.parametrize("granularity", ["weight", "filter"])
def test_compact_says_when_nothing_could_be_removed(granularity, tmp_path):
    found = round_trip("resnet8", granularity, tmp_path, ("compact",))
    assert found["compact"]["note"] == (NOTHING_REMOVED if granularity == "weight" else "")


def test_all_forms_pass_in_a_fresh_process(tmp_path):
    found = round_trip("vgg11", "filter", tmp_path, tuple(FORMS))
    assert set(found) == {"plain", "packed", "compact", "tflite/float32", "tflite/float16"}
    assert min(facts["agreement"] for facts in found.values()) > 0.97


@pytest.mark.usefixtures("checked_here")
def test_calibration_images_give_an_int8_file(tmp_path):
    model, ticket = sparse_network("lenet_300_100")
    serving = Serving(Normalization(1 / 255, (0.5,), (0.25,)))
    images = probes(serving.images(model))
    written = write(Request(model, serving, "float32", images.images[:32]), tmp_path, ["tflite"])
    found, _ = verify(written, model, serving, ticket, images)
    assert found["tflite/int8"]["tolerance"] is None and found["tflite/int8"]["agreement"] > 0.9


@pytest.mark.usefixtures("checked_here")
@pytest.mark.parametrize("form", ["plain", "packed"])
def test_a_weight_that_the_ticket_removes_would_be_seen(form, tmp_path):
    model, ticket = sparse_network("resnet8")
    kernel = model.get_layer("stage1_block1_conv2").kernel
    place = tuple(np.argwhere(~ticket["stage1_block1_conv2/kernel"])[0])
    kernel.assign(tf.tensor_scatter_nd_update(kernel, [place], [0.5]))
    serving = Serving()
    written = write(Request(model, serving, "float32", None), tmp_path, [form])
    with pytest.raises(
        RuntimeError, match=f"{form}: .* in stage1_block1_conv2/kernel that the ticket removes and that are not zero"
    ):
        verify(written, model, serving, ticket, probes(serving.images(model)))
