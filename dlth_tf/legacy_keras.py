"""Loads packages that choose a Keras while they are imported, and leaves the choice of the process as it was."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
from collections.abc import Callable, Iterator, MutableMapping
from types import ModuleType
from typing import Any

from dlth_tf.errors import BadInput


@contextlib.contextmanager
def tensorflow_keras_is_keras2() -> Iterator[None]:
    """Makes `tensorflow.keras` Keras 2 (tf_keras) inside the block, under all its names, and restores it afterwards.

    `tf.keras` itself is not resolved: if it was not used before, TensorFlow still decides at its first use which Keras
    it is. Inside the block `keras` cannot be imported: tf-mot tries to, and would load all of Keras 3 for nothing.
    """
    import tensorflow

    keras2 = importlib.import_module("tf_keras.api._v2.keras")  # the module that TensorFlow itself takes for Keras 2
    keras2_v1 = importlib.import_module("tf_keras.api._v1.keras")  # the same for tf.compat.v1
    with (
        _restored(os.environ, {"TF_USE_LEGACY_KERAS": "1"}),
        _restored(vars(tensorflow), {"keras": keras2}),
        _restored(vars(tensorflow.compat.v1), {"keras": keras2_v1}),
        _restored(sys.modules, {"tensorflow.keras": keras2}, lambda name: name.startswith("tensorflow.keras.")),
        _restored(sys.modules, {"keras": None}),
    ):
        yield


def import_keras_cv() -> ModuleType:
    """Imports keras-cv on Keras 2, silently; the process keeps its Keras 3, loaded or not, and the backend of that one.

    On Keras 2, keras-cv takes its operations from Keras 3 (and from keras-core) on TensorFlow. It gets its own copy of
    Keras 3, because a process has only one by that name, which may be meant for JAX or PyTorch.

    Returns:
      The module `keras_cv`, whose layers and models are those of tf_keras.

    Raises:
      BadInput: If the process has already imported keras-cv on Keras 3.
    """
    loaded = sys.modules.get("keras_cv")
    if loaded is not None:
        return _on_keras2(loaded)
    with (
        tensorflow_keras_is_keras2(),
        _restored(os.environ, {"KERAS_BACKEND": "tensorflow"}),
        _restored(sys.modules, {}, lambda name: name == "keras" or name.startswith("keras.")),
        contextlib.redirect_stdout(io.StringIO()),  # it prints its backend, and a command's output goes there
    ):
        return importlib.import_module("keras_cv")


def _on_keras2(keras_cv: ModuleType) -> ModuleType:
    """Returns the module; raises BadInput if its layers are not those of tf_keras."""
    import tf_keras

    if not issubclass(keras_cv.layers.RandAugment, tf_keras.layers.Layer):
        raise BadInput(
            "keras_cv",
            keras_cv.__version__,
            "is already imported on Keras 3 in this process, but is needed on Keras 2; set TF_USE_LEGACY_KERAS=1 "
            "before importing keras_cv, or leave its import to dlth_tf",
        )
    return keras_cv


@contextlib.contextmanager
def _restored(
    mapping: MutableMapping[str, Any], values: dict[str, Any], also: Callable[[str], bool] = lambda name: False
) -> Iterator[None]:
    """Sets `values` and removes the keys that `also` accepts; restores all of these keys after the block."""

    def concerned() -> dict[str, Any]:
        return {key: mapping[key] for key in list(mapping) if key in values or also(key)}

    before = concerned()
    for key in before:
        del mapping[key]
    mapping.update(values)
    try:
        yield
    finally:
        for key in concerned():
            del mapping[key]
        mapping.update(before)
