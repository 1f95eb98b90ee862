"""The digits data set: its splits, its preparation and its license."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from dlth_tf import files
from dlth_tf.data import DataSet, load
from dlth_tf.data.sets import digits as module
from dlth_tf.errors import BadInput

SPLITS = ("train", "validation", "test")


def rows(dataset: DataSet, split: str) -> np.ndarray:
    part = getattr(dataset, split)
    return np.concatenate([part.images.reshape(len(part), -1), part.labels[:, None]], axis=1)


def test_the_splits_have_the_sizes_of_the_published_division(digits: DataSet) -> None:
    assert [len(getattr(digits, split)) for split in SPLITS] == [1097, 200, 500]
    assert (digits.image_shape, digits.num_classes, digits.value_range, digits.normalization) == (
        (8, 8, 1),
        10,
        16,
        "unit",
    )
    assert digits.train.images.max() == 16


def test_the_splits_together_are_the_original_images(digits: DataSet) -> None:
    images, labels = module.source()
    original = np.concatenate([images.reshape(1797, -1), labels[:, None]], axis=1)
    together = np.concatenate([rows(digits, split) for split in SPLITS])
    np.testing.assert_array_equal(together[np.lexsort(together.T)], original[np.lexsort(original.T)])


def test_no_image_is_in_two_splits(digits: DataSet) -> None:
    images = [{row.tobytes() for row in rows(digits, split)} for split in SPLITS]
    assert sum(map(len, images)) == len(set.union(*images)) == 1797


def test_every_split_is_stratified(digits: DataSet) -> None:
    share = np.bincount(module.source()[1]) / 1797
    for split in SPLITS:
        labels = getattr(digits, split).labels
        assert (np.abs(np.bincount(labels) - share * len(labels)) < 2).all()


def test_the_division_stays_what_it_was(digits: DataSet) -> None:
    arrays = {
        f"{split}/{part}": getattr(getattr(digits, split), part) for split in SPLITS for part in ("images", "labels")
    }
    assert files.arrays_sha256(arrays) == "caa436d7a312122a55907c2a50694f6d5e5f63a4f0b4edd28db9b0af1fb97355"


def test_tensorflow_datasets_reads_the_builder_by_its_name(digits_dir: str) -> None:
    read, info = tfds.load("digits", split="test", data_dir=digits_dir, download=False, with_info=True)
    assert len(read) == 500
    assert "CC BY 4.0" in info.description and "10.24432/C50P49" in info.citation


def test_leftovers_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    leftover = tmp_path / "digits" / "incomplete.ABCDEF_1.0.0"
    leftover.mkdir(parents=True)
    (leftover / "digits-train.tfrecord").write_bytes(b"half")
    load("digits", str(tmp_path))
    assert not leftover.exists()


def test_a_preparation_that_fails_leaves_nothing_half_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(module, "source", fails)
        patch.setattr(module, "division", lambda: {"train": np.arange(3)})
        with pytest.raises(BadInput, match="the disk is full"):
            load("digits", str(tmp_path))
    assert [path.name for path in (tmp_path / "digits").iterdir() if path.is_dir()] == []
    assert len(load("digits", str(tmp_path)).train) == 1097


def test_damaged_files_are_named(tmp_path: Path) -> None:
    load("digits", str(tmp_path))
    (file,) = (tmp_path / "digits" / "1.0.0").glob("*train*")
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(BadInput, match="its train split cannot be read; delete that directory"):
        load("digits", str(tmp_path))


def test_a_directory_that_does_not_exist_is_refused_and_not_created(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"^data_dir=.*/new: must be a directory that exists and can be read"):
        load("digits", str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_a_default_directory_that_cannot_be_written_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path / "file" / "tensorflow_datasets"))
    assert len(load("digits").train) == 1097
    assert (tmp_path / "file").is_file()


def test_the_license_of_the_images_is_next_to_them() -> None:
    text = (Path(module.__file__).parent / "digits_LICENSE.md").read_text()
    assert "Creative Commons Attribution 4.0" in text and "Alpaydin" in text and "10.24432/C50P49" in text
