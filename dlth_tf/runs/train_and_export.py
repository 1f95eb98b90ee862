"""A whole run: its training, and the export of the trained network."""

from __future__ import annotations

from typing import Any

from dlth_tf.errors import BadInput
from dlth_tf.runs import runner
from dlth_tf.runs.config import RunConfig
from dlth_tf.runs.devices.strategies import writes
from dlth_tf.runs.export_place import is_exported
from dlth_tf.runs.exporting.export_run import export_run
from dlth_tf.runs.exporting.trust import Trust
from dlth_tf.runs.training_run import Observer, OnRow


def run(config: RunConfig, on_row: OnRow | None = None, observer: Observer | None = None) -> dict[str, Any]:
    """Runs a method from its first phase to result.json.

    A complete run directory with the same configuration is not modified: its result is returned. An export
    (`export_dir`) that is missing is written; one of another network is refused.

    Args:
      config: Configuration of the run.
      on_row: Called with every row of the history as it is added; not used with an `observer`.
      observer: Watches the run.

    Returns:
      The content of result.json.

    Raises:
      BadInput: If data, model or directory cannot be used; nothing has been written then, unless the run has come upon
        an image that cannot be read: the same command resumes it once the image is repaired.
    """
    if not isinstance(config, RunConfig):
        raise BadInput("config", config, f"must be a RunConfig, not of type {type(config).__name__}")
    return run_and_tell(config, on_row, observer)[0]


def run_and_tell(
    config: RunConfig, on_row: OnRow | None = None, observer: Observer | None = None
) -> tuple[dict[str, Any], str]:
    """Runs a method like `run`; returns the result, and in words what became of the export, nothing without one."""
    result = runner.run(config, on_row, observer)
    if not config.export_dir or not writes(config.strategy):
        return result, ""
    if is_exported(config, result):
        return result, f"already exported to {config.export_dir}"
    export_run(config.run_dir, config.export_dir, trust=Trust.of(config))
    return result, f"exported to {config.export_dir}"
