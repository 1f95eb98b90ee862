"""The files of a form and their sizes."""

from __future__ import annotations

from pathlib import Path


def bytes_of(path: Path) -> int:
    """Returns the total size of a form's files in bytes."""
    return sum(file.stat().st_size for _, file in files_of(path))


def files_of(path: Path) -> list[tuple[str, Path]]:
    """Returns (relative name, path) of all files of a form, which is a folder or a single file."""
    if path.is_file():
        return [(path.name, path)]
    return [(str(file.relative_to(path)), file) for file in sorted(path.rglob("*")) if file.is_file()]
