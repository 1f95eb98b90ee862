"""export: bad input is refused, and nothing appears under its name before it is verified."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras

import dlth_tf
from dlth_tf import masking
from dlth_tf.core import Ticket
from dlth_tf.data import Normalization
from dlth_tf.deploy import Examples, forms
from dlth_tf.deploy.checks import standalone
from dlth_tf.deploy.export import export_source
from dlth_tf.deploy.source import Source
from dlth_tf.deploy.tflite import convert, sparse_layers
from dlth_tf.errors import BadInput
from dlth_tf.export_options import ExportOptions
from tests.deploy.families import sparse_network
from tests.runs.tiny import listing

pytestmark = pytest.mark.usefixtures("checked_here")
layers = tf_keras.layers
FAST = {"measure_latency": False}
OVERWRITE = ExportOptions(overwrite=True, measure_latency=False)
MASK = np.arange(16 * 6).reshape(16, 6) % 4 == 0
TICKET = Ticket.from_masks({"body/kernel": MASK})


def network() -> tf_keras.Model:
    """Builds a small network with the ticket's zeros inside."""
    model = tf_keras.Sequential(
        [
            tf_keras.Input((4, 4, 1)),
            layers.Flatten(),
            layers.Dense(6, "relu", name="body"),
            layers.Dense(3, name="head"),
        ],
        name="mine",
    )
    kernel = model.get_layer("body").kernel
    kernel.assign(np.where(MASK, kernel.numpy(), 0))
    return model


@pytest.fixture(scope="module")
def model() -> tf_keras.Model:
    return network()


def signature(folder) -> tuple:
    loaded = tf.saved_model.load(os.fspath(folder))
    return loaded, loaded.signatures["serving_default"]


def test_dlth_tf_export_writes_a_plain_saved_model_with_the_models_own_inputs(model, tmp_path):
    report = export_source(Source(model, ticket=TICKET), tmp_path / "out", ExportOptions(**FAST))
    assert sorted(os.listdir(tmp_path / "out")) == ["README.md", "export.json", "plain", "probe.npz"]
    assert json.loads((tmp_path / "out" / "export.json").read_text()) == report
    # The biases are still zero.
    assert report["parameters"] == {"total": 96 + 6 + 18 + 3, "nonzero": 24 + 18, "prunable": 96, "removed": 72}
    files = [path for path in (tmp_path / "out" / "plain").rglob("*") if path.is_file()]
    assert report["forms"]["plain"]["bytes"] == sum(path.stat().st_size for path in files)
    images = np.random.default_rng(0).random((5, 4, 4, 1), np.float32)
    loaded, serve = signature(tmp_path / "out" / "plain")
    assert serve.structured_input_signature[1]["images"].dtype == tf.float32
    outputs, expected = serve(images=tf.constant(images)), model(images).numpy()
    assert set(outputs) == {"logits", "probabilities", "class"}
    assert np.allclose(outputs["logits"], expected, atol=1e-6)
    assert np.allclose(outputs["probabilities"], np.exp(expected) / np.exp(expected).sum(1, keepdims=True), atol=1e-6)
    assert outputs["class"].numpy().tolist() == expected.argmax(1).tolist()
    assert len(loaded.network_variables) == 4


def test_a_negative_zero_is_written_as_zero(tmp_path):
    model = network()
    kernel = model.get_layer("body").kernel
    kernel.assign(kernel * np.where(MASK, 1, -0.0))
    assert np.signbit(kernel.numpy()[~MASK]).any()
    dlth_tf.export(model, tmp_path, **FAST)
    written = signature(tmp_path / "plain")[0].network_variables[0].numpy()
    assert not written[~MASK].any() and not np.signbit(written[~MASK]).any() and np.array_equal(written, kernel)


