"""The place of the export that belongs to a run (--export_dir): free, or already that of the same network."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from dlth_tf import deploy, files
from dlth_tf.errors import BadInput
from dlth_tf.runs.config import RunConfig

FORM = "plain"  # the form that a run writes
REPORT = "export.json"


def refuse_taken(config: RunConfig) -> None:
    """Raises BadInput unless the export of a run that is not complete yet can be written to its place."""
    place = config.export_dir
    if not place:
        return
    try:
        deploy.refuse_existing(place)
    except BadInput as refused:
        raise BadInput("export_dir", place, f"{refused.allowed.partition(';')[0]}{_remedy(config)}") from None
    if files.exists(Path(place, REPORT)):
        raise BadInput("export_dir", place, f"already holds an export ({REPORT}){_remedy(config)}")
    files.check_can_be_folder("export_dir", place)


def is_exported(config: RunConfig, result: dict[str, Any]) -> bool:
    """Returns whether the network of a complete run has been exported to its place.

    Args:
      config: Configuration of the run, with an `export_dir`.
      result: Content of its result.json.

    Raises:
      BadInput: If something else is there.
    """
    place = Path(str(config.export_dir))
    if not files.exists(place / REPORT):
        if files.exists(place / FORM):
            raise BadInput("export_dir", place, f"already holds an export ({FORM}) without {REPORT}{_remedy(config)}")
        return False
    report = files.read_json_object(place / REPORT, "export_dir", place)
    origin = report.get("origin")
    origin = origin if isinstance(origin, dict) else {}
    if origin.get("weights_sha256") != result["weights_sha256"]:
        whose = f"that of {origin['run_dir']}" if "run_dir" in origin else "that of another network"
        raise BadInput("export_dir", place, f"already holds an export, {whose}{_remedy(config)}")
    forms = report.get("forms")
    return isinstance(forms, dict) and FORM in forms and files.exists(place / FORM)


def _remedy(config: RunConfig) -> str:
    words = ["python", "-m", "dlth_tf.export", f"--run_dir={config.run_dir}", f"--export_dir={config.export_dir}"]
    return f": name another directory, or replace it once the run is complete by {shlex.join([*words, '--overwrite'])}"
