"""Writes an export to a staging folder, verifies it in a fresh process, and only then publishes it."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import tensorflow as tf
import tf_keras

from dlth_tf import files
from dlth_tf.data.normalize import Normalization
from dlth_tf.deploy.atomic_folder import publishing, refuse_existing, staging_folder
from dlth_tf.deploy.checks.probe import PROBE, Probe, make_probe
from dlth_tf.deploy.earlier_forms import forms_of_another, kept_forms, refuse_another
from dlth_tf.deploy.examples import RANDOM_IMAGES, Examples, check_examples, not_finite, random_examples
from dlth_tf.deploy.given import arrays_in, given_names
from dlth_tf.deploy.image_size import at_image_size
from dlth_tf.deploy.report.export_result import ExportResult
from dlth_tf.deploy.report.facts import (
    size_note,
)
from dlth_tf.deploy.report.model_card import CARD, may_write_card, model_card
from dlth_tf.deploy.source import Keywords, Source
from dlth_tf.deploy.stripped import check_stateless, clear_signed_zeros, warn_of_ragged_inputs, without_wrappers
from dlth_tf.deploy.tflite.convert import by_input
from dlth_tf.deploy.verified_forms import write_and_verify
from dlth_tf.errors import BadInput
from dlth_tf.export_options import ExportOptions, OptionKeywords, ServingOptions
from dlth_tf.masking import weight_arrays
from dlth_tf.measures import ACCURACY, MSE

log = logging.getLogger("dlth_tf")
Inputs = np.ndarray | Mapping[str, np.ndarray]
OPTIONS = tuple(OptionKeywords.__annotations__)
FAR = 10  # times smaller: the largest pixel of images that are not of the stated range
KEYWORDS = Keywords.__required_keys__ | Keywords.__optional_keys__
DISK_ERRORS = (
    tf.errors.OutOfRangeError,
    tf.errors.ResourceExhaustedError,
    tf.errors.PermissionDeniedError,
    tf.errors.UnknownError,
    tf.errors.DataLossError,
)


def export(
    model: tf_keras.Model,
    export_dir: str | os.PathLike[str],
    *,
    formats: Sequence[str] = ("plain",),
    normalization: Normalization | None = None,
    label_names: Sequence[str] | None = None,
    examples: Examples | Inputs | None = None,
    **more: Unpack[Keywords],
) -> ExportResult:
    """Writes a model as `<export_dir>/<form>/`, and `<export_dir>/export.json`.

    Every SavedModel's `serving_default` takes `images`, or several inputs under their own names. For a classifier it
    returns `logits`, `probabilities`, `class` and, if label names are known, `label`; a network that ends in softmax
    has no `logits`. Every other network is served with its outputs under their own names. Before anything appears under
    `export_dir`, a fresh process with TensorFlow alone loads every form and compares its outputs with the Keras
    model's. docs/deploy.md describes the forms.

    Args:
      model: Keras model: stripped, or with masks, if all that the ticket does not keep is removed. A -0.0 in its
        weights becomes 0.0. Its weights are changed while the dense counterpart is written for comparison, and restored
        afterwards.
      export_dir: Folder to write to, created if it does not exist.
      formats: Forms to write, of plain, packed, compact, tflite (all LiteRT files that pass their check),
        tflite_float32, tflite_float16, tflite_int8 and onnx (with the extra `onnx` of this package).
      normalization: Normalization put in front of the network, so that clients send raw uint8 images; None serves the
        model's own inputs.
      label_names: One name per class, in the order of the logits; None omits the output `label`.
      examples: Examples on which outputs are compared: an array as a client sends it, for several inputs one for each
        by its name, or an `Examples` with labels, for the accuracy; None uses the first 256 of `calibration`, or
        256 random ones that the network can take.
      **more: What else is known about the network, and options of the export:

        - `values`: Precision in which `packed` stores weights: "float32", "float16", "bfloat16" or "int8".
        - `overwrite`: Whether an existing export of the same form is replaced, and forms of another network are
          removed; by default both are refused. The old one stays in place until the new one is verified.
        - `measure_latency`: Whether each form and its dense counterpart are timed (the default), which takes some
          seconds.
        - `min_agreement`: Fraction of the examples, 0 to 1, that must have the same class as in the Keras model in
          every form, such as int8; None sets no limit. Of `tflite`, a file below it is left out.
        - `task`: "classifier", "raw" or "auto", the default, which decides by the output.
        - `batch`: Number of examples in every call, if it is to be fixed.
        - `image_bytes`: Whether SavedModels have a second signature for encoded images.
        - `value_range`: Largest pixel value that the images of the training can have (255; 16 for digits).
        - `ticket`: Ticket whose removed weights must be zero in every form.
        - `calibration`: Raw training images for forms that need activation ranges.
        - `validation`: `Examples` on which int8 and `min_agreement` are judged; by default `examples`.
        - `image_size`: Height and width of all images, if a network that takes any is to be exported for one.
        - `origin`: Provenance of the network as JSON values.

    Returns:
      Content of export.json, a dictionary; printed, what each form saves.

    Raises:
      TypeError: If there is no such keyword.
      BadInput: If removed weights are not zero, a form or `values` is unknown, there is not one label name per class,
        examples or calibration images are no arrays or do not match the signature, a form already exists, one of
        another network is beside it, or `export_dir` cannot be written to.
      RuntimeError: If the verification fails. Nothing is written then.
    """
    if unknown := sorted(set(more) - KEYWORDS):
        raise TypeError(f"export() got an unexpected keyword argument {unknown[0]!r}")
    names = given_names(label_names)
    known: dict[str, Any] = dict(more)
    chosen = {name: known.pop(name) for name in OPTIONS if name in known}
    known |= arrays_in({"examples": examples, **known})
    source = Source(model, normalization, names, **known)
    return export_source(source, export_dir, ExportOptions(formats, **chosen))


def export_source(
    source: Source, export_dir: str | os.PathLike[str], options: ExportOptions | None = None
) -> ExportResult:
    """Exports a network like `export`, with everything that is known about it.

    Args:
      source: Network to export. With a ticket, the fresh process also checks that all removed weights are zero.
      export_dir: Folder to write to, created if it does not exist.
      options: Options of the export; None uses the defaults.

    Returns:
      Content of export.json, a dictionary; printed, what each form saves.

    Raises:
      BadInput: If `source` or `options` is invalid, no LiteRT file can be run, a form already exists, or
        `export_dir` cannot be written to.
      RuntimeError: If the verification fails. Nothing is written then.
    """
    options = options or ExportOptions()
    plain = without_wrappers(source.model)
    source = at_image_size(source if plain is source.model else dataclasses.replace(source, model=plain))
    _check(source, options)
    if not options.overwrite:
        refuse_existing(export_dir, options.formats)
    _check_calibration(source)
    examples = source.examples or _of_calibration(source) or random_examples(source.model, source.serving)
    check_examples(examples, source.serving.inputs(source.model))
    _check_targets(examples, source)
    _check_range(source)
    clear_signed_zeros(source.model)
    weights = files.arrays_sha256(weight_arrays(source.model))
    if not options.overwrite:
        refuse_another(Path(export_dir), weights, options.formats)
    probe = make_probe(source, examples)
    with _one_line(export_dir), staging_folder(Path(export_dir)) as staging:
        log.info("%s", source.decision[1])
        report = ExportResult(write_and_verify(source, options, examples, probe, staging))
        with publishing(Path(export_dir), () if options.overwrite else options.formats) as publish:
            if not options.overwrite:
                refuse_another(Path(export_dir), weights, options.formats)
            others = forms_of_another(Path(export_dir), weights, options.formats)
            report["forms"] |= kept_forms(Path(export_dir), report, options.formats)
            if note := size_note(report):
                report["forms"]["plain"]["notes"].append(note)
            labels = source.serving.label_names
            card = {CARD: model_card(report, labels)} if may_write_card(Path(export_dir)) else {}
            beside = _write_beside(staging / "export", report, probe, card)
            publish(staging / "export", [*options.formats, *beside], others)
    for form, words in report.savings().items():
        log.info("%s: %s", form, words)
    return report


@contextlib.contextmanager
def _one_line(export_dir: str | os.PathLike[str]) -> Iterator[None]:
    """Turns the errors of a full or read-only disk into one sentence, those of TensorFlow's writers too."""
    try:
        yield
    except OSError as error:
        raise BadInput("export_dir", export_dir, f"cannot be written to ({error.strerror or error})") from None
    except DISK_ERRORS as error:
        reason = str(error.message).split("}}")[-1].strip().split("\n")[0]
        raise BadInput("export_dir", export_dir, f"cannot be written to ({reason})") from error


