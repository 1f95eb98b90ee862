"""The forms of an export and how each is written.

A new form is one function here, one entry in FORMS, and its name in `export_options.FORMATS`.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras

from dlth_tf.deploy.checks.tolerance import allowed
from dlth_tf.deploy.compaction import Zeros, compact_and_explain, kernel_shapes
from dlth_tf.deploy.compaction.conv2d_with_map import Conv2DWithMap
from dlth_tf.deploy.onnx_file import FILE, write_onnx
from dlth_tf.deploy.report.folder_size import bytes_of
from dlth_tf.deploy.savedmodel.constant_weights import save_constant
from dlth_tf.deploy.savedmodel.packed import save_packed
from dlth_tf.deploy.savedmodel.plain import save_plain
from dlth_tf.deploy.serving import Serving
from dlth_tf.deploy.source import Source
from dlth_tf.deploy.tflite.convert import KINDS, TOLERANCES, write_tflite
from dlth_tf.deploy.tflite.float32_twin import in_float32
from dlth_tf.errors import BadInput
from dlth_tf.export_options import ExportOptions

# Folding changes the rounding, usually by 1e-6 of the largest logit. Where channels hardly vary, batch norm multiplies
# such differences by hundreds: deep random networks with removed filters were seen to differ by 1e-3, and so did Keras
# in float32 from Keras in float64.
FOLDED = 2e-3
NOTHING_REMOVED = (
    "compact: nothing could be removed, because no filter, unit or channel of this network is zero throughout; it "
    "computes the same as plain (tickets of --granularity=filter or channel are made for this form)."
)
UNFOLDED = 2**16  # bytes: LiteRT's converter writes a map of at most as many with a number for every pixel
NOT_FROM_PACKED = (
    "onnx: written in float32 from the compact network and never from packed, whose weights TensorFlow unpacks when it "
    "loads them."
)
NO_INT8 = "tflite: no int8.tflite, because there are no images to calibrate it with."

# Parameters of the compact network, as a fraction of the network's, from which `packed` begins with it. Above, packed
# zeros take no more bytes, and in their original shapes they can be compared with the ticket.
WORTHWHILE = 0.95

# Bytes below which packing may not pay: the operations that unpack take some 7 kB.
TINY = 100_000
NOT_PACKED = (
    "packed: stored as constants, like compact, because the operations that unpack would take more bytes than packing "
    "saves."
)

# Both store the same weights in float16. bfloat16 has 3 bits less. The error of int8 depends on the network, so it is
# reported and not limited.
ROUNDED = {"float32": FOLDED, "float16": TOLERANCES["float16"], "bfloat16": 1.6e-1, "int8": None}


@dataclass(frozen=True)
class Written:
    """A form on disk, with what its verification and its report need.

    Args:
      model: Keras model whose outputs the form must reproduce.
      kind: "saved_model", "tflite" or "onnx".
      path: Folder of the SavedModel, or file of the LiteRT or ONNX model.
      tolerance: Largest allowed difference of a logit, relative to the largest logit or to 1 if that is larger; None
        allows any difference.
      places: For a packed model, the place of every stored weight: ticket name -> (vector, start). None for other
        forms.
      optional: Whether the form is left out, with a note, if its check fails.
      same_weights: Whether the form contains the weights of the ticket's network in their original shapes.
      facts: Further entries for export.json.
    """

    model: tf_keras.Model
    kind: str
    path: Path
    tolerance: float | None
    places: dict[str, tuple[int, int]] | None = None
    same_weights: bool = True
    optional: bool = False
    facts: dict[str, Any] = field(default_factory=dict)


def _plain(source: Source, options: ExportOptions, path: Path) -> dict[str, Written]:
    del options
    save_plain(source.model, path, source.serving)
    return {"plain": Written(source.model, "saved_model", path, allowed(source.model, 1e-5))}


def _packed(source: Source, options: ExportOptions, path: Path) -> dict[str, Written]:
    """Packs the compact network, or the network itself if compaction gains next to nothing."""
    small = _compact_if_possible(source.model)
    whole = small.count_params() > WORTHWHILE * source.model.count_params()
    facts = save_packed(source.model if whole else small, path, source.serving, options.values)
    places = facts.pop("places")
    rounded = options.values != "float32"
    facts = {"values": options.values, **facts}
    if not rounded and bytes_of(path) < TINY:
        mapped = _compact_if_possible(source.model, maps=True)
        if _smaller_as_constants(mapped, path, source.serving):
            small, places, whole = mapped, None, False
            facts["note"] = NOT_PACKED
    if not whole:
        facts["kernels"] = kernel_shapes(source.model, small)
    limit = ROUNDED[options.values]
    tolerance = None if limit is None else allowed(source.model, limit, rounded)
    model = source.model if whole else small
    return {"packed": Written(model, "saved_model", path, tolerance, places, same_weights=whole, facts=facts)}


def _smaller_as_constants(model: tf_keras.Model, path: Path, serving: Serving) -> bool:
    """Replaces a packed SavedModel by one with constants if that is smaller, and returns whether it was."""
    constant = path.with_name(f"{path.name}-constant")
    save_constant(model, constant, serving, "packed")
    smaller = bytes_of(constant) < bytes_of(path)
    shutil.rmtree(path if smaller else constant)
    if smaller:
        constant.rename(path)
    return smaller


def _compact(source: Source, options: ExportOptions, path: Path) -> dict[str, Written]:
    del options
    small, zeros = compact_and_explain(source.model, maps=True)
    save_constant(small, path, source.serving, "compact")
    note = compaction_note(zeros, removed=small.count_params() < source.model.count_params())
    facts = {"note": note, "kernels": kernel_shapes(source.model, small)}
    return {
        "compact": Written(small, "saved_model", path, allowed(source.model, FOLDED), same_weights=False, facts=facts)
    }


def _onnx(source: Source, options: ExportOptions, path: Path) -> dict[str, Written]:
    """Writes the compact network, in float32."""
    small = in_float32(_compact_if_possible(source.model, maps=True), "onnx")
    facts = write_onnx(small, path, source.serving)
    if "packed" in options.formats:
        facts["note"] = NOT_FROM_PACKED
    tolerance = allowed(source.model, FOLDED)
    return {"onnx": Written(small, "onnx", path / FILE, tolerance, same_weights=False, facts=facts)}


def compaction_note(zeros: Zeros, removed: bool) -> str:
    """Returns the sentence on what is zero and stays in the compact form; empty if there is nothing to explain.

    Args:
      zeros: What is zero as a whole in the network.
      removed: Whether the compact network has fewer parameters.
    """
    if not removed and not zeros.count:
        return NOTHING_REMOVED
    stay = sum(left.count for left in zeros.leftovers)
    observed = f"of {zeros.count} filters, units and channels whose weights are all zero, {stay} stay ({zeros})"
    if not removed:
        return f"compact: nothing could be removed, and it computes the same as plain; {observed}."
    return f"compact: {observed}." if zeros.held else ""


def _tflite(source: Source, options: ExportOptions, path: Path) -> dict[str, Written]:
    """Writes all LiteRT files that can be written; those that fail their check are left out."""
    written = _litert(source, path, KINDS)
    if "tflite/int8" not in written and source.calibration is None:
        facts = next(iter(written.values())).facts
        facts["note"] = f"{facts['note']} {NO_INT8}".strip()
    return {name: dataclasses.replace(form, optional=True) for name, form in written.items()}


def _one_tflite(kind: str) -> Callable[[Source, ExportOptions, Path], dict[str, Written]]:
    """Returns the function that writes one LiteRT file, which must pass its check."""

    def write(source: Source, options: ExportOptions, path: Path) -> dict[str, Written]:
        if kind == "int8" and source.calibration is None:
            raise BadInput("formats", "tflite_int8", "needs training images to calibrate it with (calibration=)")
        return {name.replace("/", "_"): form for name, form in _litert(source, path, (kind,)).items()}

    return write


def _litert(source: Source, path: Path, kinds: tuple[str, ...]) -> dict[str, Written]:
    small = in_float32(_for_litert(source.model))
    serving = dataclasses.replace(source.serving, label_names=None)
    result = write_tflite(small, path, serving=serving, calibration=source.calibration, kinds=kinds)
    written = {}
    for kind, sparse in result.sparse.items():
        tolerance = TOLERANCES[kind] if np.isfinite(TOLERANCES[kind]) else None
        facts: dict[str, Any] = {"sparse": sparse}
        written[f"tflite/{kind}"] = Written(
            small,
            "tflite",
            path / f"{kind}.tflite",
            tolerance and allowed(source.model, tolerance, kind != "float32"),
            same_weights=False,
            facts=facts,
        )
    next(iter(written.values())).facts["note"] = " ".join(result.left_out.values())
    return written


def _for_litert(model: tf_keras.Model) -> tf_keras.Model:
    """Returns the compact model with maps, or without them if they take more than the filters that are taken out."""
    small = _compact_if_possible(model, maps=True)
    maps = [layer for layer in small.layers if isinstance(layer, Conv2DWithMap)]
    numbers = [len(layer.rows) * len(layer.columns) * layer.filters for layer in maps]
    written = sum(number for number in numbers if 4 * number <= UNFOLDED)
    if small.count_params() + written > model.count_params():
        return _compact_if_possible(model)
    return small


def _compact_if_possible(model: tf_keras.Model, maps: bool = False) -> tf_keras.Model:
    """Returns the compact model, or the model itself if it cannot be compacted.

    Args:
      model: Stripped Keras model.
      maps: As in `compact_and_explain`. `packed` has none: they make its graph larger.
    """
    try:
        return compact_and_explain(model, maps)[0]
    except BadInput:
        return model


FORMS: dict[str, Callable[[Source, ExportOptions, Path], dict[str, Written]]] = {
    "plain": _plain,
    "packed": _packed,
    "compact": _compact,
    "tflite": _tflite,
    **{f"tflite_{kind}": _one_tflite(kind) for kind in KINDS},
    "onnx": _onnx,
}


def write_forms(source: Source, options: ExportOptions, folder: Path) -> dict[str, Written]:
    """Writes all requested forms.

    Args:
      source: Network to export.
      options: Options of the export; `formats` and `values` matter here.
      folder: Folder to write to, created if it does not exist.

    Returns:
      Name -> written form. The tflite form writes several.
    """
    folder.mkdir(exist_ok=True)
    written: dict[str, Written] = {}
    for form in options.formats:
        written |= FORMS[form](source, options, folder / form)
    return written
