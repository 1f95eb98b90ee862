"""Tables: `--dataset=csv:PATH`, with a column of labels and columns of numbers."""

from __future__ import annotations

import contextlib
import io
import logging
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from dlth_tf import files
from dlth_tf.data.dataset import DataSet
from dlth_tf.data.sets.arrays import Labels, in_memory
from dlth_tf.data.targets import Targets
from dlth_tf.errors import BadInput
from dlth_tf.registry import unknown

MOST_BYTES = 4 * 2**30
MOST_HEADER = 2**20  # bytes of the first line: every column takes memory of its own
LABEL = "label"
STEPS = 16  # of float32 in the standard deviation of a column, below which it is a rough one
MEASURED = 8  # names that are numbers in order, such as wavelengths; so many values of a row are not by chance


def load(path: str, targets: Targets) -> DataSet:
    """Loads a CSV file with a header, whose features are all its columns of numbers but that of the labels.

    Args:
      path: Path of the file.
      targets: What the labels are taken for, and their column: if None, `label` if there is one, else the last.

    Raises:
      BadInput: If the file cannot be read, its first line does not name every column, a feature is not a finite number
        in some row, or there is no such column.
    """
    name = f"csv:{path}"
    with _reading(name):
        data = files.read_file(Path(path).expanduser(), MOST_BYTES)
        columns = _header(data)
    _check_names(columns, name)
    label = _label_column(columns, targets.column)
    features = [column for column in columns if column != label]
    _check_features(features, label, name)
    with _reading(name):
        table = pd.read_csv(io.BytesIO(data), names=columns, header=0, low_memory=False)
    if table.empty:
        raise BadInput("dataset", name, "must have a header and rows")
    for column in features:
        _check_column(table[column], column, name)
    _check_labels(table[label], label, data, name)
    with np.errstate(over="ignore"):
        examples = table[features].to_numpy(np.float32)
    if not np.isfinite(examples).all():
        row, place = np.argwhere(~np.isfinite(examples))[0]
        value = table[features[place]].iloc[row]
        raise BadInput(
            "dataset", name, f"its column {features[place]} is not finite in row {row + 1} as float32: {value}"
        )
    for column in features:
        _warn_of_rounding(table[column], column, name)
    labels = Labels(name, targets, (label,))
    return in_memory({"train": (examples, _labels(table[label]))}, labels, tuple(features))


@contextlib.contextmanager
def _reading(name: str) -> Iterator[None]:
    """Raises BadInput about the data set in place of errors of the file and of pandas' parser."""
    try:
        yield
    except OSError as error:
        raise BadInput("dataset", name, f"cannot be read ({error.strerror})") from None
    except (ValueError, OverflowError) as error:  # texts that are not UTF-8 too
        raise BadInput("dataset", name, f"is not a CSV file: {' '.join(str(error).split())[:200]}") from None


def _header(data: bytes) -> list[str]:
    """Returns the names in the first line of a table whose lines are long enough for them.

    Raises:
      ValueError: If the line is too long, the next one has more values than it has names, or lines are so short that
        the table in memory would be far larger than the file.
    """
    if len(data.partition(b"\n")[0]) > MOST_HEADER:
        raise ValueError(f"its first line has more than {MOST_HEADER:,} bytes")
    # Two lines, since pandas refuses a second one that is longer; without names it would take a column for an index.
    (columns, *_) = pd.read_csv(io.BytesIO(data), header=None, nrows=2, dtype=str, keep_default_na=False).to_numpy()
    lines = max(data.count(b"\n"), data.count(b"\r"))
    if lines * len(columns) > len(data) + len(columns):  # every value, if only an empty one, takes a byte
        raise ValueError(f"it has {len(columns):,} columns, and most of its {lines:,} lines have fewer values")
    return list(map(str, columns))