def test_a_normalization_is_put_in_front_of_raw_images(model, tmp_path):
    normalization = Normalization(1 / 255, (0.5,), (0.25,))
    dlth_tf.export(model, tmp_path, normalization=normalization, **FAST)
    raw = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 1), dtype=np.uint8)
    _, serve = signature(tmp_path / "plain")
    assert serve.structured_input_signature[1]["images"] == tf.TensorSpec((None, 4, 4, 1), tf.uint8, "images")
    expected = model(((raw / 255 - 0.5) / 0.25).astype(np.float32)).numpy()
    assert np.allclose(serve(images=tf.constant(raw))["logits"], expected, atol=1e-5)
    assert not np.allclose(serve(images=tf.constant(raw))["logits"], model(raw.astype(np.float32)), atol=1e-2)


class Own(tf_keras.Model):
    def __init__(self) -> None:
        super().__init__(name="own")
        self.flat = layers.Flatten()
        self.head = layers.Dense(3, name="head")

    def call(self, images):
        return self.head(self.flat(images))


def test_a_subclassed_model_is_exported_too(tmp_path):
    model = Own()
    model.build((None, 4, 4, 1))
    dlth_tf.export(model, tmp_path, **FAST)
    images = np.random.default_rng(0).random((2, 4, 4, 1), np.float32)
    assert np.allclose(signature(tmp_path / "plain")[1](images=tf.constant(images))["logits"], model(images), atol=1e-6)


def test_batch_normalisation_is_served_as_in_inference(tmp_path):
    model = tf_keras.Sequential(
        [tf_keras.Input((4,)), layers.BatchNormalization(name="norm"), layers.Dense(3, name="head")]
    )
    model.get_layer("norm").moving_mean.assign([1.0, 2.0, 3.0, 4.0])
    report = dlth_tf.export(model, tmp_path, **FAST)
    assert report["parameters"]["total"] == 16 + 15
    inputs = np.random.default_rng(0).random((2, 4), np.float32)
    logits = signature(tmp_path / "plain")[1](images=tf.constant(inputs))["logits"]
    assert np.allclose(logits, model(inputs, training=False), atol=1e-6)
    assert not np.allclose(logits, model(inputs, training=True), atol=1e-2)


def of_class() -> tf_keras.Model:
    model = Own()
    model(np.zeros((1, 4, 4, 1), np.float32))
    return model


@pytest.mark.parametrize("build", [network, of_class])
def test_a_wrapped_model_is_exported_as_its_ticket_left_it_and_stays_wrapped(build, tmp_path):
    model = dlth_tf.wrap(build())
    ticket = dlth_tf.random_ticket(model, sparsity=0.5, seed=0, dense_layers="none")
    dlth_tf.apply_ticket(model, ticket, remove=True)
    report = dlth_tf.export(model, tmp_path / "out", **FAST)
    assert report["parameters"]["total"] == build().count_params()
    images = np.random.default_rng(0).random((2, 4, 4, 1), np.float32)
    assert np.allclose(
        signature(tmp_path / "out" / "plain")[1](images=tf.constant(images))["logits"], model(images), atol=1e-6
    )
    assert masking.has_masks(model) and masking.chosen_ticket(model) == ticket


def test_a_wrapped_model_with_weights_yet_to_remove_is_refused(tmp_path):
    model = dlth_tf.wrap(network())
    dlth_tf.apply_ticket(model, dlth_tf.random_ticket(model, sparsity=0.5, seed=0))
    with pytest.raises(BadInput, match=r"model=mine: has a ticket for .* but its weights are not removed yet"):
        dlth_tf.export(model, tmp_path / "out", **FAST)
    assert not (tmp_path / "out").exists()


def test_a_wrapper_of_tfmot_is_refused(tmp_path):
    model = tfmot.sparsity.keras.prune_low_magnitude(network())
    with pytest.raises(BadInput, match=r"has tf-mot's own wrapper .*: call tfmot.sparsity.keras.strip_pruning first"):
        dlth_tf.export(model, tmp_path / "out", **FAST)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("formats", [["coreml"], ["plain", "coreml"], [], [""]], ids=str)
