"""Atomic publication of an export: it appears under its name complete, or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from dlth_tf.errors import BadInput
from dlth_tf.export_options import FORMATS


@contextlib.contextmanager
def staging_folder(export_dir: Path) -> Iterator[Path]:
    """Creates an empty folder on the same disk as `export_dir`, and deletes it with its content when the block ends.

    Args:
      export_dir: Folder in which the export will be published. It need not exist.

    Yields:
      Path of the staging folder.

    Raises:
      BadInput: If `export_dir` cannot be written to.
    """
    parent = export_dir if export_dir.exists() else export_dir.parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=parent, prefix=f".partial-{export_dir.name}-"))
    except OSError as error:
        raise BadInput("export_dir", export_dir, f"cannot be written to ({error.strerror})") from None
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def refuse_existing(export_dir: str | os.PathLike[str], formats: Sequence[str] = FORMATS) -> None:
    """Refuses to replace an existing export.

    Args:
      export_dir: Folder of the export.
      formats: Forms that must not exist yet.

    Raises:
      BadInput: If one of the forms exists.
    """
    for form in formats:
        if (Path(export_dir) / form).exists():
            allowed = f"already holds an export ({form}); --overwrite (overwrite=True) replaces it"
            raise BadInput("export_dir", export_dir, allowed)


@contextlib.contextmanager
def publishing(export_dir: Path, new: Sequence[str]) -> Iterator[Callable[..., None]]:
    """Locks the place of an export while it is published, so that of two at once one sees what the other published.

    Args:
      export_dir: Final place of the export.
      new: Forms that must not exist yet.

    Yields:
      `publish`, which moves the named entries of a finished export there, and removes others.

    Raises:
      BadInput: If one of the forms exists by now.
    """
    folder = os.open(export_dir.parent, os.O_RDONLY)  # released with the file, also if the process is killed
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        refuse_existing(export_dir, new)
        yield lambda staged, names, gone=(): publish(staged, export_dir, names, gone)
    finally:
        os.close(folder)


def publish(staged: Path, export_dir: Path, names: Sequence[str], gone: Sequence[str] = ()) -> None:
    """Moves a finished export to its final place.

    If `export_dir` does not exist, `staged` is renamed to it. Otherwise only the entries in `names` are moved and
    replace existing entries of the same names. If one of them cannot be moved, all are restored.

    Args:
      staged: Folder inside the staging folder that contains the export.
      export_dir: Final place of the export.
      names: Entries of `staged` to move if `export_dir` exists.
      gone: Other entries of `export_dir`, which are removed.

    Raises:
      OSError: If an entry cannot be moved.
    """
    if not export_dir.exists():
        os.replace(staged, export_dir)
        return
    replaced = staged.with_name("replaced")
    replaced.mkdir()
    with contextlib.ExitStack() as undo:
        for name in (*gone, *names):
            if os.path.lexists(export_dir / name):
                os.replace(export_dir / name, replaced / name)
                undo.callback(os.replace, replaced / name, export_dir / name)
        for name in names:
            os.replace(staged / name, export_dir / name)
            undo.callback(os.replace, export_dir / name, staged / name)
        undo.pop_all()
