"""The forms of an earlier export in the same folder: kept if they hold the same weights, and no others."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dlth_tf import files
from dlth_tf.deploy.report.described import is_described
from dlth_tf.errors import BadInput
from dlth_tf.export_options import FORMATS


def kept_forms(export_dir: Path, report: Mapping[str, Any], formats: Sequence[str]) -> dict[str, Any]:
    """Returns the facts about existing forms that are kept and that contain the same weights.

    If the probe changes, because something else is served now, theirs is gone.

    Args:
      export_dir: Folder of the exports.
      report: Content of export.json for the forms that are written now.
      formats: These forms.
    """
    earlier = _report(export_dir)
    if earlier.get("weights_sha256") != report["weights_sha256"]:
        return {}
    gone = {} if earlier.get("probe") == report["probe"] else {"probe_tolerance": None}
    return {
        name: {**facts, **gone}
        for name, facts in earlier["forms"].items()
        if name.isprintable() and name.split("/")[0] in set(FORMATS) - set(formats) and is_described(facts)
    }


def forms_of_another(export_dir: Path, weights_sha256: str, formats: Sequence[str]) -> list[str]:
    """Returns the forms beside those that are written now which an earlier export of other weights has left.

    Args:
      export_dir: Folder of the exports.
      weights_sha256: Digest of the weights that are exported now.
      formats: Forms that are written now.
    """
    earlier = _report(export_dir)
    if earlier.get("weights_sha256") == weights_sha256:
        return []
    recorded = {name.split("/")[0] for name in earlier.get("forms", ())}
    return [form for form in FORMATS if form in recorded - set(formats) and os.path.lexists(export_dir / form)]


def refuse_another(export_dir: Path, weights_sha256: str, formats: Sequence[str]) -> None:
    """Refuses to write beside the forms of another network; see `forms_of_another`.

    Raises:
      BadInput: If there are any.
    """
    if others := forms_of_another(export_dir, weights_sha256, formats):
        allowed = f"holds {', '.join(others)} of another network (by weights_sha256 in its export.json)"
        raise BadInput("export_dir", export_dir, f"{allowed}; --overwrite (overwrite=True) removes what it holds")


def _report(export_dir: Path) -> dict[str, Any]:
    """Reads export.json, which may be somebody else's; empty if it is none."""
    try:
        report = files.read_json(export_dir / "export.json")
    except (OSError, ValueError):
        return {}
    return report if isinstance(report, dict) and isinstance(report.get("forms"), dict) else {}