def test_an_unknown_form_is_refused(model, formats, tmp_path):
    with pytest.raises(BadInput, match=r"formats=.*: must be one or more of plain, packed, compact, tflite"):
        dlth_tf.export(model, tmp_path / "out", formats=formats, **FAST)
    assert not (tmp_path / "out").exists()


RIGHT = np.random.default_rng(0).random((5, 4, 4, 1), np.float32)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (RIGHT[:0], None, r"examples=float32\[0, 4, 4, 1\]: must be float32 images"),
        (RIGHT[:, :3], None, "must be float32 images of shape"),
        (RIGHT.astype(np.float64), None, "must be float32 images of shape"),
        (RIGHT, np.arange(4), r"labels of shape \[4\]: must have one label for each of the 5 images"),
        (RIGHT, np.ones(5), r"labels of float64\[5\]: must be classes, whole numbers"),
        (np.where(RIGHT > 0.5, np.nan, RIGHT).astype(np.float32), None, "must be finite; .*: NaN or infinity in "),
        (np.full_like(RIGHT, -np.inf), None, r"must be finite; .*: .* 80 of 80 numbers, first at \[0, 0, 0, 0\]"),
        (RIGHT, np.full(5, np.inf), "must be finite; labels: NaN or infinity in 5 of 5 numbers"),
    ],
)
def test_examples_that_the_signature_does_not_take_are_refused(model, images, labels, message, tmp_path):
    with pytest.raises(BadInput, match=message):
        dlth_tf.export(model, tmp_path / "out", examples=Examples(images, labels, "my images"), **FAST)
    assert not (tmp_path / "out").exists()


def test_targets_are_one_for_each_number_of_the_only_output(model, tmp_path):
    examples = Examples(RIGHT, np.ones((5, 2)), "my images")
    with pytest.raises(
        BadInput, match=r"labels of float64\[5, 2\]: must be a target for each number of the only output"
    ):
        dlth_tf.export(model, tmp_path / "out", examples=examples, task="raw", **FAST)
    assert not (tmp_path / "out").exists()


def test_accuracy_is_that_on_the_given_examples(model, tmp_path):
    labels = model(RIGHT).numpy().argmax(1)
    labels[0] = (labels[0] + 1) % 3
    report = dlth_tf.export(model, tmp_path, examples=Examples(RIGHT, labels, "my images"), **FAST)
    assert report["verification"].items() >= {"on": "my images", "images": 5, "accuracy": 0.8}.items()
    assert report["forms"]["plain"]["accuracy"] == 0.8


def test_examples_may_be_an_array(model, tmp_path):
    report = dlth_tf.export(model, tmp_path, examples=RIGHT, **FAST)
    assert report["verification"].items() >= {"on": "the given examples", "images": 5}.items()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"values": "int4"}, "values=int4: must be one of float32, float16, bfloat16, int8"),
        ({"values": "int8"}, "values=int8: is for the form packed, and the forms to write are plain"),
        ({"formats": "packed"}, r"formats=packed: must be a list of forms, such as \['packed'\]"),
        ({"formats": "plain,packed"}, "formats=plain,packed: must be a list of forms"),
        ({"formats": None}, "formats=None: must be a list of forms"),
        ({"formats": 3}, "formats=3: must be a list of forms"),
        ({"formats": []}, r"formats=\(none\): must be one or more of plain"),
        ({"calibration": np.full((2, 4, 4, 1), np.nan, np.float32)}, r"calibration=float32\[2, 4, 4, 1\]: must be fin"),
        ({"label_names": ["a", "b"]}, "label_names=2 names: must be one for each of the model's 3 classes"),
    ],
)
def test_other_bad_input_is_refused(model, arguments, message, tmp_path):
    with pytest.raises(BadInput, match=message):
        dlth_tf.export(model, tmp_path / "out", **arguments, **FAST)
    assert not (tmp_path / "out").exists()


