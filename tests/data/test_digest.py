"""The digest of a data set: equal for the same examples wherever they lie, another one if any of them has changed."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from dlth_tf.data import DataSet, DiskSplit, Split, digest, load
from dlth_tf.data.disk_split import ImageRecords
from tests.data.conftest import random_dataset
from tests.data.sets.test_folder import folder
from tests.data.test_tfrecord_index import example, opened, shard


def changed(data: DataSet, part: str, what: str) -> DataSet:
    split = getattr(data, part)
    array = getattr(split, what).copy()
    array[-1] = array[-1] + 1 if what == "images" else (array[-1] + 1) % data.num_classes
    return dataclasses.replace(data, **{part: dataclasses.replace(split, **{what: array})})


@pytest.mark.parametrize("part", ["train", "validation", "test"])
@pytest.mark.parametrize("what", ["images", "labels"])
def test_one_value_of_any_part_changes_it(part: str, what: str) -> None:
    data = random_dataset(value_range=256)
    assert digest(changed(data, part, what)) != digest(data)


def test_it_tells_order_and_dtype_and_not_the_layout_in_memory() -> None:
    data = random_dataset()
    turned = Split(data.train.images[::-1], data.train.labels[::-1])
    assert digest(dataclasses.replace(data, train=turned)) != digest(data)
    other_layout = Split(np.asfortranarray(data.train.images), data.train.labels)
    assert digest(dataclasses.replace(data, train=other_layout)) == digest(data)
    numbers = {
        part: Split(getattr(data, part).images.astype(np.int32), getattr(data, part).labels)
        for part in ("train", "validation", "test")
    }
    assert digest(dataclasses.replace(data, **numbers)) != digest(data)


def test_pictures_of_a_folder_count_by_name_and_class_wherever_it_lies(tmp_path: Path) -> None:
    place = folder(tmp_path / "a", train=12, test=3)
    before = digest(load(f"folder:{place}@8"))
    moved = shutil.copytree(place, tmp_path / "moved")
    assert digest(load(f"folder:{moved}@8")) == before
    assert digest(load(f"folder:{moved}@16")) != before
    first = sorted(path for path in Path(moved).rglob("*") if path.is_file())[0]
    first.rename(first.with_stem("renamed"))
    assert digest(load(f"folder:{moved}@8")) != before


@pytest.mark.parametrize("lengths", [(3, 4), (4, 3)])
def test_pictures_in_shards_count_by_their_places(lengths: tuple[int, int], tmp_path: Path) -> None:
    def records(name: str, pixels: tuple[int, ...]) -> DataSet:
        (tmp_path / name).mkdir()
        index = opened([shard(tmp_path / name / "x", [example(0, n) for n in pixels])], tmp_path / name / "index")
        split = DiskSplit(ImageRecords(index, "image"), np.arange(len(index)), index.label, (8, 8, 3))
        return DataSet("mine", split, split, split, ("a",))

    assert digest(records("first", (3, 4))) == digest(records("copy", (3, 4)))
    assert (digest(records("other", lengths)) == digest(records("again", (3, 4)))) == (lengths == (3, 4))
