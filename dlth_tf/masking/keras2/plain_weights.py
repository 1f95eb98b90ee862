"""Files of the plain network's weights, read into a wrapped model."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
import tensorflow as tf
import tf_keras

from dlth_tf import files
from dlth_tf.masking.keras2.weights import prunable_weights

LOAD = "load_weights"
NOT_OF_THE_NETWORK = {"optimizer", "optimizer_weights", "metrics", "compile_metrics"}


class LoadWeights:
    """The `load_weights` of a wrapped model, which also reads what the plain network has saved.

    The plain network's weights have no wrappers around them, neither in HDF5 files nor in checkpoints, so they are read
    into a plain twin that shares all variables. Weights that the masks remove stay zero.

    Args:
      model: A wrapped model.
      plain_twin: Returns the same network without wrappers, around the same variables.
    """

    def __init__(self, model: tf_keras.Model, plain_twin: Callable[[tf_keras.Model], tf_keras.Model]) -> None:
        self.model = model
        self.plain_twin = plain_twin

    def __call__(self, filepath: Any, *args: Any, **kwargs: Any) -> Any:
        """Reads the file; arguments and result are those of `tf_keras.Model.load_weights`."""
        if not is_plain(self.model, str(filepath)):
            return type(self.model).load_weights(self.model, filepath, *args, **kwargs)
        status = self.plain_twin(self.model).load_weights(filepath, *args, **kwargs)
        for entry in prunable_weights(self.model).values():
            if not entry.kept().all():
                entry.weight.assign(np.where(entry.kept(), entry.weight.numpy(), 0))
        return status


def accept_plain_weights(model: tf_keras.Model, plain_twin: Callable[[tf_keras.Model], tf_keras.Model]) -> None:
    """Has a wrapped model's `load_weights` take files of the plain network too."""
    vars(model)[LOAD] = LoadWeights(model, plain_twin)


def is_plain(model: tf_keras.Model, path: str) -> bool:
    """Returns whether a file holds weights of the network without masks and tickets."""
    if path.endswith(".keras"):
        with (
            files.open_clamped(path, files.MOST_ARRAYS) as file,
            zipfile.ZipFile(file) as archive,
            archive.open("model.weights.h5") as member,  # read in parts: a member may claim any size
        ):
            return _few(model, member)
    if path.endswith((".h5", ".hdf5")):
        return _few(model, path)
    try:
        names = [name for name, _ in tf.train.list_variables(path)]
    except (tf.errors.OpError, ValueError):
        return False  # Keras itself says what is wrong with it
    return not any("/pruning_step/" in name for name in names)  # every wrapper has one


def _few(model: tf_keras.Model, file: Any) -> bool:
    """Returns whether an HDF5 file has fewer arrays than the wrapped model: a wrapper adds at least four."""
    count = 0

    def add(name: str, item: Any) -> None:
        nonlocal count
        count += isinstance(item, h5py.Dataset) and not NOT_OF_THE_NETWORK & set(name.split("/"))

    with h5py.File(file) as content:
        content.visititems(add)
    return 0 < count < len(model.weights)