def test_a_keyword_that_does_not_exist_is_refused_by_its_name(model, tmp_path):
    with pytest.raises(TypeError, match=r"export\(\) got an unexpected keyword argument 'formts'"):
        dlth_tf.export(model, tmp_path / "out", formts=["plain"])  # type: ignore[call-arg]
    assert not (tmp_path / "out").exists()


def test_an_export_is_replaced_only_when_asked(model, tmp_path):
    dlth_tf.export(model, tmp_path, **FAST)
    before = listing(tmp_path)
    with pytest.raises(
        BadInput, match=r"export_dir=.*: already holds an export \(plain\); --overwrite \(overwrite=True\) replaces it"
    ):
        dlth_tf.export(model, tmp_path, **FAST)
    assert listing(tmp_path) == before
    (tmp_path / "plain" / "stale").write_text("from the earlier export")
    dlth_tf.export(model, tmp_path, overwrite=True, **FAST)
    assert (
        sorted(os.listdir(tmp_path)) == ["README.md", "export.json", "plain", "probe.npz"]
        and not (tmp_path / "plain" / "stale").exists()
    )


def test_a_place_that_cannot_be_written_to_is_refused(model, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BadInput, match=r"export_dir=.*: cannot be written to"):
        dlth_tf.export(model, tmp_path / "file" / "out", **FAST)
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize(
    ("ticket", "message"),
    [
        ({"body/kernel": ~MASK}, "body/kernel has nonzero weights that the ticket removes"),
        ({"body/kernel": MASK, "tail/kernel": [True]}, "no weight tail/kernel of the ticket's shape"),
        ({"body/kernel": MASK.T}, "no weight body/kernel of the ticket's shape"),
    ],
)
def test_a_ticket_that_is_not_the_networks_leaves_nothing(model, ticket, message, tmp_path):
    with pytest.raises(RuntimeError, match=message):
        export_source(Source(model, ticket=Ticket.from_masks(ticket)), tmp_path / "out", ExportOptions(**FAST))
    assert not (tmp_path / "out").exists()


def test_a_ticket_and_the_origin_of_a_network_may_be_given_by_keyword(model, tmp_path):
    with pytest.raises(RuntimeError, match="has nonzero weights that the ticket removes"):
        dlth_tf.export(model, tmp_path / "out", ticket=Ticket.from_masks({"body/kernel": ~MASK}), **FAST)
    ticket = Ticket.from_masks({"body/kernel": MASK})
    report = dlth_tf.export(model, tmp_path / "out", ticket=ticket, origin={"made": "by hand"}, **FAST)
    assert report["origin"] == {"made": "by hand"}
    with pytest.raises(TypeError, match="colour"):
        dlth_tf.export(model, tmp_path / "other", colour="red", **FAST)  # type: ignore[call-arg]


def named(folder) -> dict[str, bytes | None]:
    return {name: content for name, (_, content) in listing(folder).items()}


def damaged(monkeypatch) -> None:
    """Makes `save_plain` write another network."""
    save_plain = forms.save_plain

    def save_another(model, path, serving):
        other = tf_keras.models.clone_model(model)
        other.set_weights([weight * 1.001 for weight in model.get_weights()])
        save_plain(other, path, serving)

    monkeypatch.setattr(forms, "save_plain", save_another)


def test_what_was_damaged_on_its_way_to_the_disk_is_found_and_an_earlier_export_stays(model, tmp_path, monkeypatch):
    dlth_tf.export(model, tmp_path / "earlier", **FAST)
    before = named(tmp_path)
    damaged(monkeypatch)
    for folder in ("earlier", "new"):
        with pytest.raises(
            RuntimeError, match=r"plain: the export's logits differ from the model's by .*; at most .* is allowed"
        ):
            export_source(Source(model, ticket=TICKET), tmp_path / folder, OVERWRITE)
        assert named(tmp_path) == before


