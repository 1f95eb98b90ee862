"""weights.npz: written at the end of a run, restored for export, and read as initial weights (--init_weights)."""

from __future__ import annotations

import os
import zipfile
import zlib

import numpy as np
import tf_keras

from dlth_tf import files, masking
from dlth_tf.errors import BadInput
from dlth_tf.runs.directory import RunDirectory
from dlth_tf.runs.exporting.own_network import save_own_network
from dlth_tf.runs.training_run import Run
from dlth_tf.runs.weights_files import check_weights_file


def save_network(run: Run) -> str:
    """Writes weights.npz, ticket.npz and, for a network of the user's own, network.json; returns the weights' digest.

    Raises:
      BadInput: If a removed weight is not zero (`masking.strip` checks).
      RuntimeError: If a weight is not finite.
    """
    model = run.network.model
    config = run.config
    # First: a subclassed model is stripped in place, and then has no ticket any more.
    ticket = masking.chosen_ticket(model, method=config.method, seed=config.seed, sparsity=config.sparsity)
    plain = masking.strip(model)
    weights = masking.weight_arrays(plain)
    for name, value in weights.items():
        if not np.isfinite(value).all():
            raise RuntimeError(f"{name} contains values that are not finite")
    if run.writes:
        save_own_network(config, plain, run.directory)
        files.write_atomic(run.directory.weights, files.npz_bytes(weights))
        ticket.save(run.directory.ticket)
    return files.arrays_sha256(weights)


def restore_weights(model: tf_keras.Model, directory: RunDirectory) -> None:
    """Restores weights.npz of a complete run into a model of the same architecture.

    Raises:
      BadInput: If the file is damaged, has other names or shapes, or does not match the digest in result.json.
    """
    variables = masking.named_weights(model)
    expected = {
        name: (tuple(variable.shape), np.dtype(variable.dtype.base_dtype.name)) for name, variable in variables.items()
    }
    try:
        weights = files.parse_npz(files.read_file(directory.weights, files.npz_limit(expected)), expected)
    except (OSError, ValueError) as error:
        raise BadInput("run_dir", directory.path, f"its weights.npz cannot be used: {error}") from None
    if files.read_json_object(directory.result, "run_dir").get("weights_sha256") != files.arrays_sha256(weights):
        raise BadInput("run_dir", directory.path, "its weights.npz does not match the digest in its result.json")
    for name, variable in variables.items():
        variable.assign(weights[name])


def load_initial_weights(model: tf_keras.Model, path: str) -> None:
    """Reads every weight of an unwrapped model from a file without executing code in it.

    Args:
      model: A built model, not wrapped.
      path: weights.npz of a run (with the names of `masking.named_weights`), or a file that tf_keras' `save_weights` or
        `save` wrote (.h5, .weights.h5, .keras) for a model with the same layers.

    Raises:
      BadInput: If the file does not exist, cannot be read, or does not fit the model, which may have been changed then.
    """
    if not files.exists(path) or os.path.isdir(path):
        raise BadInput("init_weights", path, "is a directory, not a file" if os.path.isdir(path) else "no such file")
    try:
        if path.endswith(".npz"):
            _assign(model, files.parse_npz(files.read_file(path, _npz_limit(model))))
        else:
            check_weights_file(path, model)
            model.load_weights(path)
    # These are raised by tf_keras and h5py for other files.
    except (
        ValueError,
        OSError,
        KeyError,
        TypeError,
        AttributeError,
        RuntimeError,
        MemoryError,
        EOFError,
        NotImplementedError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        if isinstance(error, OSError) and error.strerror:  # h5py's own, about the content, have none
            raise BadInput("init_weights", path, f"cannot be read ({error.strerror})") from None
        reason = " ".join(str(error).split())[:300]
        raise BadInput("init_weights", path, f"does not contain the weights of {model.name}: {reason}") from None
    for name, variable in masking.named_weights(model).items():
        if not np.isfinite(variable.numpy()).all():
            raise BadInput("init_weights", path, f"contains values in {name} that are not finite")


def _npz_limit(model: tf_keras.Model) -> int:
    """Returns the most bytes of an .npz file with the weights of a model, whatever the width of its numbers."""
    wide = np.dtype(np.float64)
    return files.npz_limit({name: (tuple(value.shape), wide) for name, value in masking.named_weights(model).items()})


def _assign(model: tf_keras.Model, arrays: dict[str, np.ndarray]) -> None:
    weights = masking.named_weights(model)
    different = sorted(set(weights) ^ set(arrays))
    if different:
        where = "the file" if different[0] in weights else "the model"
        raise ValueError(f"{different[0]} is missing in {where}")
    for name, variable in weights.items():
        if arrays[name].shape != tuple(variable.shape):
            raise ValueError(
                f"{name} has shape {list(arrays[name].shape)} in the file and {list(variable.shape)} in the model"
            )
    for name, variable in weights.items():
        with np.errstate(over="ignore"):  # a value out of range becomes infinite, and is refused later
            variable.assign(arrays[name].astype(variable.dtype.as_numpy_dtype))
