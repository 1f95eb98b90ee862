"""Tables: `--dataset=csv:PATH`, with a column of labels and columns of numbers."""

from __future__ import annotations

import io
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


def load(path: str, targets: Targets) -> DataSet:
    """Loads a CSV file with a header, whose features are all its columns of numbers but that of the labels.

    Args:
      path: Path of the file.
      targets: What the labels are taken for, and their column: if None, `label` if there is one, else the last.

    Raises:
      BadInput: If the file cannot be read, a feature is not a finite number in some row, or there is no such column.
    """
    name = f"csv:{path}"
    table = _table(path, name)
    columns = [str(column) for column in table.columns]
    label = _label_column(columns, targets.column)
    unnamed = [column for column in columns if column.startswith("Unnamed: ")]
    if unnamed:
        raise BadInput("dataset", name, "has a column without a name: name it, or write the file with index=False")
    features = [column for column in columns if column != label]
    if not features:
        raise BadInput("dataset", name, f"must have columns besides that of the labels, {label}")
    for column in columns:
        _check_column(table[column], column, name, is_label=column == label)
    examples = table[features].to_numpy(np.float32)
    if not np.isfinite(examples).all():
        row, place = np.argwhere(~np.isfinite(examples))[0]
        raise BadInput("dataset", name, f"its column {features[place]} is not finite in row {row + 1}")
    labels = Labels(name, targets, (label,))
    return in_memory({"train": (examples, _labels(table[label]))}, labels, tuple(features))


def _table(path: str, name: str) -> pd.DataFrame:
    try:
        data = files.read_file(Path(path).expanduser(), MOST_BYTES)
        if len(data.partition(b"\n")[0]) > MOST_HEADER:
            raise ValueError(f"its first line has more than {MOST_HEADER:,} bytes")
        table = pd.read_csv(io.BytesIO(data))
    except OSError as error:
        raise BadInput("dataset", name, f"cannot be read ({error.strerror})") from None
    except (ValueError, OverflowError) as error:  # errors of pandas' parser, and of texts that are not UTF-8
        raise BadInput("dataset", name, f"is not a CSV file: {' '.join(str(error).split())[:200]}") from None
    if table.empty:
        raise BadInput("dataset", name, "must have a header and rows")
    return table


def _label_column(columns: list[str], wanted: str | None) -> str:
    if wanted is None:
        return LABEL if LABEL in columns else columns[-1]
    if wanted not in columns:
        raise BadInput("label_column", wanted, unknown("column", wanted, columns))
    return wanted


def _check_column(values: pd.Series, column: str, name: str, is_label: bool) -> None:
    missing = int(values.isna().sum())
    if missing:
        raise BadInput("dataset", name, f"its column {column} has no value in {missing:,} of {len(values):,} rows")
    if is_label or pd.api.types.is_numeric_dtype(values):
        return
    texts = np.flatnonzero(pd.to_numeric(values, errors="coerce").isna())
    if len(texts):
        example = f"{str(values.iloc[texts[0]])[:40]!r} in row {texts[0] + 1}"
        encode = "encode it as numbers first, for example by pandas.get_dummies"
        raise BadInput("dataset", name, f"its column {column} contains text ({example}): {encode}")


def _labels(values: pd.Series) -> np.ndarray:
    """Returns labels as numbers, or as an array of texts."""
    if pd.api.types.is_bool_dtype(values):
        return values.to_numpy(np.int64)
    if pd.api.types.is_numeric_dtype(values):
        return values.to_numpy()
    return values.astype(str).to_numpy(dtype=np.str_)
