"""Settings of the runs of a sweep: shared and differing flags, versions, commits and commands."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlth_tf import files

# Flags of a run that do not change its outcome:
WHERE_ONLY = (
    "data_dir",
    "run_dir",
    "resume",
    "checkpoint_every",
    "on_nan",
    "tensorboard",
    "verbosity",
    "export_dir",
    "shared_dir",
)


@dataclass(frozen=True)
class Settings:
    """Content of the `config.json` files of a sweep; everything is empty if no run has one.

    Attributes:
      shared: Value by flag, of the flags with the same value in all runs.
      differing: Values by flag as one text, of the flags with several values.
      versions: Version by package; several versions are separated by commas.
      commits: Git commits of the code that ran.
      commands: Command lines that started the runs.
      test_images: Number of test images; None if it is unknown or differs between runs.
      classes: Number of classes; None if it is unknown or differs between runs.
    """

    shared: Mapping[str, str]
    differing: Mapping[str, str]
    versions: Mapping[str, str]
    commits: tuple[str, ...]
    commands: tuple[str, ...]
    test_images: int | None
    classes: int | None = None


def read_settings(root: str | os.PathLike[str], run_dirs: Iterable[str]) -> Settings:
    """Reads `config.json` of the named runs; if a run has none, the numbers of test images and classes are unknown.

    Args:
      root: Directory of the sweep.
      run_dirs: Directories of the runs, relative to `root`.

    Raises:
      BadInput: If a `config.json` exists but is not a JSON object.
    """
    root = Path(root)
    documents = [_document(root, root / name / "config.json") for name in run_dirs]
    flags = _merge(_part(document, "config") for document in documents)
    versions = _merge(_part(document, "versions") for document in documents)
    images = {_test_images(document) for document in documents}
    classes = {_classes(document) for document in documents}
    return Settings(
        shared={name: values[0] for name, values in flags.items() if len(values) == 1},
        differing={name: _some(values) for name, values in flags.items() if len(values) > 1},
        versions={name: _some(values) for name, values in versions.items()},
        commits=_distinct(document.get("git_commit") for document in documents),
        commands=_distinct(_command(document.get("command")) for document in documents),
        test_images=images.pop() if len(images) == 1 else None,
        classes=classes.pop() if len(classes) == 1 else None,
    )


def read_config(root: Path, run_dir: str) -> Mapping[str, Any]:
    """Returns the flags of a run as its `config.json` records them; empty if it has none.

    Args:
      root: Directory of the sweep.
      run_dir: Directory of the run, relative to `root`.

    Raises:
      BadInput: If the file exists but is not a JSON object.
    """
    return _part(_document(root, root / run_dir / "config.json"), "config")


def read_data_digest(root: Path, run_dir: str) -> str | None:
    """Returns the digest of the examples of a run as its `config.json` records it; None if it does not.

    Args:
      root: Directory of the sweep.
      run_dir: Directory of the run, relative to `root`.

    Raises:
      BadInput: If the file exists but is not a JSON object.
    """
    digest = _part(_document(root, root / run_dir / "config.json"), "data").get("sha256")
    return digest if isinstance(digest, str) else None


def _document(root: Path, path: Path) -> dict[str, Any]:
    return files.read_json_object(path, "sweep_dir", root) if files.exists(path) else {}


def _part(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = document.get(name)
    return part if isinstance(part, dict) else {}


def _merge(parts: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Returns the distinct values of every name, as text."""
    merged: dict[str, list[str]] = {}
    for part in parts:
        for name, value in part.items():
            text = value if isinstance(value, str) else json.dumps(value)
            if text not in merged.setdefault(name, []):
                merged[name].append(text)
    return merged


def _test_images(document: Mapping[str, Any]) -> int | None:
    examples = _part(_part(document, "data"), "examples").get("test")
    return examples if type(examples) is int and 0 < examples < 2**63 else None


def _classes(document: Mapping[str, Any]) -> int | None:
    names = _part(document, "data").get("label_names")
    return len(names) if isinstance(names, list) and names else None


def _command(words: Any) -> str | None:
    """Returns the command line as one would type it: `python -m` and the module instead of the path of its file."""
    if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
        return None
    first = Path(words[0])
    start = f"python -m dlth_tf.{first.stem}" if first.parent.name == "dlth_tf" else shlex.quote(words[0])
    return " ".join([start, *map(shlex.quote, words[1:])])


def _distinct(values: Iterable[Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if isinstance(value, str) and value))


def _some(values: list[str], most: int = 6) -> str:
    return ", ".join(values[:most]) + (f" and {len(values) - most} more" if len(values) > most else "")
