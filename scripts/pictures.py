"""Makes the pictures of docs/how_it_works.md from a run of flags/digits/demo.flags.

python scripts/pictures.py runs/demo/rst-0.98-s0
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from PIL import Image

from dlth_tf.analysis.run_plots import mask_pictures, weights_over_time
from dlth_tf.analysis.run_record import read_run

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "pictures"
COLOURS = 64  # of a palette: line plots lose nothing, and take a third of the room


def main(run_dir: str) -> None:
    record = read_run(run_dir)
    pictures = {"transform.png": weights_over_time(record), "masks.png": mask_pictures(record)}
    FOLDER.mkdir(exist_ok=True)
    for name, picture in pictures.items():
        if picture is None:
            raise SystemExit(f"{run_dir}: nothing is removed in this run")
        Image.open(io.BytesIO(picture)).convert("RGB").quantize(COLOURS).save(FOLDER / name, optimize=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("give the directory of one run: python scripts/pictures.py runs/demo/rst-0.98-s0")
    main(sys.argv[1])
