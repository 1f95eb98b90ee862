"""Atomic publication of an export: it appears under its name complete, or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from dlth_tf.errors import BadInput


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


def publish(staged: Path, export_dir: Path, names: Sequence[str]) -> None:
    """Moves a finished export to its final place.

    If `export_dir` does not exist, `staged` is renamed to it. Otherwise only the entries in `names` are moved and
    replace existing entries of the same names. If one of them cannot be moved, all are restored.

    Args:
      staged: Folder inside the staging folder that contains the export.
      export_dir: Final place of the export.
      names: Entries of `staged` to move if `export_dir` exists.

    Raises:
      OSError: If an entry cannot be moved.
    """
    if not export_dir.exists():
        os.replace(staged, export_dir)
        return
    replaced = staged.with_name("replaced")
    replaced.mkdir()
    with contextlib.ExitStack() as undo:
        for name in names:
            if os.path.lexists(export_dir / name):
                os.replace(export_dir / name, replaced / name)
                undo.callback(os.replace, replaced / name, export_dir / name)
            os.replace(staged / name, export_dir / name)
            undo.callback(os.replace, export_dir / name, staged / name)
        undo.pop_all()
