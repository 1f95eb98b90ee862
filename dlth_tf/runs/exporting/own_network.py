"""network.json: what a run directory holds of a network of the user's own, so that it can be exported elsewhere."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import tf_keras

from dlth_tf import files
from dlth_tf.errors import BadInput
from dlth_tf.masking.keras2.graph import is_graph_network
from dlth_tf.registry import NoModule, is_path
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.directory import RunDirectory

log = logging.getLogger("dlth_tf")


def save_own_network(config: RunConfig, model: tf_keras.Model, directory: RunDirectory) -> None:
    """Writes network.json if the network of a run is the user's own.

    It contains the dotted path, the folder of its module, and Keras' configuration of the layers, null for a network
    that has none.

    Args:
      config: Configuration of the run.
      model: Stripped Keras model.
      directory: The run directory.
    """
    if is_path(config.model):
        facts = {"model": config.model, "folder": _folder(config.model), "keras": keras_config(model)}
        files.write_json(directory.network, facts)


def keras_config(model: tf_keras.Model) -> dict[str, Any] | None:
    """Returns Keras' configuration of a model as plain JSON, None if it has none or one that could not be read."""
    if not is_graph_network(model) and type(model).get_config is tf_keras.Model.get_config:
        return None  # Keras would only note the name of the class
    try:
        with warnings.catch_warnings(action="ignore"):  # a lambda is only loaded under --trust_run
            config = tf_keras.saving.serialize_keras_object(model)
        config.pop("compile_config", None)
        text = json.dumps({"keras": config}, indent=2, allow_nan=False)
        return files.parse_json(text)["keras"] if len(text) < files.MOST_JSON / 2 else None
    except Exception:  # also errors of a get_config of the user's own, which must not end a run that is complete
        return None


def _folder(path: str) -> str | None:
    """Returns the folder that holds the module of a dotted path."""
    name = path.partition(":")[0]
    file = getattr(sys.modules.get(name), "__file__", None)
    if not file:
        return None
    place = Path(file).resolve()
    levels = name.count(".") + (place.name == "__init__.py")
    return str(place.parents[levels]) if levels < len(place.parents) else None


def load_own_network(directory: RunDirectory, missing: NoModule, trusted: bool) -> tf_keras.Model:
    """Builds a network from network.json, with any weights, where its module is not on the search path.

    Args:
      directory: The run directory.
      missing: Error of the import of the module.
      trusted: Whether code in the run directory may run: the configuration may contain lambdas, and name any class.

    Raises:
      BadInput: If there is no network.json (`missing` itself), it is not one of this network, has no configuration,
        is not trusted, or Keras cannot build its layers.
    """
    if not files.exists(directory.network):
        raise missing
    facts = files.read_json_object(directory.network, "run_dir")
    fits = "keras" in facts and isinstance(facts["keras"], dict | None)
    if facts.get("model") != missing.value or not fits:
        raise BadInput("run_dir", directory.path, f"its network.json is not that of --model={missing.value}")
    folder = facts.get("folder")
    was = f"; when the run was trained, it was {folder}" if isinstance(folder, str) else ""
    if facts["keras"] is None:
        raise NoModule(missing.thing, missing.value, f"{missing.allowed}{was}")
    if not trusted:
        hint = "with --trust_run, the layers in the run's network.json are used instead"
        raise NoModule(missing.thing, missing.value, f"{missing.allowed}{was}; {hint}")
    log.info("the network is built from network.json, since --model=%s: %s", missing.value, missing.allowed)
    try:
        model = tf_keras.saving.deserialize_keras_object(facts["keras"], safe_mode=False)
    except BadInput:  # of the size of the network
        raise
    except Exception as error:  # Keras raises all kinds, also those of a class of the user's own
        reason = f"its network.json cannot be built ({_short(error)}), and {missing.allowed}{was}"
        raise BadInput("run_dir", directory.path, reason) from error
    if not isinstance(model, tf_keras.Model):
        raise BadInput("run_dir", directory.path, f"its network.json is that of a {type(model).__name__}, not a model")
    return model


def _short(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:300].rstrip(".")
