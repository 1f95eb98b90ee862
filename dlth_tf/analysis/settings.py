"""How the runs of a sweep were set up: flags that all share, those that differ, versions, commits and commands."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlth_tf import files


@dataclass(frozen=True)
class Setup:
    """What the `config.json` files of a sweep say; everything is empty where no run has one.

    Attributes:
      shared: flag -> value that all runs have.
      differing: flag -> the values that occur, in words.
      versions: package -> version, or several.
      commits: of the code that ran.
      commands: that started the runs.
      test_images: size of the test set, if all runs say the same.
    """

    shared: Mapping[str, str]
    differing: Mapping[str, str]
    versions: Mapping[str, str]
    commits: tuple[str, ...]
    commands: tuple[str, ...]
    test_images: int | None


def read_setup(root: str | os.PathLike[str], run_dirs: Iterable[str]) -> Setup:
    """Reads `config.json` of the named runs; a run without one says nothing, and leaves the size of the test set unknown.

    Raises:
      BadInput: a `config.json` is there and is no JSON object.
    """
    root = Path(root)
    paths = [root / name / "config.json" for name in run_dirs]
    documents = [files.read_json_object(path, "sweep_dir", root) if path.exists() else {} for path in paths]
    flags = _merge(_part(document, "config") for document in documents)
    images = {_test_images(document) for document in documents}
    return Setup(
        shared={name: values[0] for name, values in flags.items() if len(values) == 1},
        differing={name: _some(values) for name, values in flags.items() if len(values) > 1},
        versions={
            name: _some(values)
            for name, values in _merge(_part(document, "versions") for document in documents).items()
        },
        commits=_distinct(document.get("git_commit") for document in documents),
        commands=_distinct(_command(document.get("command")) for document in documents),
        test_images=images.pop() if len(images) == 1 else None,
    )


def _part(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = document.get(name)
    return part if isinstance(part, dict) else {}


def _merge(parts: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Name -> the different values that it has, as text."""
    found: dict[str, list[str]] = {}
    for part in parts:
        for name, value in part.items():
            text = value if isinstance(value, str) else json.dumps(value)
            if text not in found.setdefault(name, []):
                found[name].append(text)
    return found


def _test_images(document: Mapping[str, Any]) -> int | None:
    examples = _part(_part(document, "data"), "examples").get("test")
    return examples if type(examples) is int and examples > 0 else None


def _command(words: Any) -> str | None:
    """The command line as it could be typed; how Python names a module's file is of no use to a reader."""
    if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
        return None
    first = Path(words[0])
    start = f"python -m dlth_tf.{first.stem}" if first.parent.name == "dlth_tf" else shlex.quote(words[0])
    return " ".join([start, *map(shlex.quote, words[1:])])


def _distinct(values: Iterable[Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if isinstance(value, str) and value))


def _some(values: list[str], most: int = 6) -> str:
    return ", ".join(values[:most]) + (f" and {len(values) - most} more" if len(values) > most else "")