def _check(source: Source, options: ExportOptions) -> None:
    model, names = source.model, source.label_names
    check_stateless(model)
    _check_ragged(source)
    options.check()
    ServingOptions(image_bytes=source.image_bytes).check(options.formats)
    classes = source.interface.classes
    if names is not None and source.serving.compared and len(names) != classes:
        raise BadInput("label_names", f"{len(names)} names", f"must be one for each of the model's {classes} classes")
    if options.min_agreement is not None and not source.serving.compared and source.threshold is None:
        raise BadInput("min_agreement", options.min_agreement, "is for classifiers, and this network is served as raw")


def _check_ragged(source: Source) -> None:
    """Warns of ragged inputs, and refuses a network that cannot take dense tensors in their place."""
    interface = source.interface
    if not interface.ragged:
        return
    warn_of_ragged_inputs(source.model, interface.ragged)

    def compute(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        return interface.call(source.model, dict(zip(interface.inputs, tensors, strict=True)))

    try:
        tf.function(compute, autograph=False).get_concrete_function(*interface.inputs.values())
    except Exception as error:  # of any kind: the layers are the user's
        taken = f"takes ragged tensors ({', '.join(interface.ragged)}), and cannot be run on dense ones as exports are"
        raise BadInput("model", source.model.name, taken) from error


def _check_targets(examples: Examples, source: Source) -> None:
    """Checks that labels are classes for a classifier, and for any other network targets of its only output."""
    labels = examples.labels
    if labels is None or (examples.measure is ACCURACY and source.serving.compared):
        return
    if source.threshold is not None and not np.isin(labels, (0, 1)).all():
        found = f"labels from {labels.min()} to {labels.max()}"
        raise BadInput("examples", found, "must be 0 or 1, since the network returns one sigmoid")
    given = f"labels of {labels.dtype}{list(labels.shape)}"
    if source.serving.compared:
        raise BadInput("examples", given, "must be classes, whole numbers, since the network is served as a classifier")
    shapes = [spec.shape for spec in source.interface.outputs.values()]
    if examples.measure is MSE and (len(shapes) > 1 or labels[:1].size != shapes[0][1:].num_elements()):
        allowed = f"must be a target for each number of the only output; the outputs: {', '.join(map(str, shapes))}"
        raise BadInput("examples", given, allowed)


def _check_calibration(source: Source) -> None:
    """Checks that the images that number ranges are chosen from are finite."""
    given = source.calibration if isinstance(source.calibration, Mapping) else {"images": source.calibration}
    for name, array in given.items():
        if array is not None and (found := not_finite(array)):
            raise BadInput("calibration", f"{array.dtype}{list(array.shape)}", f"must be finite; {name}: {found}")


def _of_calibration(source: Source) -> Examples | None:
    """Returns the first inputs of the calibration as examples: what 8 bits do shows on inputs of the range of the data.

    Returns:
      None without a calibration, or if it has fewer inputs than a call of a fixed batch size.
    """
    if source.calibration is None:
        return None
    given = by_input(source.calibration, source.serving.inputs(source.model))
    few = {name: array[:RANDOM_IMAGES] for name, array in given.items()}
    if len(next(iter(few.values()))) < (source.serving.batch or 1):
        return None
    return Examples(few, None, "examples of the calibration")


def _check_range(source: Source) -> None:
    """Checks that the pixels of encoded images are scaled to the range that the examples have."""
    if not source.image_bytes:
        return
    specs, most = source.serving.inputs(source.model), source.serving.value_range
    for name, given in (("examples", source.examples), ("calibration", source.calibration)):
        if given is None:
            continue
        arrays = given if isinstance(given, Examples) else Examples(given, None, name)
        for array in arrays.inputs(specs).values():
            low, high = float(array.min()), float(array.max())
            if array.dtype.kind == "f" and (low < 0 or high > most or 0 < high < most / FAR):
                allowed = "scales pixels to 0 to value_range, the largest value that images of the training can have"
                found = f"that is {most}, and the {name} are from {low:g} to {high:g}"
                raise BadInput("image_bytes", True, f"{allowed}; {found}")


def _write_beside(folder: Path, report: Mapping[str, Any], probe: Probe | None, card: Mapping[str, str]) -> list[str]:
    """Writes the files beside the forms, and returns their names."""
    files.write_json(folder / "export.json", report)
    contents: dict[str, bytes | str] = dict(card)
    if probe is not None:
        contents[PROBE] = probe.data()
    files.write_all(folder, contents)
    return ["export.json", *contents]
