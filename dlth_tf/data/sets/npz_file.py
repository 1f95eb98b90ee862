"""Arrays in a file: `--dataset=npz:PATH`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dlth_tf import files
from dlth_tf.data.dataset import DataSet
from dlth_tf.data.sets.arrays import PARTS, Labels, Pair, in_memory
from dlth_tf.data.targets import Targets
from dlth_tf.errors import BadInput

MOST_BYTES = 16 * 2**30
MEMBERS = (
    "must contain train_x, train_y, test_x and test_y, and may contain validation_x and validation_y; or x and y, "
    "which are divided"
)
ALIASES = {"validation": ("validation", "val", "valid"), "train": ("train",), "test": ("test",)}


def load(path: str, targets: Targets) -> DataSet:
    """Loads the arrays of an .npz file that `np.savez` wrote.

    Args:
      path: Path of the file. Its members are train_x, train_y, test_x, test_y and possibly validation_x and
        validation_y (x_train as well as train_x, val or valid as well as validation), or x and y. Others are ignored.
      targets: What the labels are taken for.

    Raises:
      BadInput: If the file cannot be read, or its members do not fit together.
    """
    name = f"npz:{path}"
    try:
        arrays = files.parse_npz(files.read_file(Path(path).expanduser(), MOST_BYTES))
    except OSError as error:
        raise BadInput("dataset", name, f"cannot be read ({error.strerror})") from None
    except (ValueError, RuntimeError) as error:
        written = "write plain arrays of numbers with np.savez, not np.savez_compressed"
        raise BadInput("dataset", name, f"{error}: {written}") from None
    return in_memory(_parts(arrays, name), Labels(name, targets))


def _parts(arrays: Mapping[str, np.ndarray], name: str) -> dict[str, Pair]:
    """Returns examples and labels by part."""
    found = {part: pair for part in PARTS if (pair := _pair(arrays, part, name)) is not None}
    if not found and {"x", "y"} <= arrays.keys():
        return {"train": (_examples(arrays["x"]), _column(arrays["y"]))}
    if not {"train", "test"} <= found.keys():
        raise BadInput("dataset", name, f"{MEMBERS}; it contains {', '.join(sorted(arrays)) or 'nothing'}")
    return found


def _pair(arrays: Mapping[str, np.ndarray], part: str, name: str) -> Pair | None:
    forms = [form for alias in ALIASES[part] for form in (f"{alias}_{{}}", f"{{}}_{alias}")]
    chosen = [form for form in forms if form.format("x") in arrays or form.format("y") in arrays]
    if not chosen:
        return None
    names = [chosen[0].format(letter) for letter in "xy"]
    missing = [member for member in names if member not in arrays]
    if missing:
        raise BadInput("dataset", name, f"{MEMBERS}; it lacks {missing[0]}")
    return _examples(arrays[names[0]]), _column(arrays[names[1]])


def _examples(array: np.ndarray) -> np.ndarray:
    """Returns examples with a channel axis for gray images, and booleans as numbers."""
    if array.dtype == np.uint8 and array.ndim == 3:
        return array[..., None]
    return array.astype(np.float32) if array.dtype.kind == "b" else array


def _column(labels: np.ndarray) -> np.ndarray:
    """Returns labels [N, 1] as [N]."""
    return labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
