"""Writes the forms of an export, verifies them in a fresh process, and describes what each of them saves."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from dlth_tf.deploy.checks.dense_reference import dense_reference
from dlth_tf.deploy.checks.probe import Probe
from dlth_tf.deploy.checks.verification import measure, measure_of, verify
from dlth_tf.deploy.examples import Examples
from dlth_tf.deploy.forms import Written, write_forms
from dlth_tf.deploy.report.facts import (
    agreement_of,
    dense_partner,
    form_facts,
    int8_error_note,
    int8_note,
    latency,
    network_facts,
    rounding_note,
    signature_facts,
    speed_note,
)
from dlth_tf.deploy.serving import RAW
from dlth_tf.deploy.source import Source
from dlth_tf.errors import BadInput
from dlth_tf.export_options import ExportOptions


def write_and_verify(
    source: Source, options: ExportOptions, examples: Examples, probe: Probe | None, staging: Path
) -> dict[str, Any]:
    """Writes the forms of a network, compares them with it, and describes them beside those of the dense network.

    Args:
      source: Network without wrappers.
      options: Options of the export.
      examples: Examples on which outputs are compared.
      probe: What an export is checked with later, or None.
      staging: Folder for the forms, in `export`, and for those of the dense network, in `dense`.

    Returns:
      Content of export.json.

    Raises:
      BadInput: If the network fits no form, or a form misses `min_agreement`.
      RuntimeError: If a form gives other outputs than the network.
    """
    written = write_forms(source, options, staging / "export")
    verified, measured = verify(written, source, examples, probe, limited=options.min_agreement is not None)
    _limit_agreement(verified, written, options.min_agreement)
    failed = {name: facts for name, facts in verified.items() if "left_out" in facts}
    if len(failed) == len(written):
        raise _nothing_left(failed, source, options)
    left_out = [_leave_out(written, name, facts["left_out"]) for name, facts in failed.items()]
    with dense_reference(source.model):
        dense = write_forms(source, _for_the_dense_network(options), staging / "dense")
    inputs = examples.inputs(source.serving.inputs(source.model))
    shapes = {name: array.shape[1:] for name, array in inputs.items()}
    network = network_facts(source.model, source.ticket, shapes)
    forms = {name: form_facts(form, dense.get(name), verified[name], network, shapes) for name, form in written.items()}
    if options.measure_latency:
        _add_latency(forms, written, dense, source, inputs)
    _add_notes(forms, network["parameters"]["total"])
    next(iter(forms.values()))["notes"] += left_out + _unused_labels(source, examples)
    compared = {
        "on": examples.origin,
        "images": len(next(iter(inputs.values()))),
        **measured,
        "tensorflow": tf.__version__,
    }
    served = {"task": source.serving.task, "decision": source.decision[1], **signature_facts(source)}
    return {
        "origin": dict(source.origin or {}),
        "served": served,
        **network,
        "verification": compared,
        "probe": probe and probe.facts(),
        "forms": forms,
    }


def _limit_agreement(
    verified: Mapping[str, dict[str, Any]], written: Mapping[str, Written], least: float | None
) -> None:
    """Marks optional forms that give too many examples another class as left out.

    Raises:
      BadInput: If such a form is not optional, or the only one.
    """
    for name, facts in verified.items():
        if least is None or "left_out" in facts or agreement_of(facts)[0] >= least:
            continue
        same, on = agreement_of(facts)
        reason = f"{name}: only {same:.2%} of {on} have the same class as in the Keras model"
        if not written[name].optional or len(written) == 1:
            raise BadInput("min_agreement", least, f"is not reached by {reason}")
        facts |= {"left_out": reason, "runs": True}


def _unused_labels(source: Source, examples: Examples) -> list[str]:
    """Returns a sentence about labels that measure nothing."""
    if examples.labels is None or measure_of(source, examples) is not None:
        return []
    shapes = ", ".join(f"{name} {spec.shape.as_list()}" for name, spec in source.interface.outputs.items())
    remedy = "targets of a regression are floating-point numbers"
    return [f"The labels are not used: they are classes, and the network returns {shapes} as {RAW}; {remedy}."]


def _leave_out(written: dict[str, Written], name: str, reason: str) -> str:
    """Removes a form that failed its check, and returns a sentence about it."""
    written.pop(name).path.unlink()
    return f"{name} is left out: {reason}."


def _nothing_left(failed: Mapping[str, Any], source: Source, options: ExportOptions) -> Exception:
    """The error for forms that all failed: a limit of the runtime that does not run them, otherwise a defect."""
    if any(facts["runs"] for facts in failed.values()):
        return RuntimeError(" ".join(f"{facts['left_out']}." for facts in failed.values()))
    hint = "" if source.serving.batch else "; a fixed batch size (batch=1) helps some networks"
    reason = next(iter(failed.values()))["left_out"]
    return BadInput("formats", ", ".join(options.formats), f"cannot hold this network: {reason}{hint}")


def _for_the_dense_network(options: ExportOptions) -> ExportOptions:
    """The forms of the dense network: a LiteRT file is timed beside that in float32, whatever its own numbers are."""
    rounded = options.measure_latency and {"tflite_float16", "tflite_int8"} & set(options.formats)
    more = ["tflite_float32"] if rounded and "tflite_float32" not in options.formats else []
    return dataclasses.replace(options, formats=[*options.formats, *more])


def _add_latency(
    forms: dict[str, dict[str, Any]],
    written: Mapping[str, Written],
    dense: Mapping[str, Written],
    source: Source,
    inputs: Mapping[str, np.ndarray],
) -> None:
    partners = {name: dense_partner(name, dense) for name in written if dense_partner(name, dense) in dense}
    timed = {name: written[name] for name in partners} | {f"dense {name}": dense[name] for name in partners.values()}
    times = measure(timed, inputs, source.serving.batch)
    for name, partner in partners.items():
        forms[name]["latency_beside"] = f"dense {partner}"
        forms[name]["latency"] = {
            batch: latency(sparse, times[f"dense {partner}"][batch]) for batch, sparse in times[name].items()
        }


def _add_notes(forms: dict[str, dict[str, Any]], total: int) -> None:
    int8 = [name for name in forms if name.endswith("int8")]
    exact = forms.get("tflite/float32")
    for name, facts in forms.items():
        facts["notes"] = [note for note in (facts.pop("note", ""), rounding_note(name, facts)) if note]
        if name in int8 and facts["agreement"] is not None:
            facts["notes"].append(int8_note(name, facts, exact))
        if name in int8 and facts["mse"] is not None:
            facts["notes"].append(int8_error_note(name, facts["mse"], forms.get("tflite/float32", {}).get("mse")))
        if "latency" in facts:
            skips_zeros = facts["parameters"] < total or bool(facts.get("sparse"))
            beside = facts["latency_beside"].removeprefix("dense ")
            facts["notes"].append(speed_note(name, facts["latency"], skips_zeros, beside))
