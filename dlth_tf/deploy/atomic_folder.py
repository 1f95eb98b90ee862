"""An export appears under its name at once and whole, or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from dlth_tf.errors import BadInput


@contextlib.contextmanager
def aside_of(export_dir: Path) -> Iterator[Path]:
    """An empty folder on the same disk as `export_dir`, gone with all that is left in it when the block ends.

    Raises:
      BadInput: nothing can be written there.
    """
    place = export_dir if export_dir.exists() else export_dir.parent
    try:
        place.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=place, prefix=f".partial-{export_dir.name}-"))
    except OSError as error:
        raise BadInput("export_dir", export_dir, f"cannot be written to ({error.strerror})") from None
    try:
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def put(made: Path, export_dir: Path, names: Sequence[str]) -> None:
    """Moves `made` to `export_dir`; if that exists, moves the entries `names`, and what had these names is gone then.

    If one cannot be moved, all are as they were.
    """
    if not export_dir.exists():
        os.replace(made, export_dir)
        return
    earlier = made.with_name("earlier")
    earlier.mkdir()
    with contextlib.ExitStack() as undo:
        for name in names:
            if (export_dir / name).exists():
                os.replace(export_dir / name, earlier / name)
                undo.callback(os.replace, earlier / name, export_dir / name)
            os.replace(made / name, export_dir / name)
            undo.callback(os.replace, export_dir / name, made / name)
        undo.pop_all()
