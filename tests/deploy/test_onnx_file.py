"""The onnx form: written from the compact network, right in onnxruntime, or refused in one sentence."""

from __future__ import annotations

import importlib.util
import json
import os

import numpy as np
import onnx
import onnxruntime
import pytest
import tf_keras

import dlth_tf
from dlth_tf.data import Normalization
from dlth_tf.deploy import onnx_file
from dlth_tf.deploy.compaction import compact_and_explain
from dlth_tf.deploy.onnx_file import write_onnx
from dlth_tf.deploy.serving import Serving, expected_outputs
from dlth_tf.errors import BadInput
from dlth_tf.export_options import ExportOptions
from tests.deploy.families import sparse_network

L = tf_keras.layers
LABELS = ("tulip", "rose", "Ä")
FAST = {"measure_latency": False}


@pytest.fixture(scope="module")
def model() -> tf_keras.Model:
    return sparse_network("resnet8", "filter")[0]


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    from tests.deploy.conftest import checks_in_this_process

    folder = tmp_path_factory.mktemp("onnx")
    normalization = Normalization(1 / 255, (0.5,) * 3, (0.25,) * 3)
    with checks_in_this_process(tmp_path_factory.mktemp("data")):
        report = dlth_tf.export(
            model, folder, formats=("packed", "onnx"), normalization=normalization, label_names=LABELS, **FAST
        )
    return folder, report["forms"]["onnx"], Serving(normalization, LABELS)


def test_onnxruntime_computes_the_models_outputs_under_the_signatures_names(exported, model):
    folder, _, serving = exported
    session = onnxruntime.InferenceSession(str(folder / "onnx/model.onnx"), providers=["CPUExecutionProvider"])
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    names = ["logits", "probabilities", "class", "label"]
    logits, probabilities, classes, labels = session.run(names, {"images": images})
    expected = expected_outputs(model, serving, {"images": images})["logits"]
    assert np.abs(logits - expected).max() <= 1e-4 * np.abs(expected).max()
    powers = np.exp(expected - expected.max(1, keepdims=True))
    assert np.allclose(probabilities, powers / powers.sum(1, keepdims=True), atol=1e-4)
    assert classes.tolist() == expected.argmax(1).tolist() and labels.tolist() == [LABELS[index] for index in classes]


def test_it_holds_the_compact_network_and_export_json_says_how_to_call_it(exported, model):
    folder, facts, _ = exported
    graph = onnx.load(os.fspath(folder / "onnx/model.onnx"))
    assert {entry.domain: entry.version for entry in graph.opset_import}[""] == facts["opset"] == onnx_file.OPSET
    assert facts["inputs"] == ["images"] and set(facts["outputs"]) == {"class", "label", "logits", "probabilities"}
    assert facts["bytes"] == (folder / "onnx/model.onnx").stat().st_size and set(facts["files"]) == {"model.onnx"}
    read = {node.input[1] for node in graph.graph.node if node.op_type == "Conv"}
    kernels = sum(int(np.prod(tensor.dims)) for tensor in graph.graph.initializer if tensor.name in read)
    small = compact_and_explain(model, maps=True)[0]
    convolutions = [layer for layer in small.layers if isinstance(layer, L.Conv2D)]
    assert kernels == sum(layer.kernel.shape.num_elements() for layer in convolutions)
    assert facts["parameters"] == small.count_params() < 0.7 * model.count_params()
    assert "never from packed" in " ".join(facts["notes"])
    assert json.loads((folder / "export.json").read_text())["forms"]["onnx"] == facts


def test_the_same_network_gives_the_same_bytes(model, tmp_path):
    for name in ("one", "two"):
        write_onnx(model, tmp_path / name, Serving())
    assert (tmp_path / "one/model.onnx").read_bytes() == (tmp_path / "two/model.onnx").read_bytes()


@pytest.mark.usefixtures("checked_here")
def test_a_file_that_differs_from_the_model_is_not_published(model, tmp_path, monkeypatch):
    convert = onnx_file._converted

    def changed(function):
        result = convert(function)
        tensor = next(tensor for tensor in result.graph.initializer if len(tensor.dims) == 4)
        tensor.CopyFrom(onnx.numpy_helper.from_array(1.1 * onnx.numpy_helper.to_array(tensor), tensor.name))
        return result

    monkeypatch.setattr(onnx_file, "_converted", changed)
    with pytest.raises(RuntimeError, match=r"onnx: the export's logits differ from the model's by .* is allowed"):
        dlth_tf.export(model, tmp_path / "out", formats=["onnx"], **FAST)
    assert not (tmp_path / "out").exists()


def test_what_onnx_has_no_operation_for_is_refused(tmp_path, capfd):
    start = L.Input((4,), dtype="int64")
    out = L.Dense(3)(L.Flatten()(L.Embedding(5, 4)(L.Hashing(5)(start))))
    with pytest.raises(BadInput, match=r"formats=onnx: cannot hold this network: tf2onnx has no operation for String"):
        write_onnx(tf_keras.Model(start, out), tmp_path / "out", Serving())
    assert not (tmp_path / "out").exists() and "not supported" not in "".join(capfd.readouterr())


def test_what_onnxruntime_does_not_load_is_refused():
    with pytest.raises(BadInput, match=r"formats=onnx: cannot hold this network: onnxruntime says: .+"):
        onnx_file._check_loads(b"no model")


def test_the_packages_are_named_where_they_lack(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tf2onnx" else find(name))
    with pytest.raises(BadInput, match=r"formats=onnx: needs tf2onnx, .*: it belongs to the extra onnx"):
        ExportOptions(["plain", "onnx"]).check()
    ExportOptions(["plain"]).check()


def test_rounded_weights_are_not_for_onnx():
    with pytest.raises(BadInput, match=r"values=int8: is for the form packed, .* never from packed"):
        ExportOptions(["onnx"], "int8").check()