def test_a_tflite_file_that_differs_from_the_model_is_refused_and_not_written(tmp_path, monkeypatch):
    encode = sparse_layers.encode

    def damaged(matrix, block):
        sparse = encode(matrix, block)
        sparse.values[0] += 1
        return sparse

    monkeypatch.setattr(sparse_layers, "encode", damaged)
    model, _ = sparse_network("lenet_300_100", sparsity=0.95)
    with pytest.raises(RuntimeError, match=r"tflite_float32: the export's logits differ from the model's by"):
        dlth_tf.export(model, tmp_path / "out", formats=["tflite_float32"], **FAST)
    assert not os.listdir(tmp_path)


def test_a_tflite_file_that_does_not_run_is_refused_and_not_written(model, tmp_path, monkeypatch):
    monkeypatch.setattr(convert, "sparsify", lambda data: (b"TFL3" + data[:100], {}))
    with pytest.raises(RuntimeError, match=r"tflite_float32: cannot be (loaded|run) \("):
        dlth_tf.export(model, tmp_path / "out", formats=["tflite_float32"], **FAST)
    assert not os.listdir(tmp_path)


def test_of_all_tflite_files_only_the_one_that_does_not_run_is_left_out(model, tmp_path, monkeypatch):
    monkeypatch.setattr(convert, "sparsify", lambda data: (b"TFL3" + data[:100], {}))
    report = dlth_tf.export(model, tmp_path / "out", formats=["tflite"], **FAST)
    assert list(report["forms"]) == ["tflite/float16"] and os.listdir(tmp_path / "out/tflite") == ["float16.tflite"]
    assert "tflite/float32 is left out: tflite/float32: cannot be" in " ".join(
        report["forms"]["tflite/float16"]["notes"]
    )


def test_what_the_converter_could_not_write_is_said_without_calibration_images_too(model, tmp_path, monkeypatch):
    def fails(data):
        raise ValueError("no float32 today")

    monkeypatch.setattr(convert, "sparsify", fails)
    (facts,) = dlth_tf.export(model, tmp_path / "out", formats=["tflite"], **FAST)["forms"].values()
    said = " ".join(facts["notes"])
    assert "no float32.tflite, because LiteRT's converter" in said and "no int8.tflite, because there are no" in said


def test_without_examples_forms_are_compared_on_the_first_of_the_calibration(model, tmp_path):
    images = np.random.default_rng(0).normal(100, 20, (300, 4, 4, 1))  # float64, which the export converts
    report = dlth_tf.export(model, tmp_path / "out", formats=["tflite_int8"], calibration=images, **FAST)
    checks, facts = report["verification"], report["forms"]["tflite_int8"]
    assert (checks["on"], checks["images"]) == ("examples of the calibration", 256)
    run = tf.lite.Interpreter(str(tmp_path / "out/tflite_int8/int8.tflite")).get_signature_runner()
    classes = run(images=images[:256].astype(np.float32))["class"]
    assert facts["agreement"] == np.mean(classes == model(images[:256]).numpy().argmax(-1))
    assert np.load(tmp_path / "out/probe.npz")["input/images"].max() <= 1  # random, and nobody's data


def test_a_calibration_of_fewer_images_than_a_call_has_is_no_example(model, tmp_path):
    given = {"calibration": np.zeros((2, 4, 4, 1), np.float32), "batch": 3}
    assert dlth_tf.export(model, tmp_path / "out", **given, **FAST)["verification"]["on"] == "random images"


def test_an_empty_folder_of_the_users_own_stays_when_the_export_fails(model, tmp_path):
    with pytest.raises(RuntimeError):
        export_source(Source(model, ticket=Ticket.from_masks({"body/kernel": ~MASK})), tmp_path, ExportOptions(**FAST))
    assert tmp_path.is_dir() and not os.listdir(tmp_path)


