"""Loads packages that pick a Keras while they are imported, without changing what the user's process has."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
from collections.abc import Callable, Iterator, MutableMapping
from types import ModuleType
from typing import Any


@contextlib.contextmanager
def tensorflow_keras_is_keras2() -> Iterator[None]:
    """Makes `tensorflow.keras` Keras 2 (tf_keras) inside the block, by every name, and puts everything back after it.

    `tf.keras` itself is not touched: if nobody has used it yet, TensorFlow still decides at its first use which Keras it is.
    """
    import tensorflow

    keras2 = importlib.import_module("tf_keras.api._v2.keras")  # the module that TensorFlow itself takes for Keras 2
    with (
        _restored(os.environ, {"TF_USE_LEGACY_KERAS": "1"}),
        _restored(vars(tensorflow), {"keras": keras2}),
        _restored(sys.modules, {"tensorflow.keras": keras2}, lambda name: name.startswith("tensorflow.keras.")),
    ):
        yield


def import_keras_cv() -> ModuleType:
    """keras-cv on Keras 2, silently; the process keeps its Keras 3, loaded or not, and that one's backend.

    On Keras 2, keras-cv takes its operations from Keras 3 on TensorFlow. It gets a copy of its own, because a process has
    only one Keras 3 by name, and that one may be meant for JAX or PyTorch.
    """
    if "keras_cv" in sys.modules:
        return sys.modules["keras_cv"]
    with (
        tensorflow_keras_is_keras2(),
        _restored(os.environ, {"KERAS_BACKEND": "tensorflow"}),
        _restored(sys.modules, {}, lambda name: name == "keras" or name.startswith("keras.")),
        contextlib.redirect_stdout(io.StringIO()),  # it announces its backend where a command's output goes
    ):
        return importlib.import_module("keras_cv")


@contextlib.contextmanager
def _restored(
    mapping: MutableMapping[str, Any], values: dict[str, Any], also: Callable[[str], bool] = lambda name: False
) -> Iterator[None]:
    """Sets `values` and takes away the keys that `also` accepts; after the block, all of these are what they were."""

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
