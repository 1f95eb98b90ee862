"""Saved models: .keras and .h5 files and SavedModels of tf_keras, and .keras files of Keras 3, checked first."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import tf_keras
from google.protobuf.message import DecodeError
from tf_keras.protobuf import saved_metadata_pb2

from dlth_tf import files
from dlth_tf.errors import BadInput
from dlth_tf.runs.exporting.keras_configs import check_config, uncompiled
from dlth_tf.runs.exporting.network_size import check_outputs, limited_variables
from dlth_tf.runs.weights_files import INSIDE, KERAS, ROOM, check_group

CONFIG = "config.json"  # in a .keras file
METADATA = "keras_metadata.pb"  # of the SavedModels that tf_keras writes
MOST_RATIO = 64  # of what a file claims to hold to its size
KEPT = "is only loaded with --trust_run"


def load_keras_model(path: str | os.PathLike[str], trusted: bool = False) -> Any:
    """Loads a model that tf_keras or Keras 3 saved, without compiling it.

    Args:
      path: A .keras file, an HDF5 file (.h5), or the folder of a SavedModel that tf_keras wrote; or a .keras file of
        Keras 3.
      trusted: Whether layers may be Python code: lambdas, and classes of modules that the file names.

    Returns:
      A model of tf_keras, or of Keras 3.

    Raises:
      BadInput: If it cannot be read, contains code and is not trusted, or is not a model.
    """
    path = Path(path)
    try:
        written, version = _read(path)
        config = uncompiled(written) if path.suffix == KERAS else written  # others are loaded as they are
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, EOFError, zipfile.BadZipFile, DecodeError) as error:
        if isinstance(error, OSError) and error.strerror:  # h5py's own, about the content, have none
            raise BadInput("keras_model", path, f"cannot be read ({error.strerror})") from None
        raise BadInput("keras_model", path, f"is not a model that tf_keras saved ({_short(error)})") from None
    new = version.startswith("3")
    if new and path.suffix != KERAS:
        raise BadInput("keras_model", path, f"was saved by Keras {version} as HDF5: save it as .keras instead")
    if not trusted:
        try:
            check_config(config, operations=new)
        except ValueError as error:
            raise BadInput("keras_model", path, f"{error}, and {KEPT}") from None
    most = None if trusted or path.is_dir() else MOST_RATIO * files.regular_size(path) + ROOM
    keras = _keras_3(path) if new else tf_keras
    with _limited(path, most):
        try:
            with _to_load(path, written, config) as file:
                model = keras.models.load_model(os.fspath(file), compile=False, safe_mode=not trusted)
        except Exception as error:  # Keras raises all kinds, also those of a class of the user's own
            raise BadInput("keras_model", path, f"cannot be loaded ({_short(error)})") from error
    if not isinstance(model, keras.Model):
        raise BadInput("keras_model", path, f"contains a {type(model).__name__}, not a model")
    if not trusted:
        try:
            check_outputs(model)
        except ValueError as error:
            raise BadInput("keras_model", path, f"{error}, and {KEPT}") from None
    return model


@contextlib.contextmanager
def _to_load(path: Path, written: Any, config: Any) -> Iterator[Path]:
    """Yields the file, or a copy with `config` for the time being if models inside the model were compiled too."""
    if not isinstance(written, dict) or {**written, "compile_config": None} == {**config, "compile_config": None}:
        yield path  # Keras compiles nothing of it
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(copy, "w") as new:
            for name in dict.fromkeys(old.namelist()):
                with old.open(name) as source, new.open(name, "w", force_zip64=True) as target:
                    if name == CONFIG:
                        target.write(json.dumps(config).encode())
                    else:
                        shutil.copyfileobj(source, target)
        yield copy


def _keras_3(path: Path) -> Any:
    """Imports Keras 3, which must run on TensorFlow, as exports do."""
    keras = importlib.import_module("keras")
    if keras.config.backend() != "tensorflow":
        allowed = (
            f"is of Keras 3, which runs on {keras.config.backend()} here: set KERAS_BACKEND=tensorflow to export it"
        )
        raise BadInput("keras_model", path, allowed)
    return keras


def _limited(path: Path, most: int | None) -> contextlib.AbstractContextManager[None]:
    if most is None:
        return contextlib.nullcontext()
    reason = f"describes a network of more than {most:,} bytes, which its weights cannot be of, and {KEPT}"
    return limited_variables(most, BadInput("keras_model", path, reason))


def _read(path: Path) -> tuple[Any, str]:
    """Returns the configuration in a saved model, and the version of Keras that wrote it, "" if that is not known."""
    if path.is_dir():
        return _of_saved_model(path), ""
    size = files.regular_size(path)
    if path.suffix == KERAS:
        with files.open_clamped(path, files.MOST_ARRAYS) as file, zipfile.ZipFile(file) as archive:
            return _of_archive(archive, MOST_RATIO * size + ROOM)
    with h5py.File(path, "r") as file:
        check_group(file, MOST_RATIO * size + ROOM)
        text = file.attrs.get("model_config")
        if text is None:
            raise ValueError("it has no model_config, so it holds weights alone")
        return files.parse_json(text), str(_text(file.attrs.get("keras_version", "")))


def _of_archive(archive: zipfile.ZipFile, most: int) -> tuple[Any, str]:
    members = {info.filename: info.file_size for info in archive.infolist()}
    if sum(members.values()) > most:
        raise ValueError(f"its members have more than {most:,} bytes")
    if members[CONFIG] > files.MOST_JSON or members["metadata.json"] > files.MOST_JSON:
        raise ValueError(f"its configuration has more than {files.MOST_JSON:,} bytes")
    version = str(files.parse_json(archive.read("metadata.json"))["keras_version"])
    with archive.open(INSIDE) as member, h5py.File(member, "r") as file:
        check_group(file, most)
    if "model.weights.npz" in members:
        raise ValueError("it has weights of a format that tf_keras does not write")
    return files.parse_json(archive.read(CONFIG)), version


def _of_saved_model(path: Path) -> list[Any]:
    """Returns the configurations of all layers of a SavedModel; what its graph computes is not looked at."""
    for folder, _, names in os.walk(path):
        for name in names:
            files.regular_size(os.path.join(folder, name))
    if not files.exists(path / METADATA):
        raise ValueError(f"it has no {METADATA}, which tf_keras' model.save writes into a SavedModel")
    saved = saved_metadata_pb2.SavedMetadata.FromString(files.read_file(path / METADATA, files.MOST_JSON))
    return [files.parse_json(node.metadata) for node in saved.nodes]


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _short(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:300].rstrip(".")
