"""The probe of an export is small, of nobody's data, and read without trusting it."""

from __future__ import annotations

import numpy as np
import pytest
import tf_keras

from dlth_tf import files
from dlth_tf.deploy import Examples
from dlth_tf.deploy.checks import probe as module
from dlth_tf.deploy.checks import standalone
from dlth_tf.deploy.checks.probe import Probe, make_probe, parse_probe
from dlth_tf.deploy.examples import random_examples
from dlth_tf.deploy.source import Source
from tests.deploy.test_export import network

layers = tf_keras.layers
INPUT = np.zeros((2, 3), np.uint8)


def probe_of(source: Source) -> Probe | None:
    return make_probe(source, source.examples or random_examples(source.model, source.serving))


def test_it_holds_random_examples_and_the_models_outputs_and_not_the_given_examples():
    given = np.full((5, 4, 4, 1), 7, np.float32)
    model = network()
    probe = probe_of(Source(model, examples=Examples(given, None, "mine")))
    assert (probe.origin, set(probe.arrays)) == ("random images", {"input/images", "output/logits"})
    images = probe.arrays["input/images"]
    assert len(images) == 4 and not (images == 7).any()
    assert np.allclose(probe.arrays["output/logits"], model(images), atol=1e-6)


def test_it_has_as_many_examples_as_a_fixed_batch_and_one_if_they_are_large(monkeypatch):
    assert len(probe_of(Source(network(), batch=7)).arrays["input/images"]) == 7
    monkeypatch.setattr(module, "FEW", 100)
    assert len(probe_of(Source(network())).arrays["input/images"]) == 1
    monkeypatch.setattr(module, "FEW", 50)
    monkeypatch.setattr(module, "MOST", 50)
    assert probe_of(Source(network())) is None


def test_texts_and_numbers_are_read_back():
    arrays = {
        "input/text": np.array([[b"a", b"long \xc3\xa4"], [b"", b"b"]]),
        "input/flags": np.array([[True], [False]]),
        "output/empty": np.array([b"", b""]),
        "output/logits": np.array([[1.5, np.nan], [0, 2]], np.float32),
    }
    read = parse_probe(Probe(arrays, "mine").data())
    assert read.keys() == arrays.keys()
    assert all(np.array_equal(read[name], value, equal_nan=value.dtype.kind == "f") for name, value in arrays.items())


def test_a_form_without_a_limit_may_differ_by_twice_as_much_as_when_it_was_written():
    data = {"probe_input/x": INPUT, "probe_output/y": np.array([[4.0], [1.0]]), "output/y": INPUT}

    def serve(inputs):
        return {"y": np.array([[4.0], [1.5]])} if inputs.keys() == {"x"} else {}

    form = {"name": "tflite/int8", "tolerance": None}
    assert standalone.probe_tolerance(form, serve, data) == pytest.approx(2 * 0.5 / 4 + standalone.SPARE)
    assert standalone.probe_tolerance({**form, "tolerance": 0.1}, serve, data) == 0.1
    assert standalone.probe_tolerance(form, serve, {"input/x": INPUT}) is None


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"input/x": INPUT},
        {"input/x": INPUT, "output/y": INPUT[:1]},
        {"input/x": INPUT, "output/y": np.float32(1)},
        {"input/x": INPUT, "mask/y": INPUT},
        {"input/x": INPUT.astype(np.int64), "length/input/x": INPUT, "output/y": INPUT},
        {"input/x": INPUT[:, :0], "length/input/x": INPUT, "output/y": INPUT},
    ],
)
def test_what_is_no_probe_is_refused(arrays):
    with pytest.raises(ValueError, match=r"it does not hold inputs and outputs|is not a text"):
        parse_probe(files.npz_bytes(arrays))
