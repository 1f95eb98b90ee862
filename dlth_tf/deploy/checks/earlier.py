"""Checks of an earlier export: its files are those of its export.json, and their outputs on the probe as recorded."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from dlth_tf import files
from dlth_tf.deploy.checks import verification
from dlth_tf.deploy.checks.probe import MOST, PROBE, parse_probe
from dlth_tf.deploy.report.described import is_described
from dlth_tf.errors import BadInput
from dlth_tf.export_options import FORMATS

REPORT = "export.json"
MOST_PROBE = 2 * MOST  # bytes of probe.npz, with the headers of its arrays
CHANGED = f"not as recorded in {REPORT}: it has changed"


@dataclass(frozen=True)
class Checked:
    """The outcome of a check.

    Attributes:
      passed: One sentence for each form that is as recorded.
      failed: One sentence for each file or form that is not.
    """

    passed: tuple[str, ...]
    failed: tuple[str, ...]


def check_export(export_dir: str | os.PathLike[str]) -> Checked:
    """Compares the files of an export with their checksums and, if all are right, its outputs with those of its probe.

    A SavedModel is a program, which runs in a process of its own: the checksums show damage, not who wrote it.

    Args:
      export_dir: Folder of an export.

    Raises:
      BadInput: If it has no export.json, or that is not one of an export. Nothing has been loaded then.
    """
    folder = Path(export_dir)
    report = _report(folder)
    failed = [*_changed_files(folder, report["forms"]), *_changed_probe(folder, report["probe"])]
    if failed:
        return Checked((), tuple(failed))
    arrays = parse_probe(files.read_file(folder / PROBE, report["probe"]["bytes"])) if report["probe"] else {}
    probed = {name: facts for name, facts in report["forms"].items() if arrays and facts["probe_tolerance"] is not None}
    passed = [
        f"{name}: {_files(facts)} as recorded; there is no probe for it, so it was not run"
        for name, facts in report["forms"].items()
        if name not in probed
    ]
    for name, found in _run(folder, probed, arrays).items():
        if "left_out" in found:
            failed.append(found["left_out"])
            continue
        outputs = f"outputs differ by at most {found['max_difference']:.1g} (allowed: {found['tolerance'] or 0:.1g})"
        passed.append(f"{name}: {_files(probed[name])} as recorded; {outputs}")
    return Checked(tuple(passed), tuple(failed))


def _files(facts: Mapping[str, Any]) -> str:
    return f"{len(facts['files'])} file{'s' if len(facts['files']) > 1 else ''}"


def _run(folder: Path, forms: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """Runs forms on the probe, in one fresh process."""
    if not forms:
        return {}
    task = {
        "what": "probe",
        "threads": 0,
        "forms": [_description(folder, name, facts) for name, facts in forms.items()],
    }
    try:
        return verification.in_a_fresh_process(task, arrays)
    except RuntimeError as error:
        return {name: {"left_out": f"{name}: {error}"} for name in forms}


def _report(folder: Path) -> dict[str, Any]:
    """Reads export.json; paths in it do not leave the folder."""
    report = files.read_json_object(folder / REPORT, "check")
    forms, probe = report.get("forms"), report.get("probe")
    if not isinstance(forms, dict) or not forms or not all(_is_form(name, facts) for name, facts in forms.items()):
        raise BadInput("check", folder, f"its {REPORT} does not describe forms with their files, as this version does")
    if probe is not None and not (isinstance(probe, dict) and _is_file(probe, MOST_PROBE)):
        raise BadInput("check", folder, f"its {REPORT} does not describe its {PROBE}")
    return {"forms": forms, "probe": probe}


def _is_form(name: str, facts: Any) -> bool:
    first, *kind = name.split("/")
    if first not in FORMATS or len(kind) > 1 or not name.isprintable() or not is_described(facts):
        return False
    tolerance = facts.get("probe_tolerance")
    listed = facts.get("files")
    return (
        (tolerance is None or (isinstance(tolerance, float | int) and not isinstance(tolerance, bool)))
        and isinstance(listed, dict)
        and bool(listed)
        and all(_is_inside(path) and _is_file(file) for path, file in listed.items())
        and (facts.get("kind") == "saved_model" or (isinstance(facts.get("kind"), str) and len(listed) == 1))
    )


def _is_inside(path: str) -> bool:
    pure = PurePosixPath(path)
    return (
        path.isprintable()
        and "\\" not in path
        and not pure.is_absolute()
        and bool(pure.parts)
        and ".." not in pure.parts
    )


def _is_file(facts: Any, most: int = files.MOST_ARRAYS) -> bool:
    return (
        isinstance(facts, dict)
        and type(facts.get("bytes")) is int
        and 0 <= facts["bytes"] <= most
        and isinstance(facts.get("sha256"), str)
    )


def _changed_files(folder: Path, forms: Mapping[str, Any]) -> list[str]:
    """Sentences about files that are missing, not as recorded, or not recorded."""
    recorded = {
        f"{name.split('/')[0]}/{path}": file for name, facts in forms.items() for path, file in facts["files"].items()
    }
    failed = [f"{path}: {reason}" for path, file in recorded.items() if (reason := _difference(folder, path, file))]
    kept = dict.fromkeys(name.split("/")[0] for name in forms)
    others = [form for form in FORMATS if form not in kept and os.path.lexists(folder / form)]
    failed += [f"{form}: is not recorded in {REPORT}" for form in others]
    for first in kept:
        for place, folders, names in os.walk(folder / first):
            links = [name for name in folders if os.path.islink(os.path.join(place, name))]
            here = [os.path.relpath(os.path.join(place, name), folder) for name in (*names, *links)]
            failed += [f"{path}: is not recorded in {REPORT}" for path in sorted(here) if path not in recorded]
    return failed


def _difference(folder: Path, path: str, recorded: Mapping[str, Any]) -> str:
    place = folder
    for part in PurePosixPath(path).parts:
        place = place / part
        if files.is_link(place):
            return "a link, which is not followed"
    try:
        found = files.sha256_of(place, recorded["bytes"])
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return f"not as recorded ({error.strerror})" if error.errno != errno.EFBIG else CHANGED
    return "" if found == (recorded["bytes"], recorded["sha256"]) else CHANGED


def _changed_probe(folder: Path, probe: Mapping[str, Any] | None) -> list[str]:
    if probe is None:
        return []
    if reason := _difference(folder, PROBE, probe):
        return [f"{PROBE}: {reason}"]
    try:
        parse_probe(files.read_file(folder / PROBE, probe["bytes"]))
    except (OSError, ValueError) as error:
        return [f"{PROBE}: {error}"]
    return []


def _description(folder: Path, name: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    path = folder / name.split("/")[0]
    if facts["kind"] != "saved_model":
        path /= next(iter(facts["files"]))
    tolerance = float(facts["probe_tolerance"])
    return {"name": name, "kind": facts["kind"], "path": os.fspath(path), "tolerance": tolerance, "optional": True}
