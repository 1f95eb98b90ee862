"""The packed form: its content, the ways to load it, and errors instead of wrong numbers after damage."""

from __future__ import annotations

import dataclasses
import gc
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from dlth_tf import models
from dlth_tf.data import Normalization
from dlth_tf.deploy.savedmodel import packed
from dlth_tf.deploy.savedmodel.packed import save_packed
from dlth_tf.deploy.savedmodel.packing import pack
from dlth_tf.deploy.savedmodel.rounding import quantized
from dlth_tf.deploy.serving import Serving, expected_outputs
from dlth_tf.errors import BadInput
from dlth_tf.masking import named_weights
from tests.deploy.oracles import dequantized
from tests.deploy.savedmodel.test_packing import damaged
from tests.runs.tiny import environment

SERVING = Serving(Normalization(1 / 255, (0.5,), (0.25,)), tuple("abc"))
SHAPE = (9, 9, 1)
IMAGES = np.random.default_rng(0).integers(0, 256, (5, *SHAPE), dtype=np.uint8)
DATA = "variables/variables.data-00000-of-00001"
INDEX = "variables/variables.index"
GRAPH = "saved_model.pb"


def pruned(model: tf_keras.Model, sparsity: float = 0.9) -> tf_keras.Model:
    """Sets the given fraction of every kernel to zero, the smallest magnitudes first, and returns the model."""
    for variable in named_weights(model).values():
        if variable.shape.rank > 1:
            value = variable.numpy()
            variable.assign(np.where(np.abs(value) < np.quantile(np.abs(value), sparsity), 0, value))
    return model


@pytest.fixture(scope="module")
def model() -> tf_keras.Model:
    return pruned(models.build("resnet8", SHAPE, 3, 0, {"width": 0.25}))


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("packed") / "packed"
    save_packed(model, path, SERVING)
    return path


def served(path: Path, images: np.ndarray = IMAGES) -> np.ndarray:
    loaded = tf.saved_model.load(str(path))
    return loaded.signatures["serving_default"](images=tf.constant(images))["logits"].numpy()


def close(logits: np.ndarray, model: tf_keras.Model) -> bool:
    expected = expected_outputs(model, SERVING, {"images": IMAGES})["logits"]
    return np.allclose(logits, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_the_graph_holds_no_names_and_no_weights(folder, model):
    text = (folder / GRAPH).read_bytes()
    assert b"stage1" not in text and b"_output_shapes" not in text and b"FusedBatchNorm" not in text
    nodes = [
        node
        for function in SavedModel.FromString(text).meta_graphs[0].graph_def.library.function
        for node in function.node_def
    ]
    numbers = [tf.make_ndarray(node.attr["value"].tensor) for node in nodes if node.op == "Const"]
    assert len(nodes) > 30 and not [value for value in numbers if value.dtype.kind == "f" and value.size]
    parameters = sum(variable.shape.num_elements() for variable in named_weights(model).values())
    assert (folder / DATA).stat().st_size < 4 * parameters / 3
    assert close(served(folder), model)


def test_signs_of_zero_take_no_space(model, folder, tmp_path):
    other = tf_keras.models.clone_model(model)
    other.set_weights([np.where(weight == 0, np.float32(-0.0), weight) for weight in model.get_weights()])
    save_packed(other, tmp_path / "out", SERVING)
    assert abs((tmp_path / "out" / DATA).stat().st_size - (folder / DATA).stat().st_size) < 20
    assert close(served(tmp_path / "out"), model)


def test_a_session_of_tensorflow_1_loads_it(folder, model):
    results = []
    for _ in range(2):
        with tf.compat.v1.Session(graph=tf.Graph()) as session:
            loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(folder)).signature_def["serving_default"]
            feeds = {loaded.inputs["images"].name: IMAGES}
            results += [session.run(loaded.outputs["logits"].name, feeds) for _ in range(2)]
    assert len(results) == 4 and all(close(logits, model) for logits in results)


def test_models_in_one_process_do_not_share_anything(folder, model, tmp_path):
    other = pruned(models.build("resnet8", SHAPE, 3, 1, {"width": 0.25}))
    save_packed(other, tmp_path / "other", SERVING)
    first, second, third = (tf.saved_model.load(str(path)) for path in (folder, folder, tmp_path / "other"))
    serve, serve_other = second.signatures["serving_default"], third.signatures["serving_default"]
    del first
    gc.collect()
    assert close(serve(images=tf.constant(IMAGES))["logits"], model)
    assert close(serve_other(images=tf.constant(IMAGES))["logits"], other)
    assert not close(serve_other(images=tf.constant(IMAGES))["logits"], model)


def test_the_signature_works_when_the_rest_is_dropped(folder, model):
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    gc.collect()
    assert close(serve(images=tf.constant(IMAGES))["logits"], model)


