"""A saved model of the user's own is exported like a run, with or without its ticket."""

from __future__ import annotations

import os

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from dlth_tf.core import Ticket
from dlth_tf.errors import BadInput
from dlth_tf.export_options import ExportOptions, ServingOptions
from dlth_tf.runs.export_keras import export_keras
from tests.deploy.conftest import checked_here as checked_here
from tests.deploy.test_export import MASK, TICKET, network

pytestmark = pytest.mark.usefixtures("checked_here")
FAST = ExportOptions(("plain", "packed"), measure_latency=False)
SERVED = ServingOptions()


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> tuple[str, tf_keras.Model]:
    model = network()
    path = tmp_path_factory.mktemp("saved") / "mine.keras"
    model.save(path)
    return os.fspath(path), model


def test_it_is_exported_with_its_zeros_and_its_name(saved, tmp_path):
    path, model = saved
    report = export_keras(path, tmp_path / "out", FAST, SERVED)
    assert report["origin"] == {"keras_model": "mine.keras"}
    assert list(report["forms"]) == ["plain", "packed"] and report["parameters"]["removed"] == 72
    images = np.random.default_rng(0).random((3, 4, 4, 1), np.float32)
    serve = tf.saved_model.load(os.fspath(tmp_path / "out" / "packed")).signatures["serving_default"]
    assert np.allclose(serve(images=tf.constant(images))["logits"], model(images), atol=1e-6)


def test_a_ticket_of_the_network_is_checked_in_every_form(saved, tmp_path):
    TICKET.save(tmp_path / "ticket.npz")
    report = export_keras(saved[0], tmp_path / "out", FAST, SERVED, ticket=str(tmp_path / "ticket.npz"))
    assert report["parameters"]["prunable"] == MASK.size


@pytest.mark.parametrize(
    ("masks", "reason"),
    [
        ({"body/kernel": ~MASK}, r"removes weights of body/kernel that are not zero in the network \(24 of 24"),
        ({"tail/kernel": [True]}, r"its tail/kernel is \[1\], and the network has no such weight"),
        ({"body/kernel": MASK.T}, r"its body/kernel is \[6, 16\], and that of the network \[16, 6\]"),
    ],
)
def test_a_ticket_of_another_network_is_refused(saved, tmp_path, masks, reason):
    Ticket.from_masks(masks).save(tmp_path / "ticket.npz")
    with pytest.raises(BadInput, match=f"ticket=.*: {'' if 'removes' in reason else 'is not one .*'}{reason}"):
        export_keras(saved[0], tmp_path / "out", FAST, SERVED, ticket=str(tmp_path / "ticket.npz"))
    assert not (tmp_path / "out").exists()
