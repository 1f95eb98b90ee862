"""Atomic writing: a reader sees the old file or the new one, and a set of files appears whole."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

HALF_WRITTEN = ".part"  # suffix of files that are being written, or whose process was killed while it wrote them


def write_atomic(path: str | os.PathLike[str], data: bytes | str) -> None:
    """Writes `data` to a temporary file next to `path`, flushes it to disk, and renames it to `path`.

    The file has the mode of any new file, 0o666 without the bits of the umask. A link in the place of `path` is
    replaced, and its target stays.
    """
    write_all(Path(path).parent, {Path(path).name: data})


def write_all(folder: str | os.PathLike[str], contents: Mapping[str, bytes | str]) -> None:
    """Writes several files of a folder: all are encoded and written aside before the first one gets its name.

    Args:
      folder: Existing folder.
      contents: Content by file name.

    Raises:
      OSError: If one cannot be written; all files are the old ones then, unless the folder vanished meanwhile.
    """
    encoded = {name: data.encode() if isinstance(data, str) else data for name, data in contents.items()}
    folder = Path(folder)
    with contextlib.ExitStack() as asides:
        temporary = {name: asides.enter_context(_aside(folder / name, data)) for name, data in encoded.items()}
        for name in temporary:
            if (folder / name).is_dir() and not (folder / name).is_symlink():
                raise IsADirectoryError(21, "Is a directory", str(folder / name))
        for name, path in temporary.items():
            os.replace(path, folder / name)


@contextlib.contextmanager
def _aside(path: Path, data: bytes) -> Iterator[str]:
    """Writes a temporary file next to `path`, and yields its path; deletes it if it still exists at the end."""
    temporary = str(path.with_name(f".{path.name}.{secrets.token_hex(4)}{HALF_WRITTEN}"))
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def is_half_written(path: Path) -> bool:
    """Returns whether the name is that of a temporary file of `write_atomic`."""
    return re.fullmatch(rf"\..+\.[a-z0-9_]{{8}}{re.escape(HALF_WRITTEN)}", path.name) is not None


def remove_half_written(folder: Path) -> None:
    """Deletes temporary files that killed processes left in `folder`; no other process may be writing there.

    A folder that is a link is somebody else's, and left alone.
    """
    for path in folder.iterdir() if folder.is_dir() and not folder.is_symlink() else ():
        if is_half_written(path):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
