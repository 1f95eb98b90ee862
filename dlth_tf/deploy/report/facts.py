"""Facts for export.json: sizes compared with the bound and with the dense model, multiply-adds, and measured times."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from dlth_tf import files
from dlth_tf.core import Ticket
from dlth_tf.deploy.forms import Written
from dlth_tf.deploy.report.folder_size import bytes_of, files_of
from dlth_tf.deploy.report.size_bound import size_of
from dlth_tf.deploy.source import Source
from dlth_tf.masking import weight_arrays
from dlth_tf.masking.macs import counted_positions
from dlth_tf.measures import MSE

WORTH_PACKING = 0.9  # of the bytes of the weights
FASTER = 1.2  # times the dense network's speed; two equal models on a busy machine differ by less


Shapes = Mapping[str, tuple[int, ...]]


def network_facts(model: tf_keras.Model, ticket: Ticket | None, shapes: Shapes) -> dict[str, Any]:
    """Counts the parameters and multiply-adds of the network, and computes the bound on its size.

    Args:
      model: Stripped Keras model.
      ticket: Ticket of the network; None takes all tensors with two or more axes that contain zeros as prunable.
      shapes: Input -> shape of one example, without the batch.
    """
    weights = weight_arrays(model)
    size = size_of(weights, ticket)
    return {
        "weights_sha256": files.arrays_sha256(weights),
        "parameters": {
            "total": sum(value.size for value in weights.values()),
            "nonzero": sum(int(np.count_nonzero(value)) for value in weights.values()),
            "prunable": size.prunable,
            "removed": size.removed,
        },
        "bound_bytes": size.bound,
        "multiply_adds": multiply_adds(model, shapes),
    }


def multiply_adds(model: tf_keras.Model, shapes: Shapes) -> dict[str, int] | None:
    """Counts the multiply-adds of one example.

    Args:
      model: Stripped Keras model.
      shapes: Input -> shape of one example, without the batch.

    Returns:
      dense: Number that a runtime computes which does not skip zeros.
      nonzero: Number of those whose weight is not zero.
      None if the network takes several inputs, or those of a kernel are not known.
    """
    if len(shapes) > 1:
        return None
    weights = weight_arrays(model)
    positions, missing = counted_positions(model, next(iter(shapes.values())))
    if missing:
        return None
    return {
        "dense": sum(weights[name].size * times for name, times in positions.items()),
        "nonzero": sum(int(np.count_nonzero(weights[name])) * times for name, times in positions.items()),
    }


def signature_facts(source: Source) -> dict[str, Any]:
    """Describes inputs and outputs of the signature, and whether a normalization is inside."""
    serving = source.serving
    return {
        "inputs": {name: _spec(spec) for name, spec in serving.inputs(source.model).items()},
        "outputs": {name: _spec(spec) for name, spec in serving.output_specs(source.interface).items()},
        "normalized": serving.normalization is not None,
        "image_bytes": serving.image_bytes,
        "value_range": serving.value_range,
    }


def _spec(spec: tf.TensorSpec) -> dict[str, Any]:
    shape = None if spec.shape.rank is None else spec.shape.as_list()
    return {"dtype": spec.dtype.name, "shape": shape}


def form_facts(
    written: Written,
    dense: Written | None,
    verified: Mapping[str, Any],
    network: Mapping[str, Any],
    shapes: Shapes,
) -> dict[str, Any]:
    """Collects the facts about one form.

    Args:
      written: The form.
      dense: The same form of the dense reference.
      verified: Facts about the form from its verification.
      network: Facts about the network from `network_facts`.
      shapes: Input -> shape of one example, without the batch.
    """
    total = bytes_of(written.path)
    work = multiply_adds(written.model, shapes)
    weights = weight_arrays(written.model).values()
    return {
        "bytes": total,
        "times_bound": round(total / max(1, network["bound_bytes"]), 4),
        "dense_bytes": dense and bytes_of(dense.path),
        "parameters": sum(value.size for value in weights),
        "nonzero": sum(int(np.count_nonzero(value)) for value in weights),
        "multiply_adds": work and work["dense"],
        **verified,
        **written.facts,
        "kind": written.kind,
        "files": listing(written.path),
    }


def listing(path: Path) -> dict[str, dict[str, Any]]:
    """Returns size in bytes and SHA-256 of every file of a form, by relative name."""
    return {
        name: {"bytes": len(data := file.read_bytes()), "sha256": files.sha256(data)} for name, file in files_of(path)
    }


def latency(sparse: Sequence[float], dense: Sequence[float]) -> dict[str, Any]:
    """Summarizes the times of calls that took turns with calls of the dense network.

    The median of the ratios is more reliable than the ratio of the medians: on a busy machine, neighboring calls are
    slow at the same time.

    Args:
      sparse: Milliseconds of each call of the form.
      dense: Milliseconds of each call of its dense counterpart.

    Returns:
      Median milliseconds of both, the median ratio of two neighboring calls, and the ranges of the middle half of each:
      ms_range, dense_ms_range and range.
    """
    low, middle, high = _quartiles(np.divide(dense, sparse))
    sparse_low, sparse_middle, sparse_high = _quartiles(sparse)
    dense_low, dense_middle, dense_high = _quartiles(dense)
    medians = {"ms": sparse_middle, "dense_ms": dense_middle, "speedup": middle}
    spread = {"ms_range": [sparse_low, sparse_high], "dense_ms_range": [dense_low, dense_high], "range": [low, high]}
    return {**medians, **spread}


def _quartiles(values: Sequence[float] | np.ndarray) -> tuple[float, float, float]:
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    return float(low), float(middle), float(high)


def dense_partner(form: str, dense: Iterable[str]) -> str:
    """Returns the form of the dense network that a form is timed beside: float32 in the same runtime.

    Args:
      form: Name of the form.
      dense: Forms of the dense network.
    """
    wanted = re.sub("float16|int8", "float32", form) if form.startswith("tflite") else form
    return wanted if wanted in dense else form


def rounding_note(form: str, facts: Mapping[str, Any]) -> str:
    """Writes one sentence about the effect of rounded weights on the outputs; empty if none are rounded.

    Args:
      form: Name of the form.
      facts: Facts about it from `form_facts`.
    """
    values = facts.get("values", "float32")
    if values == "float32":
        return ""
    judged, on = _judged(facts)
    same = "" if judged["agreement"] is None else f", and {judged['agreement']:.1%} of {on} have the same class"
    return f"{form}: with weights rounded to {values}, outputs differ by at most {facts['max_difference']:.2g}{same}."


def int8_note(form: str, facts: Mapping[str, Any], exact: Mapping[str, Any] | None) -> str:
    """Writes one sentence about what 8 bits do to the classes.

    Args:
      form: Name of the form.
      facts: Facts about it from `form_facts`.
      exact: Facts about the float32 file; None if there is none.
    """
    judged, on = _judged(facts)
    same = f"{form}: {judged['agreement']:.1%} of {on} have the same class as in the Keras model"
    if judged["accuracy"] is None:
        return f"{same}."
    beside = "" if exact is None else f", and {_judged(exact)[0]['accuracy']:.2%} in float32"
    return f"{same}; the accuracy is {judged['accuracy']:.2%}{beside}."


def _judged(facts: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """Returns accuracy and agreement of a form on validation examples where there are any, and the examples' name."""
    judged = facts.get("validation")
    return (facts, "the examples") if judged is None else (judged, f"{judged['images']:,} {judged['on']}")


