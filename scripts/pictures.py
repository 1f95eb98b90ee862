"""Creates the pictures of docs/how_it_works.md from a run of flags/digits/demo.flags.

python scripts/pictures.py runs/demo/rst-0.98-s0
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from PIL import Image

from dlth_tf.analysis.plotting.run_plots import mask_pictures, weights_over_time
from dlth_tf.analysis.run_record import read_run

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "pictures"
COLORS = 64  # a palette of this size costs line plots nothing visible and takes a third of the space


def main(run_dir: str) -> None:
    """Writes all pictures of one run."""
    record = read_run(run_dir)
    pictures = {"transform.png": weights_over_time(record), "masks.png": mask_pictures(record)}
    FOLDER.mkdir(exist_ok=True)
    for name, picture in pictures.items():
        if picture is None:
            raise SystemExit(f"{run_dir}: no weights are removed in this run")
        Image.open(io.BytesIO(picture)).convert("RGB").quantize(COLORS).save(FOLDER / name, optimize=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python scripts/pictures.py RUN_DIR, for example runs/demo/rst-0.98-s0")
    main(sys.argv[1])
