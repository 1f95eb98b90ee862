"""Exports a Keras 3 model: here on TensorFlow, in a process of its own on another backend."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from dlth_tf.deploy.report.export_result import ExportResult
from dlth_tf.errors import BadInput
from dlth_tf.masking import without_masks
from dlth_tf.masking.structure.layer_paths import all_sublayers

TIMEOUT = 3600  # seconds
REPORT = "report.json"
RAISED = (RuntimeError, TypeError, ValueError, OSError)
log = logging.getLogger("dlth_tf")
NEED_LAYERS = frozenset({"compact"})  # forms that are made from the graph of layers


def export_keras3(model: Any, export_dir: str | os.PathLike[str], **options: Any) -> dict[str, Any]:
    """Exports a Keras 3 model like `dlth_tf.export`.

    Args:
      model: Built; where it has masks, all that the ticket does not keep must be removed.
      export_dir: As in `dlth_tf.export`.
      **options: The other arguments of `dlth_tf.export`.

    Returns:
      Content of export.json.

    Raises:
      BadInput: If removed weights are not zero, or, on JAX and PyTorch, a class of the user's own is not registered or
        TensorFlow is not installed.
    """
    model = without_masks(model)
    if keras.config.backend() == "tensorflow":
        return _export_here(model, export_dir, options)
    return _export_elsewhere(model, export_dir, options)


def _export_here(model: Any, export_dir: str | os.PathLike[str], options: Mapping[str, Any]) -> dict[str, Any]:
    from dlth_tf.deploy.export import export
    from dlth_tf.deploy.given import arrays_in
    from dlth_tf.deploy.keras3.network import in_tf_keras, renamed
    from dlth_tf.deploy.keras3.translation import translated
    from dlth_tf.deploy.keras3.twins import Untranslatable
    from dlth_tf.deploy.stripped import refuse_states, warn_of_ragged_inputs

    recurrent = (layer for layer in all_sublayers(model) if isinstance(layer, keras.layers.RNN))
    refuse_states(model, [layer.name for layer in recurrent if layer.stateful])
    inputs = getattr(model, "inputs", None) or ()
    warn_of_ragged_inputs(model, [tensor.name for tensor in inputs if getattr(tensor, "ragged", False)])
    options = {**options, **arrays_in(options)}
    examples = options["examples"]
    twins: Mapping[int, Any] = {}
    try:
        translation = translated(model, examples)
        network, twins = translation.network, translation.weights
    except Untranslatable as why:
        if unmet := NEED_LAYERS.intersection(options.get("formats", ())):
            reason = f"cannot be written from layers of tf_keras: {why}"
            raise BadInput("formats", ", ".join(sorted(unmet)), reason) from None
        log.info("%s is exported as a whole, without its layers: %s", model.name, why)
        network = in_tf_keras(model, examples)
    if options.get("ticket") is not None:
        options = {**options, "ticket": renamed(options["ticket"], model, network, twins)}
    return export(network, export_dir, **options)


def _export_elsewhere(model: Any, export_dir: str | os.PathLike[str], options: Mapping[str, Any]) -> dict[str, Any]:
    """Exports in a process that loads the model on TensorFlow; the file of a model belongs to no backend."""
    if importlib.util.find_spec("tensorflow") is None:
        raise BadInput("model", model.name, "is exported by TensorFlow, which is not installed: pip install tensorflow")
    from dlth_tf.deploy.given import arrays_in

    options = {**options, **arrays_in(options)}
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model.keras")
        (Path(folder) / "options.pickle").write_bytes(pickle.dumps((os.fspath(export_dir), dict(options))))
        environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
        code = f"import sys; sys.path += {sys.path!r}; from {__name__} import export_file; export_file({folder!r})"
        ended = subprocess.run(  # noqa: S603 (this interpreter, on a folder that was made here)
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        report = Path(folder) / REPORT
        if not report.exists():
            raise RuntimeError(
                f"the process that exports on TensorFlow ended with {ended.returncode}: {ended.stderr[-2000:]}"
            )
        result = json.loads(report.read_text())
    if "unloadable" in result:
        own = {type(layer) for layer in (model, *all_sublayers(model))}
        names = sorted(kind.__name__ for kind in own if not kind.__module__.startswith("keras."))
        remedy = "register it with keras.saving.register_keras_serializable in a module that can be imported"
        what = f"{', '.join(names)} is not known there: {remedy}" if names else result["unloadable"]
        raise BadInput("model", model.name, f"cannot be built anew on TensorFlow to export it: {what}")
    for level, message in result["log"]:
        log.log(level, "%s", message)
    if "refused" in result:
        raise BadInput(*result["refused"])
    if "failed" in result:
        kind, message = result["failed"]
        raise {error.__name__: error for error in RAISED}.get(kind, RuntimeError)(message)
    return ExportResult(result["exported"])


def export_file(folder: str) -> None:
    """Exports what `export_keras3` has written to a folder, and writes the report there."""
    destination, options = pickle.loads((Path(folder) / "options.pickle").read_bytes())  # noqa: S301 (made by the parent)
    messages = _Messages()
    log.addHandler(messages)
    log.setLevel(logging.INFO)
    try:
        model = keras.saving.load_model(Path(folder) / "model.keras", compile=False)
    except (TypeError, ValueError) as error:
        result: dict[str, Any] = {"unloadable": " ".join(str(error).split())[:300]}
    else:
        try:
            result = {"exported": _export_here(model, destination, options)}
        except BadInput as refused:
            result = {"refused": [refused.thing, str(refused.value), refused.allowed]}
        except RAISED as error:
            result = {"failed": [type(error).__name__, str(error)]}
    (Path(folder) / REPORT).write_text(json.dumps({**result, "log": messages.found}))


class _Messages(logging.Handler):
    """Keeps what is logged, for the process that asked for the export."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.found: list[tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps one message."""
        self.found.append((record.levelno, record.getMessage()))