def agreement_of(facts: Mapping[str, Any]) -> tuple[float, str]:
    """Returns the fraction of examples with the same class as in the Keras model, and the name of these examples."""
    judged, on = _judged(facts)
    return judged["agreement"], on


def int8_error_note(form: str, error: float, exact: float | None) -> str:
    """Writes one sentence about what 8 bits do to the predictions of a regression.

    Args:
      form: Name of the form.
      error: Mean squared error of the form.
      exact: Mean squared error of the float32 file on the same examples; None if it is not known.
    """
    beside = "" if exact is None else f", and {MSE.text(exact)} in float32"
    return f"{form}: the mean squared error is {MSE.text(error)}{beside}."


def speed_note(form: str, measured: Mapping[str, Mapping[str, Any]], skips_zeros: bool, beside: str) -> str:
    """Writes one sentence about the measured speed-up.

    Args:
      form: Name of the form.
      measured: Batch size -> summary from `latency`.
      skips_zeros: Whether the form has fewer weights than the dense network, or a runtime that skips zeros.
      beside: Form of the dense network that it was timed beside.
    """
    dense = "the dense network in the same form" if beside == form else f"the dense network as {beside}"
    verdicts = {batch: verdict(times) for batch, times in measured.items()}
    ratios = ", ".join(
        f"{times['speedup']:.2f}x at batch {batch}{' (slower)' if verdicts[batch] == 'slower' else ''}"
        for batch, times in measured.items()
    )
    if "faster" in verdicts.values():
        return f"{form}: compared with {dense}, the speed is {ratios}."
    reason = "" if skips_zeros else "; zeros are multiplied like any other number"
    outcome = "this form is slower here" if "slower" in verdicts.values() else "sparsity brings no speed here"
    return f"{form}: {outcome} ({ratios}, compared with {dense}){reason}."


def size_note(report: Mapping[str, Any]) -> str:
    """Writes one sentence on what the form packed would save; empty if there is nothing to say.

    Args:
      report: Content of export.json.
    """
    total, bound = 4 * report["parameters"]["total"], report["bound_bytes"]
    if "plain" not in report["forms"] or "packed" in report["forms"] or bound > WORTH_PACKING * total:
        return ""
    return (
        f"plain: zeros are stored like other numbers; with --formats=packed, the weights take about {bound:,} bytes "
        f"instead of {total:,}."
    )


def verdict(times: Mapping[str, Any]) -> str:
    """Returns faster or slower if the median says so clearly, and three of four pairs of calls agree; otherwise ""."""
    low, high = times["range"]
    if times["speedup"] >= FASTER and low > 1:
        return "faster"
    return "slower" if times["speedup"] <= 1 / FASTER and high < 1 else ""
