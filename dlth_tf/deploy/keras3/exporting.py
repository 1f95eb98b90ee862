"""Exports a Keras 3 model: here on TensorFlow, in a process of its own on another backend."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from dlth_tf.errors import BadInput
from dlth_tf.masking import has_masks, strip
from dlth_tf.masking.structure.layer_paths import all_sublayers

TIMEOUT = 3600  # seconds
REPORT = "report.json"
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
    if has_masks(model):
        strip(model)
    if keras.config.backend() == "tensorflow":
        return _export_here(model, export_dir, options)
    return _export_elsewhere(model, export_dir, options)


def _export_here(model: Any, export_dir: str | os.PathLike[str], options: Mapping[str, Any]) -> dict[str, Any]:
    from dlth_tf.deploy.export import export
    from dlth_tf.deploy.keras3.network import in_tf_keras, renamed
    from dlth_tf.deploy.keras3.translation import Untranslatable, translated

    try:
        network = translated(model)
    except Untranslatable as why:
        if unmet := NEED_LAYERS.intersection(options.get("formats", ())):
            reason = f"cannot be written from layers of tf_keras: {why}"
            raise BadInput("formats", ", ".join(sorted(unmet)), reason) from None
        network = in_tf_keras(model)
    if options.get("ticket") is not None:
        options = {**options, "ticket": renamed(options["ticket"], model, network)}
    return export(network, export_dir, **options)


def _export_elsewhere(model: Any, export_dir: str | os.PathLike[str], options: Mapping[str, Any]) -> dict[str, Any]:
    """Exports in a process that loads the model on TensorFlow; the file of a model belongs to no backend."""
    if importlib.util.find_spec("tensorflow") is None:
        raise BadInput("model", model.name, "is exported by TensorFlow, which is not installed: pip install tensorflow")
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
    if "refused" in result:
        raise BadInput(*result["refused"])
    return result["exported"]


def export_file(folder: str) -> None:
    """Exports what `export_keras3` has written to a folder, and writes the report there."""
    destination, options = pickle.loads((Path(folder) / "options.pickle").read_bytes())  # noqa: S301 (made by the parent)
    try:
        model = keras.saving.load_model(Path(folder) / "model.keras", compile=False)
    except (TypeError, ValueError) as error:
        result: dict[str, Any] = {"unloadable": " ".join(str(error).split())[:300]}
    else:
        try:
            result = {"exported": _export_here(model, destination, options)}
        except BadInput as refused:
            result = {"refused": list(refused.args)}
    (Path(folder) / REPORT).write_text(json.dumps(result))