def _check_names(columns: list[str], name: str) -> None:
    if any(not column or column.startswith("Unnamed: ") for column in columns):
        raise BadInput("dataset", name, "has a column without a name: name it, or write the file with index=False")
    (twice, times), *_ = Counter(columns).most_common(1)
    if times > 1:
        allowed = f"its first line has the name {twice} {times} times, and must give every column a name of its own"
        raise BadInput("dataset", name, allowed)


def _check_features(features: list[str], label: str, name: str) -> None:
    if not features:
        separated = ": separate columns by commas" if re.search(r"[;\t|]", label) else ""
        raise BadInput("dataset", name, f"must have columns besides that of the labels, {label}{separated}")
    numbers = pd.to_numeric(pd.Series(features), errors="coerce").to_numpy(np.float64)
    counted = any(np.array_equal(numbers, np.arange(len(numbers)) + first) for first in (0, 1))
    steps = np.sign(np.diff(numbers))
    measured = len(numbers) >= MEASURED and abs(steps.sum()) == len(steps)
    if not (np.isnan(numbers).any() or counted or measured):
        example = ",".join(features[:3])
        allowed = f"its first line holds numbers ({example}, ...), and must hold the names of the columns: add a header"
        raise BadInput("dataset", name, allowed)


def _label_column(columns: list[str], wanted: str | None) -> str:
    if wanted is None:
        return LABEL if LABEL in columns else columns[-1]
    if wanted not in columns:
        raise BadInput("label_column", wanted, unknown("column", wanted, columns))
    return wanted


def _check_labels(values: pd.Series, label: str, data: bytes, name: str) -> None:
    """Raises BadInput if a label is missing, or is a text such as NA and None that pandas takes for missing."""
    missing = np.flatnonzero(values.isna())
    if not len(missing):
        return
    texts = pd.read_csv(io.BytesIO(data), usecols=[label], dtype=str, keep_default_na=False)[label]
    read = next((row for row in missing if row < len(texts) and texts.iloc[row]), None)
    if read is not None:
        text = f"{texts.iloc[read]!r} in row {read + 1}, which stands for a missing value"
        raise BadInput("dataset", name, f"its column {label} has {text}: write another name for it, or drop the row")
    _refuse_missing(values, label, name)


def _refuse_missing(values: pd.Series, column: str, name: str) -> None:
    missing = int(values.isna().sum())
    if missing:
        raise BadInput("dataset", name, f"its column {column} has no value in {missing:,} of {len(values):,} rows")


def _check_column(values: pd.Series, column: str, name: str) -> None:
    _refuse_missing(values, column, name)
    if pd.api.types.is_numeric_dtype(values):
        return
    texts = np.flatnonzero(pd.to_numeric(values, errors="coerce").isna())
    if len(texts):
        example = f"{str(values.iloc[texts[0]])[:40]!r} in row {texts[0] + 1}"
        encode = "encode it as numbers first, for example by pandas.get_dummies"
        raise BadInput("dataset", name, f"its column {column} contains text ({example}): {encode}")


def _warn_of_rounding(values: pd.Series, column: str, name: str) -> None:
    """Logs one sentence if float32 keeps less than a few steps of a column, as of times in seconds since 1970."""
    numbers = values.to_numpy(np.float64)
    largest = np.abs(numbers).max()
    step, spread = float(np.spacing(np.float32(largest))), float(numbers.std())
    if numbers.min() < numbers.max() and spread < STEPS * step:
        logging.getLogger("dlth_tf").warning(
            "%s: in column %s, numbers up to %.3g differ by %.3g (standard deviation), and float32 rounds them to "
            "steps of %.3g: subtract their mean first",
            name,
            column,
            largest,
            spread,
            step,
        )


def _labels(values: pd.Series) -> np.ndarray:
    """Returns labels as numbers, or as an array of texts."""
    if pd.api.types.is_bool_dtype(values):
        return values.to_numpy(np.int64)
    if pd.api.types.is_numeric_dtype(values):
        return values.to_numpy()
    return values.astype(str).to_numpy(dtype=np.str_)
