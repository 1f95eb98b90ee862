"""Arrays in a file: their members, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dlth_tf.data import load
from dlth_tf.data.digest import digest
from dlth_tf.errors import BadInput

X = np.arange(200.0).reshape(40, 5)
Y = np.arange(40) % 2


def written(folder: Path, **arrays: np.ndarray) -> str:
    np.savez(folder / "t.npz", **arrays)
    return f"npz:{folder / 't.npz'}"


def test_x_and_y_are_divided_and_always_in_the_same_way(tmp_path: Path) -> None:
    first, second = (load(written(tmp_path, x=X, y=Y)) for _ in range(2))
    assert [len(split) for split in (first.train, first.validation, first.test)] == [29, 3, 8]
    np.testing.assert_array_equal(first.test.images, second.test.images)
    rows = np.concatenate([split.images[:, 0] for split in (first.train, first.validation, first.test)])
    np.testing.assert_array_equal(np.sort(rows), X[:, 0])


@pytest.mark.parametrize("form", ["{0}_{1}", "{1}_{0}"])
def test_members_are_named_by_part(tmp_path: Path, form: str) -> None:
    parts = {"train": 20, "val": 5, "test": 10}
    arrays = {form.format(part, "x"): X[:count] for part, count in parts.items()}
    arrays |= {form.format(part, "y"): Y[:count, None] + 7 for part, count in parts.items()}
    data = load(written(tmp_path, **arrays))
    assert [len(split) for split in (data.train, data.validation, data.test)] == [20, 5, 10]
    assert data.label_names == ("7", "8")


def test_tokens_stay_integers_and_gray_images_get_a_channel(tmp_path: Path) -> None:
    tokens = load(written(tmp_path, x=X.astype(np.int64), y=Y))
    assert (tokens.dtype, tokens.normalization) == ("int32", "none")
    gray = load(written(tmp_path, x=np.zeros((40, 6, 6), np.uint8), y=Y))
    assert gray.image_shape == (6, 6, 1)


def test_several_targets_are_regressed_at_once(tmp_path: Path) -> None:
    data = load(written(tmp_path, x=X, y=X[:, :2].astype(int)), task="regression")
    assert data.label_names == ("target_0", "target_1")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X}, "must contain train_x, train_y, test_x and test_y"),
        ({"train_x": X, "train_y": Y}, "it contains train_x, train_y"),
        ({"train_x": X, "train_y": Y, "test_x": X}, "it lacks test_y"),
        ({"x": X, "y": Y[:3]}, "its train part has 40 examples and 3 labels"),
        ({"x": X, "y": np.eye(2, dtype=int)[Y]}, "of one-hot labels take labels.argmax"),
        ({"train_x": X, "train_y": Y, "test_x": X, "test_y": Y + 1}, "of class 2, of which there are no training"),
        ({"x": X, "y": Y * 0}, "its labels are all of one class, 0, and there must be two classes or more"),
        ({"x": np.zeros((40, 3, 8, 8), np.float32), "y": Y}, "transpose"),
        ({"x": np.array(5.0), "y": Y}, "its train part has 0 examples and 40 labels"),
        ({"x": X, "y": np.array(1)}, "its train part has 40 examples and 0 labels"),
        ({"x": np.where(X == 7, np.nan, X), "y": Y}, "1 of its 200 values are not finite, the first at [1, 2]"),
        ({"x": X[:6], "y": Y[:6]}, "has 5 examples for training, too few to divide off a validation part"),
        ({"x": np.array([None] * 40), "y": Y}, "not np.savez_compressed"),
    ],
)
def test_arrays_that_cannot_be_used_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(BadInput) as refused:
        load(written(tmp_path, **arrays))
    assert message in str(refused.value) and str(refused.value).startswith("dataset=npz:")


def test_a_test_part_may_be_as_small_as_one_example_of_each_class(tmp_path: Path) -> None:
    classes = np.arange(10)
    data = load(
        written(
            tmp_path,
            train_x=X,
            train_y=np.tile(classes, 4),
            test_x=X[:10],
            test_y=classes,
            valid_x=X[:3],
            valid_y=Y[:3],
        )
    )
    assert data.num_classes == 10 and len(data.validation) == 3
    np.testing.assert_array_equal(data.test.labels, classes)


@pytest.mark.parametrize("examples", [X, X.astype(np.uint8).reshape(40, 5, 1, 1), X.astype(np.int32)])
def test_arrays_in_fortran_order_as_tables_of_pandas_have_them_are_the_same_examples(
    tmp_path: Path, examples: np.ndarray
) -> None:
    plain, turned = (load(written(tmp_path, x=given, y=Y)) for given in (examples, np.asfortranarray(examples)))
    assert digest(plain) == digest(turned)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (X[:, :, None], "its labels have the shape [40, 5, 1], and must have [N] or [N, targets]"),
        (X[:, :2] * 0 + 2.5, "its training targets are all [2.5, 2.5], which leaves nothing to predict"),
        (X[:, 0] * 1e300, "39 of its 40 values are not finite, the first at [1, 0]"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_targets_that_cannot_be_predicted_are_refused(tmp_path: Path, targets: np.ndarray, message: str) -> None:
    with pytest.raises(BadInput) as refused:
        load(written(tmp_path, x=X, y=targets), task="regression")
    assert message in str(refused.value)


def test_a_compressed_file_is_refused_with_the_way_out(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "t.npz", x=X, y=Y)
    with pytest.raises(BadInput, match=r"with np\.savez, not np\.savez_compressed"):
        load(f"npz:{tmp_path / 't.npz'}")