def test_dlth_tf_export_is_the_command_and_the_function():
    import dlth_tf.export as command

    assert command is dlth_tf.export and callable(dlth_tf.export) and callable(dlth_tf.export.main)


@pytest.mark.slow
def test_int8_below_the_least_agreement_is_left_out_and_its_accuracy_is_said_beside_float32s(tmp_path, monkeypatch):
    model, _ = sparse_network("lenet_300_100")
    images = np.random.default_rng(0).random((64, 8, 8, 1), np.float32)
    examples = Examples(images, model(images).numpy().argmax(1), "my images")
    known = {"formats": ["tflite"], "calibration": images, "examples": examples, **FAST}
    report = dlth_tf.export(model, tmp_path / "any", **known)["forms"]
    (note,) = (note for note in report["tflite/int8"]["notes"] if "the accuracy is" in note)
    assert note.startswith(f"tflite/int8: {report['tflite/int8']['agreement']:.1%} of the examples have the same class")
    assert note.endswith(", and 100.00% in float32.")
    checked = standalone.checked

    def other(form, data):
        facts = checked(form, data)
        return {**facts, "agreement": 0.7} if form["name"].endswith("int8") else facts

    monkeypatch.setattr(standalone, "checked", other)
    report = dlth_tf.export(model, tmp_path / "most", **known, min_agreement=0.9)["forms"]
    assert list(report) == ["tflite/float32", "tflite/float16"]
    said = (
        "tflite/int8 is left out: tflite/int8: only 70.00% of the examples have the same class as in the Keras model."
    )
    assert said in report["tflite/float32"]["notes"]
    with pytest.raises(BadInput, match=r"min_agreement=0.9: is not reached by tflite_int8: only 70.00%"):
        dlth_tf.export(model, tmp_path / "one", **(known | {"formats": ["tflite_int8"]}), min_agreement=0.9)
    assert sorted(os.listdir(tmp_path)) == ["any", "most"]


def test_rounded_forms_are_judged_on_validation_examples(tmp_path, monkeypatch):
    model, _ = sparse_network("lenet_300_100")
    compared, judged = np.random.default_rng(0).random((2, 64, 8, 8, 1), np.float32)
    labels = np.where(np.arange(64) < 16, model(judged).numpy().argmax(1), -1)
    known = {"examples": Examples(compared, None, "my images"), "formats": ["packed"], "values": "int8", **FAST}
    known["validation"] = Examples(judged, labels, "validation images of mine")
    facts = dlth_tf.export(model, tmp_path / "any", **known)["forms"]["packed"]
    outputs = signature(tmp_path / "any/packed")[1](images=tf.constant(judged))
    same = np.mean(outputs["class"] == model(judged).numpy().argmax(1))
    assert facts["validation"] == {
        "images": 64,
        "on": "validation images of mine",
        "agreement": same,
        "accuracy": np.mean(outputs["class"] == labels),
    }
    assert f"{same:.1%} of 64 validation images of mine have the same class" in facts["notes"][0]
    judge = standalone.judged
    monkeypatch.setattr(standalone, "judged", lambda *given: judge(*given) | {"agreement": 0.5})
    with pytest.raises(BadInput, match=r"packed: only 50\.00% of 64 validation images of mine have the same class"):
        dlth_tf.export(model, tmp_path / "limited", **known, min_agreement=0.6)
    known["validation"] = Examples(judged[:, :4], labels, "other images")
    with pytest.raises(BadInput, match=r"validation=float32\[64, 4, 8, 1\]: must be"):
        dlth_tf.export(model, tmp_path / "other", **known)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min_agreement": 1.5}, "min_agreement=1.5: must be"),
        ({"min_agreement": 0.9, "task": "raw"}, "min_agreement=0.9: is for classifiers"),
    ],
)
def test_a_limit_that_cannot_be_is_refused(model, arguments, message, tmp_path):
    with pytest.raises(BadInput, match=message):
        dlth_tf.export(model, tmp_path / "out", **arguments, **FAST)
