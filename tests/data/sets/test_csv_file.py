"""Tables: what is read from a CSV file, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dlth_tf.data import load, normalization
from dlth_tf.errors import BadInput

ROWS = 60


def table() -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(random.normal(3.0, 2.0, (ROWS, 2)), columns=["a", "b"]).assign(
        kind=np.where(np.arange(ROWS) % 3, "cat", "dog"), price=random.normal(size=ROWS)
    )


def written(folder: Path, frame: pd.DataFrame, index: bool = False) -> str:
    frame.to_csv(folder / "t.csv", index=index)
    return f"csv:{folder / 't.csv'}"


def test_texts_become_classes_and_every_class_keeps_its_share(tmp_path: Path) -> None:
    data = load(written(tmp_path, table()), label_column="kind")
    assert data.label_names == ("cat", "dog") and data.feature_names == ("a", "b", "price")
    assert [len(split) for split in (data.train, data.validation, data.test)] == [44, 4, 12]
    assert np.bincount(data.test.labels).tolist() == [8, 4]


def test_the_last_column_holds_the_targets_of_a_regression(tmp_path: Path) -> None:
    data = load(written(tmp_path, table().drop(columns="kind")), task="regression")
    assert (data.task, data.label_names, data.image_shape) == ("regression", ("price",), (2,))


def test_a_column_named_label_holds_the_labels(tmp_path: Path) -> None:
    frame = table().drop(columns="price").rename(columns={"kind": "label"})[["label", "a", "b"]]
    assert load(written(tmp_path, frame)).feature_names == ("a", "b")


def test_standard_is_measured_by_column_on_the_training_part_alone(tmp_path: Path) -> None:
    data = load(written(tmp_path, table().assign(constant=0.1)), label_column="kind")
    rule = normalization(data)
    normalized = rule(data.train.images).numpy()
    np.testing.assert_allclose(normalized.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(normalized.std(0), [1, 1, 1, 0], atol=1e-6)
    assert rule.raw == "float32" and rule == type(rule).from_json(rule.to_json())


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda t: t, {"label_column": "kin"}, "label_column=kin: no such column; did you mean kind"),
        (lambda t: t.drop(columns="kind"), {}, "floating-point numbers: convert class numbers to integers, or give"),
        (lambda t: t, {}, "its column kind contains text ('dog' in row 1): encode it as numbers first"),
        (lambda t: t.assign(a=t["a"].where(t.index > 0)), {"label_column": "kind"}, "a has no value in 1 of 60 rows"),
        (
            lambda t: t.assign(a=["foo" if row == 7 else value for row, value in enumerate(t["a"])]),
            {"label_column": "kind"},
            "its column a contains text ('foo' in row 8): encode it as numbers first",
        ),
        (
            lambda t: t.assign(a=["1e3" if row < 59 else "-" for row in range(ROWS)]),
            {"label_column": "kind"},
            "its column a contains text ('-' in row 60)",
        ),
        (
            lambda t: t.assign(kind="cat"),
            {"label_column": "kind"},
            "its labels are all of one class, cat, and there must",
        ),
        (lambda t: t.assign(label=3), {}, "its labels are all of one class, 3, and there must be two classes or more"),
        (lambda t: t[:1], {"label_column": "kind"}, "has 1 example for training, too few to divide off a test part"),
        (lambda t: t.assign(a=np.inf), {"label_column": "kind"}, "its column a is not finite in row 1"),
        (lambda t: t[["kind"]], {}, "must have columns besides that of the labels, kind"),
        (lambda t: t.assign(label=range(ROWS)), {}, "have 60 different values, too many for classes"),
        (lambda t: t, {"label_column": "kind", "task": "regression"}, "needs labels that are numbers"),
        (lambda t: t[:0], {}, "must have a header and rows"),
        (lambda t: t[:3], {"label_column": "kind"}, "has 3 examples for training, too few to divide off a test part"),
    ],
)
def test_tables_that_cannot_be_used_are_refused(tmp_path: Path, change, options, message: str) -> None:
    frame = change(table())
    if "label" in frame:
        frame = frame.drop(columns=["kind"])
    with pytest.raises(BadInput) as refused:
        load(written(tmp_path, frame), **options)
    assert message in str(refused.value)


def test_a_column_without_a_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="write the file with index=False"):
        load(written(tmp_path, table(), index=True), label_column="kind")


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"a" * (2**20 + 2))
    for name in (f"csv:{tmp_path / 't.csv'}", f"csv:{tmp_path}", f"csv:{tmp_path / 'missing.csv'}"):
        with pytest.raises(BadInput, match=r"is not a CSV file|cannot be read"):
            load(name)


NUMBERS = "".join(f"{row / 8 + 0.25},{row % 7},{row % 2}\n" for row in range(ROWS))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,label,label\n" + NUMBERS, "has the name label 2 times"),
        ("a,a,label\n" + NUMBERS, "has the name a 2 times"),
        (NUMBERS.replace("\n", ".5,cat\n"), "its first line holds numbers (0.25,0,0.5, ...), and must hold the names"),
        ("5.1,cat\n4.9,dog\n" * 30, "its first line holds numbers (5.1, ...)"),
        ("a,b,label\n" + NUMBERS.replace("\n", ",\n"), "Expected 3 fields in line 2, saw 4"),
        ("b,label\n" + NUMBERS, "Expected 2 fields in line 2, saw 3"),
        (("a,b,label\n" + NUMBERS).replace(",", ";"), "labels, a;b;label: separate columns by commas"),
        (
            "a,label\n" + "1,None\n2,crack\n" * 30,
            "its column label has 'None' in row 1, which stands for a missing value",
        ),
        ("a,label\n" + "1,EU\n\n2,NA\n" * 30, "its column label has 'NA' in row 2, which stands for a missing value"),
        ("a,label\n" + "1,EU\n2,\n" * 30, "its column label has no value in 30 of 60 rows"),
        ("a,b,label\n" + NUMBERS.replace("0.25,", "1e300,", 1), "row 1 as float32: 1e+300"),
        (",".join(f"c{name}" for name in range(500)) + "\n" + "1\n" * 2000, "500 columns, and most of its 2,001 lines"),
    ],
)
def test_a_first_line_that_does_not_fit_the_rows_and_texts_for_missing_values_are_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(BadInput) as refused:
        load(f"csv:{tmp_path / 't.csv'}")
    assert message in str(refused.value)


@pytest.mark.parametrize("names", [range(5), range(1, 6), np.linspace(900, 400, 9), ["2", "x1", "1"], ["a", " a"]])
def test_columns_may_be_named_by_their_numbers_and_by_what_was_measured(tmp_path: Path, names) -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(ROWS, len(names))), columns=list(names))
    data = load(written(tmp_path, frame.assign(label=np.arange(ROWS) % 2)))
    assert data.feature_names == tuple(map(str, names)) and len(data.train) == 44


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n\n", "\r\r\n"])
def test_lines_may_end_as_on_any_system(tmp_path: Path, end: str) -> None:
    (tmp_path / "t.csv").write_text(f"a,b,c,label{end}" + f"1,2,3,0{end}4,5,6,1{end}" * 30, newline="")
    assert len(load(f"csv:{tmp_path / 't.csv'}").train) == 44


def test_labels_are_read_as_they_stand_wherever_the_first_text_is(tmp_path: Path) -> None:
    labels = [f"0{row % 3}" for row in range(300_000)] + ["none of these"] * 3
    (tmp_path / "t.csv").write_text("a,label\n" + "".join(f"1,{label}\n" for label in labels))
    assert load(f"csv:{tmp_path / 't.csv'}").label_names == ("00", "01", "02", "none of these")


def test_a_column_that_float32_rounds_is_named_in_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    seconds = 1_700_000_000 + np.arange(ROWS)
    load(written(tmp_path, table().assign(time=seconds, hours=seconds // 3600, one=1e9)), label_column="kind")
    (message,) = caplog.messages
    assert message.endswith(
        ": in column time, numbers up to 1.7e+09 differ by 17.3 (standard deviation), and float32 rounds them to steps "
        "of 128: subtract their mean first"
    )


def test_a_label_column_is_for_tables_alone() -> None:
    with pytest.raises(BadInput, match="is for csv:PATH, and the data set is digits"):
        load("digits", label_column="a")
    with pytest.raises(BadInput, match="label_column=2: must be the name of a column"):
        load("csv:table.csv", label_column=2)  # type: ignore[arg-type]
