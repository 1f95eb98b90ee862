"""The model card of an export, README.md beside export.json: origin, accuracy, size, speed, and how to load it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dlth_tf import files
from dlth_tf.analysis.names import markdown_text
from dlth_tf.deploy.report.facts import verdict
from dlth_tf.deploy.serving import MOST_PIXEL
from dlth_tf.measures import ACCURACY, MSE
from dlth_tf.version import __version__

CARD = "README.md"
MARK = "<!-- Written by dlth_tf.export, which replaces it with the export. Delete this line to keep your changes. -->"
MOST_LABELS = 100_000  # letters of the classes that are listed
HASH = "weights_sha256"
SAFE = re.compile(r"[\w./-]+", re.ASCII)


def may_write_card(folder: Path) -> bool:
    """Returns whether the folder has no README.md, or one that this package wrote."""
    path = folder / CARD
    if not files.is_link(path) and not files.exists(path):
        return True
    try:
        return files.read_file(path, files.MOST_TEXT).startswith(MARK.encode())
    except OSError:
        return False


def model_card(report: Mapping[str, Any], labels: Sequence[str] | None) -> str:
    """Writes the model card as Markdown. Text from files of a run, or of a user, is escaped.

    Args:
      report: Content of export.json.
      labels: Names of the classes; None if they are not known or not served.
    """
    parts = [MARK, "", f"# {_title(report)}", ""]
    for section in (_origin, _interface, _forms, _speed, _loading):
        parts += [*section(report), ""]
    parts += [*_labels(labels), *LICENCE]
    return "\n".join(parts).rstrip() + "\n"


LICENCE = (
    "## Licence",
    "",
    "Not known to the exporter: add that of the weights and of the data that they were trained on. The export contains "
    "operations of TensorFlow alone, and no code of dlth_tf (Apache 2.0).",
)


def _title(report: Mapping[str, Any]) -> str:
    origin = report["origin"]
    name = origin.get("model") or origin.get("keras_model") or "Network"
    return markdown_text(str(name))


def _origin(report: Mapping[str, Any]) -> Iterator[str]:
    counts = report["parameters"]
    checked = report["verification"]
    share = counts["removed"] / counts["prunable"] if counts["prunable"] else 0
    yield (
        f"{counts['nonzero']:,} of {counts['total']:,} parameters are not zero; {100 * share:.4g} % of the prunable "
        f"weights were removed. Exported by dlth_tf {__version__} with TensorFlow {checked['tensorflow']}."
    )
    yield ""
    yield "| | |"
    yield "|---|---|"
    for name, value in report["origin"].items():
        if (name, value) == (HASH, report[HASH]):
            continue  # of the run; it has a line of its own below
        yield f"| {markdown_text(str(name))} | {markdown_text(str(value))} |"
    yield f"| weights (SHA-256 of names, shapes and values) | {report[HASH]} |"
    yield f"| compared with the Keras model on | {checked['images']:,} {markdown_text(str(checked['on']))} |"
    if checked["accuracy"] is not None:
        yield f"| accuracy of the Keras model on them | {100 * checked['accuracy']:.2f} % |"
    if checked["mse"] is not None:
        yield f"| mean squared error of the Keras model on them | {MSE.text(checked['mse'])} |"


def _interface(report: Mapping[str, Any]) -> Iterator[str]:
    yield "## Inputs and outputs"
    yield ""
    yield markdown_text(report["served"]["decision"])
    yield ""
    yield "| | name | dtype | shape |"
    yield "|---|---|---|---|"
    for kind in ("inputs", "outputs"):
        for name, spec in report["served"][kind].items():
            shape = "[" + ", ".join("any" if size is None else str(size) for size in spec["shape"] or ()) + "]"
            yield f"| {kind.removesuffix('s')} | {markdown_text(name)} | {spec['dtype']} | {markdown_text(shape)} |"
    if report["served"]["normalized"]:
        yield ""
        pixels = all(spec["dtype"] == "uint8" for spec in report["served"]["inputs"].values())
        most = report["served"]["value_range"]
        taken = f"Images are taken as they are stored (0 to {most})" if pixels else "Raw values are taken"
        yield f"{taken}; the normalization of the training is inside."
        if pixels and report["served"]["image_bytes"] and most != MOST_PIXEL:
            yield f"`image_bytes` scales the pixels of files, 0 to {MOST_PIXEL}, to this range."


def _forms(report: Mapping[str, Any]) -> Iterator[str]:
    yield "## Forms"
    yield ""
    error = report["verification"]["mse"] is not None
    measure = MSE.words if error else ACCURACY.words
    yield f"| form | bytes | bytes of the dense network | {measure} | largest difference from Keras |"
    yield "|---|---|---|---|---|"
    for name, facts in report["forms"].items():
        dense = "" if facts["dense_bytes"] is None else f"{facts['dense_bytes']:,}"
        value = _error(facts) if error else _accuracy(facts)
        yield f"| {markdown_text(name)} | {facts['bytes']:,} | {dense} | {value} | {facts['max_difference']:.1g} |"
    notes = [note for facts in report["forms"].values() for note in facts["notes"]]
    if notes:
        yield ""
        yield from (f"- {markdown_text(note)}" for note in notes)


def _accuracy(facts: Mapping[str, Any]) -> str:
    return "" if facts["accuracy"] is None else f"{100 * facts['accuracy']:.2f} %"


def _error(facts: Mapping[str, Any]) -> str:
    return "" if facts.get("mse") is None else MSE.text(facts["mse"])  # a form of an earlier version has none


def _speed(report: Mapping[str, Any]) -> Iterator[str]:
    timed = {name: facts["latency"] for name, facts in report["forms"].items() if "latency" in facts}
    if not timed:
        return
    batches = list(dict.fromkeys(batch for times in timed.values() for batch in times))
    yield "## Speed"
    yield ""
    yield (
        "Median milliseconds per call on one thread of the exporting machine, and the speed-up over the dense float32 "
        "network in the same runtime."
    )
    yield ""
    yield f"| form | {' | '.join(f'batch {markdown_text(batch)}' for batch in batches)} |"
    yield "|---" * (len(batches) + 1) + "|"
    for name, times in timed.items():
        cells = (
            f"{times[b]['ms']:.3g} ({times[b]['speedup']:.2f}x{_slower(times[b])})" if b in times else ""
            for b in batches
        )
        yield f"| {markdown_text(name)} | {' | '.join(cells)} |"


def _slower(times: Mapping[str, Any]) -> str:
    return ", slower" if verdict(times) == "slower" else ""


def _loading(report: Mapping[str, Any]) -> Iterator[str]:
    yield "## Loading"
    saved = [name for name in ("packed", "compact", "plain") if name in report["forms"]]
    names = list(report["served"]["inputs"])
    argument = "**{" + ", ".join(f'"{name}": {_variable(name)}' for name in names) + "}"
    if all(name == _variable(name) for name in names):
        argument = ", ".join(f"{name}={name}" for name in names)
    given = ", ".join(f'"{name}": {_variable(name)}' for name in names)
    if saved:
        yield from _code(
            "Python, with TensorFlow alone:",
            "import tensorflow as tf",
            "",
            f'model = tf.saved_model.load("{saved[0]}")',
            f'outputs = model.signatures["serving_default"]({argument})',
        )
        yield from _code(
            "TensorFlow Serving, which wants a number for each version:",
            f"mkdir -p models/NAME && cp -r {saved[0]} models/NAME/1",
            "tensorflow_model_server --rest_api_port=8501 --model_name=NAME --model_base_path=$PWD/models/NAME",
        )
    if saved and report["served"]["image_bytes"]:
        yield from _code(
            "The same server with a JPEG or PNG file:",
            'echo \'{"signature_name": "image_bytes", "instances": [{"b64": "\'$(base64 -w0 picture.jpg)\'"}]}\' |',
            "  curl -d @- localhost:8501/v1/models/NAME:predict",
        )
    for kind, lines in RUNTIMES.items():
        if path := _file(report["forms"], kind):
            title, *code = (line.format(path=path, argument=argument, given=given) for line in lines)
            yield from _code(title, *code)
            if kind == "tflite":
                yield from ("", _instead_of_metadata(report["served"]))


def _instead_of_metadata(served: Mapping[str, Any]) -> str:
    """Says what metadata in a LiteRT file would say; the library that writes them is no longer kept up."""
    said = "The file contains no metadata. "
    if served["normalized"]:
        said += "Tools that ask for the normalization of the input get mean 0 and standard deviation 1: it is inside. "
    if "class" in served["outputs"]:
        named = "under Classes below" if "label" in served["outputs"] else "in the order of the training"
        said += f"It returns no labels: `class` counts from 0, {named}."
    return said.rstrip()


RUNTIMES = {
    "tflite": (
        "LiteRT:",
        "from ai_edge_litert.interpreter import Interpreter  # or tf.lite.Interpreter",
        "",
        'run = Interpreter("{path}").get_signature_runner("serving_default")',
        "outputs = run({argument})",
    ),
    "onnx": (
        "onnxruntime:",
        "import onnxruntime",
        "",
        'session = onnxruntime.InferenceSession("{path}")',
        "outputs = session.run(None, {{{given}}})",
    ),
}


def _variable(name: str) -> str:
    return re.sub(r"\W", "_", f"x{name}" if name[:1].isdigit() else name)


def _file(forms: Mapping[str, Any], kind: str) -> str | None:
    """The first file of a form, if its name can stand in code."""
    for name, facts in forms.items():
        first = name.split("/")[0]
        for path in facts["files"] if first.startswith(kind) else ():
            if SAFE.fullmatch(path) and path.endswith(f".{kind}"):
                return f"{first}/{path}"
    return None


def _code(title: str, *lines: str) -> Iterator[str]:
    yield from ("", title, "", *(f"    {line}" if line else "" for line in lines))


def _labels(labels: Sequence[str] | None) -> Iterator[str]:
    if labels is None:
        return
    texts = [f"{index} {markdown_text(name)}" for index, name in enumerate(labels)]
    listed = sum(end <= MOST_LABELS for end in itertools.accumulate(map(len, texts)))
    more = f" and {len(labels) - listed:,} more" if len(labels) > listed else ""
    yield from ("## Classes", "", f"{', '.join(texts[:listed])}{more}.", "")
