"""Folders of our own inside of a directory, and checks of paths: a link never leads a write or a deletion elsewhere."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from pathlib import Path

from dlth_tf.errors import BadInput

MOST_NAME = 255  # bytes of a part of a path, on the file systems of Linux and macOS
MOST_PATH = 4096


def is_link(path: Path) -> bool:
    """Returns whether `path` is a symbolic link, to anything or nothing."""
    return path.is_symlink()


def own_folder(path: Path, thing: str, root: str | os.PathLike[str]) -> Path:
    """Returns `path`, a folder that this package writes to and deletes from, unless a link leads elsewhere.

    Args:
      path: Folder inside of `root`.
      thing: Flag or argument that named `root`, for the error message.
      root: Directory of the run or of the sweep.

    Raises:
      BadInput: If it, or a folder in it, is a link.
    """
    name = path.name
    if path.is_symlink():
        raise BadInput(thing, root, f"its {name} is a link, which is not followed: delete it")
    for place, folders, _ in os.walk(path):
        for folder in folders:
            inner = os.path.join(place, folder)
            if os.path.islink(inner):
                inside = os.path.relpath(inner, path.parent)
                raise BadInput(thing, root, f"its {inside} is a link, which is not followed: delete it")
    return path


def remove_own(folder: Path, pattern: str) -> None:
    """Deletes the files of a folder whose whole name matches a pattern, and the folder if nothing is left in it.

    A folder that is a link is somebody else's, and left alone. Errors are ignored.

    Args:
      folder: Folder, which need not exist.
      pattern: Regular expression of the names of our own files.
    """
    if folder.is_symlink():
        return
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            if re.fullmatch(pattern, entry.name) and not entry.is_dir(follow_symlinks=False):
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)
        os.rmdir(folder)


def check_can_be_folder(thing: str, path: str | os.PathLike[str]) -> None:
    """Checks that `path` is a folder that can be written to, or can become one.

    Permissions do not say it of every file system, so a folder is made beneath the part that exists, and deleted.

    Args:
      thing: Flag or argument that named it, for the error message.
      path: The folder, which need not exist.

    Raises:
      BadInput: If it, or a part of its path, is a file, or nothing can be written there.
    """
    place = Path(path)
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    if not place.is_dir():
        what = "is" if place == Path(path) else f"is beneath {place}, which is"
        raise BadInput(thing, path, f"{what} not a folder, and must be one that can be written to")
    try:
        os.rmdir(tempfile.mkdtemp(prefix=".dlth-", dir=place))
    except OSError as error:
        raise BadInput(thing, path, f"cannot be written to ({error.strerror})") from None


def check_path(thing: str, path: str) -> str:
    """Returns `path` with the home directory in place of a leading ~, if a file system can have it.

    Raises:
      BadInput: If it is empty, contains NUL or half a letter, a part of it or the whole is too long, or it begins with
        the home of a user who does not exist.
    """
    if not path:
        raise BadInput(thing, path, "must not be empty (is a variable of the shell not set?): leave it out for none")
    try:
        expanded = str(Path(path).expanduser()) if path.startswith("~") else path
        whole = os.fsencode(expanded)
    except (ValueError, RuntimeError):
        raise BadInput(thing, path, "is not a path of this machine") from None
    if b"\0" in whole:
        raise BadInput(thing, path, "is not a path of this machine")
    if len(whole) > MOST_PATH or any(len(part) > MOST_NAME for part in whole.split(os.fsencode(os.sep))):
        raise BadInput(
            thing, path, f"must have at most {MOST_NAME} bytes between two slashes, and {MOST_PATH:,} in all"
        )
    return expanded
