"""--init_weights: a user's own trained weights, read into a network before it is wrapped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tf_keras

from dlth_tf import files, masking
from dlth_tf.errors import BadInput


def load_weights(model: tf_keras.Model, path: str) -> None:
    """Reads every weight of an unwrapped model from a file; no code in it is run.

    Args:
      model: built, not wrapped.
      path: `weights.npz` as a run writes it (names as in `masking.named_weights`), or what tf_keras' `save_weights` or
        `save` wrote (.h5, .weights.h5, .keras) for a model of the same layers.

    Raises:
      BadInput: no such file, not readable, or not the weights of this model; the model may have been changed then.
    """
    if not Path(path).is_file():
        raise BadInput("init_weights", path, "there is no such file")
    try:
        if path.endswith(".npz"):
            _assign(model, files.parse_npz(Path(path).read_bytes()))
        else:
            model.load_weights(path)
    except (
        ValueError,
        OSError,
        KeyError,
        TypeError,
        AttributeError,
    ) as error:  # what tf_keras and h5py raise for foreign files
        reason = " ".join(str(error).split())[:300]
        raise BadInput("init_weights", path, f"does not hold the weights of {model.name}: {reason}") from None
    for name, variable in masking.named_weights(model).items():
        if not np.isfinite(variable.numpy()).all():
            raise BadInput("init_weights", path, f"holds numbers in {name} that are not finite")


def _assign(model: tf_keras.Model, arrays: dict[str, np.ndarray]) -> None:
    weights = masking.named_weights(model)
    different = sorted(set(weights) ^ set(arrays))
    if different:
        where = "the file" if different[0] in weights else "the model"
        raise ValueError(f"{different[0]} is missing in {where}")
    for name, variable in weights.items():
        if arrays[name].shape != tuple(variable.shape):
            raise ValueError(f"{name} has shape {list(arrays[name].shape)} there and {list(variable.shape)} here")
    for name, variable in weights.items():
        with np.errstate(over="ignore"):  # what does not fit becomes infinite, which is refused
            variable.assign(arrays[name].astype(variable.dtype.as_numpy_dtype))