def test_a_loaded_model_can_be_saved_inside_another(folder, model, tmp_path):
    inner = tf.saved_model.load(str(folder))
    serve = inner.signatures["serving_default"]
    outer = tf.Module()
    outer.inner = inner
    outer.twice = tf.function(
        lambda images: {"twice": 2 * serve(images=images)["logits"]}, [tf.TensorSpec((None, *SHAPE), tf.uint8)]
    )
    tf.saved_model.save(outer, str(tmp_path), signatures={"serving_default": outer.twice})
    assert close(tf.saved_model.load(str(tmp_path)).twice(IMAGES)["twice"] / 2, model)


def same_or_refused(path: Path, model: tf_keras.Model) -> str:
    """Returns how a damaged model behaves: "same" outputs, "refused", or "wrong"."""
    try:
        return "same" if close(served(path), model) else "wrong"
    except Exception:
        return "refused"


def flipped(folder: Path, copy: Path, file: str, place: int) -> Path:
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    content = bytearray((folder / file).read_bytes())
    content[place] ^= 1 << place % 8
    (copy / file).write_bytes(content)
    return copy


def outcomes(folder: Path, copy: Path, file: str, number: int, model: tf_keras.Model) -> dict[str, int]:
    places = np.random.default_rng(0).choice((folder / file).stat().st_size, number, replace=False)
    results = [same_or_refused(flipped(folder, copy, file, int(place)), model) for place in places]
    return {name: results.count(name) for name in ("same", "refused", "wrong")}


@pytest.mark.fast_cases("variables/variables.index-10")
@pytest.mark.parametrize(("file", "number"), [(DATA, 25), (INDEX, 10)])
def test_a_flipped_bit_never_gives_wrong_numbers(file, number, folder, model, tmp_path):
    counts = outcomes(folder, tmp_path / "copy", file, number, model)
    assert counts["wrong"] == 0 and counts["refused"] > number / 3
    assert file != DATA or counts["refused"] == number


def test_a_flipped_bit_in_the_graph_seldom_gives_wrong_numbers(folder, model, tmp_path):
    # TensorFlow does not check it: a bit can turn the name of one input into another's. `export --check` finds it.
    counts = outcomes(folder, tmp_path / "copy", GRAPH, 25, model)
    assert counts["wrong"] <= 2 and counts["refused"] > 25 / 3


@pytest.mark.faults
def test_hundreds_of_flipped_bits_never_give_wrong_numbers(folder, model, tmp_path):
    counts = outcomes(folder, tmp_path / "copy", DATA, 400, model)
    assert counts["wrong"] == 0 and counts["refused"] > 200


@pytest.mark.faults
def test_hundreds_of_flipped_bits_in_the_graph_seldom_give_wrong_numbers(folder, model, tmp_path):
    counts = outcomes(folder, tmp_path / "copy", GRAPH, 400, model)
    assert counts["wrong"] <= 10 and counts["refused"] > 200


@pytest.mark.fast_cases("gap", "swapped", "stream")
@pytest.mark.parametrize("how", ["plane", "gap", "swapped", "short", "stream"])
def test_damage_that_the_checkpoint_does_not_see_is_found_at_loading(how, model, tmp_path, monkeypatch):
    """Damages the streams before they are written, so that TensorFlow's own checksums of the file are valid."""
    initialize = packed.Unpacked._initialize
    monkeypatch.setattr(packed.Unpacked, "_initialize", lambda self: initialize(self) if tf.inside_function() else None)
    variable = tf.Variable
    monkeypatch.setattr(tf, "Variable", lambda value, **rest: variable(damage(value), **rest))
    real: list = []

    def keep(vector):
        real.append(pack(vector))
        return real[-1]

    def damage(_):
        broken = damaged(real[-1], how)
        return [broken.gaps, *broken.planes]

    monkeypatch.setattr(packed, "pack", keep)
    save_packed(model, tmp_path / "broken", SERVING)
    with pytest.raises(tf.errors.OpError):
        tf.saved_model.load(str(tmp_path / "broken"))


def test_float16_is_rounded_kernels_and_biases(model, folder, tmp_path):
    facts = save_packed(model, tmp_path / "half", SERVING, "float16")
    loaded = tf.saved_model.load(str(tmp_path / "half"))
    expected = expected_outputs(model, SERVING, {"images": IMAGES})["logits"]
    logits = loaded.signatures["serving_default"](images=tf.constant(IMAGES))["logits"].numpy()
    assert logits.dtype == np.float32 and 0 < np.abs(logits - expected).max() < 5e-3 * np.abs(expected).max()
    assert (tmp_path / "half" / DATA).stat().st_size < 0.75 * (folder / DATA).stat().st_size
    vector = tf.raw_ops.ReadVariableOp(resource=loaded.weights0.resource_handle, dtype=tf.float32).numpy()
    index, start = facts["places"]["fc/kernel"]
    kernel = named_weights(model)["fc/kernel"].numpy()
    rounded = kernel.astype(np.float16).astype(np.float32).ravel()
    assert index == 0 and np.array_equal(vector[start : start + kernel.size], rounded)
    assert np.float32(1 / 255) in vector  # a constant of the preprocessing, which is not rounded


def test_int8_computes_with_the_rounded_kernels(model, folder, tmp_path):
    facts = save_packed(model, tmp_path / "eight", SERVING, "int8")
    loaded = tf.saved_model.load(str(tmp_path / "eight"))
    expected = expected_outputs(model, SERVING, {"images": IMAGES})["logits"]
    logits = loaded.signatures["serving_default"](images=tf.constant(IMAGES))["logits"].numpy()
    assert logits.dtype == np.float32 and 0 < np.abs(logits - expected).max() < 5e-2 * np.abs(expected).max()
    assert (tmp_path / "eight" / DATA).stat().st_size < 0.75 * (folder / DATA).stat().st_size
    index, start = facts["places"]["fc/kernel"]
    vector = tf.raw_ops.ReadVariableOp(
        resource=getattr(loaded, f"weights{index}").resource_handle, dtype=tf.float32
    ).numpy()
    kernel = named_weights(model)["fc/kernel"].numpy()
    stored = vector[start : start + kernel.size].reshape(kernel.shape)
    assert np.array_equal(stored, dequantized(*quantized("fc", kernel, kernel.shape[1])))
    assert not np.any(stored[kernel == 0])


@pytest.mark.fast_cases("gaps", "whole numbers", "byte 2")
@pytest.mark.parametrize("place", range(6), ids=["gaps", "whole numbers", *(f"byte {byte}" for byte in range(4))])
def test_a_changed_byte_of_int8_is_found_at_loading(place, model, tmp_path, monkeypatch):
    packing = packed.pack_int8

    def damaged_streams(*arrays):
        right = packing(*arrays)
        streams = [right.gaps, *right.planes]
        content = bytearray(zlib.decompress(streams[place]))
        content[-1] ^= 1  # of the last scale, where these are stored
        streams[place] = zlib.compress(bytes(content))
        return dataclasses.replace(right, gaps=streams[0], planes=tuple(streams[1:]))

    initialize = packed.Unpacked._initialize
    monkeypatch.setattr(packed.Unpacked, "_initialize", lambda self: initialize(self) if tf.inside_function() else None)
    monkeypatch.setattr(packed, "pack_int8", damaged_streams)
    save_packed(model, tmp_path / "broken", SERVING, "int8")
    with pytest.raises(tf.errors.OpError):
        tf.saved_model.load(str(tmp_path / "broken"))


class Lookup(tf_keras.layers.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(tf.constant([0, 1], tf.int64), [1.0, 2.0]), 0.0
        )

    def call(self, images):
        return images + self.table.lookup(tf.cast(images, tf.int64))


def test_a_network_with_a_lookup_table_is_refused(tmp_path):
    model = tf_keras.Sequential([tf_keras.Input((4,)), Lookup(), tf_keras.layers.Dense(3, name="head")])
    with pytest.raises(
        BadInput, match=r"formats=packed: cannot hold this network: .* is neither an input nor a variable"
    ):
        save_packed(model, tmp_path / "out", Serving())


@pytest.mark.fast_cases("mixed_bfloat16")
@pytest.mark.parametrize("policy", ["float64", "mixed_bfloat16", "mixed_float16"])
def test_other_precisions_are_packed_as_they_are(policy, tmp_path):
    tf_keras.mixed_precision.set_global_policy(policy)
    model = pruned(models.build("lenet5", (12, 12, 1), 3, 0))
    images = np.random.default_rng(0).integers(0, 256, (5, 12, 12, 1), dtype=np.uint8)
    save_packed(model, tmp_path / "out", SERVING)
    expected = expected_outputs(model, SERVING, {"images": images})["logits"]
    tolerance = 1e-5 if policy == "float64" else 1e-2
    assert np.allclose(served(tmp_path / "out", images), expected, rtol=0, atol=tolerance)


def test_a_recurrent_network_with_its_loop_is_packed(tmp_path):
    layers = tf_keras.layers
    model = tf_keras.Sequential([tf_keras.Input((6, 4)), layers.LSTM(5, name="lstm"), layers.Dense(3, name="head")])
    save_packed(model, tmp_path / "out", Serving())
    inputs = np.random.default_rng(0).random((2, 6, 4), np.float32)
    assert np.allclose(served(tmp_path / "out", inputs), model(inputs), rtol=0, atol=1e-6)


@pytest.mark.slow
def test_saved_model_cli_runs_it(folder, model, tmp_path):
    np.save(tmp_path / "images.npy", IMAGES)
    cli = Path(sys.executable).with_name("saved_model_cli")
    command = [cli, "run", "--dir", folder, "--tag_set", "serve", "--signature_def", "serving_default"]
    command += ["--inputs", f"images={tmp_path / 'images.npy'}", "--outdir", tmp_path]
    ended = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    assert close(np.load(tmp_path / "logits.npy"), model)
