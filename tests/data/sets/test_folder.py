"""Folders of images: layout, classes, order, and rejected folders."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from dlth_tf.data import BatchFormat, evaluation_batches, load, normalization
from dlth_tf.errors import BadInput
from tests.data.pictures import jpeg


def folder(path: Path, **counts: int) -> str:
    """Writes pictures of two classes in several sizes; the gray value of "cat" is 0, of "dog" 200."""
    for split, count in counts.items():
        for number in range(count):
            name, gray = (("cat", 0), ("dog", 200))[number % 2]
            (path / split / name).mkdir(parents=True, exist_ok=True)
            (path / split / name / f"{number:03}.jpg").write_bytes(
                jpeg(gray, 20 + number, 30, 1 + 2 * (number % 3 > 0))
            )
    return str(path)


def test_a_folder_of_images_is_a_data_set(tmp_path: Path) -> None:
    dataset = load(f"folder:{folder(tmp_path, train=40, test=6)}@16")
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [36, 4, 6]
    assert (
        dataset.label_names == ("cat", "dog")
        and dataset.image_shape == (16, 16, 3)
        and dataset.augment == "resized_crop"
    )
    for part in (dataset.train, dataset.validation, dataset.test):
        batches = evaluation_batches(part, BatchFormat(normalization(dataset, "none")))
        for images, labels in batches.as_numpy_iterator():
            np.testing.assert_array_equal(images, np.broadcast_to(200 * labels[:, None, None, None], images.shape))
    assert np.bincount(dataset.validation.labels).tolist() == [2, 2]


@pytest.mark.parametrize(
    ("counts", "sizes"),
    [
        ({"train": 20, "validation": 4, "test": 6}, [20, 4, 6]),
        ({"train": 20, "val": 4, "test": 6}, [20, 4, 6]),
        ({"train": 20, "valid": 4, "test": 6}, [20, 4, 6]),
        ({"train": 20, "val": 4}, [18, 2, 4]),
    ],
)
def test_the_validation_folder_validates_or_tests(tmp_path: Path, counts: dict[str, int], sizes: list[int]) -> None:
    dataset = load(f"folder:{folder(tmp_path, **counts)}@8")
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == sizes


def test_the_order_does_not_depend_on_that_of_the_file_system(tmp_path: Path) -> None:
    dataset = load(f"folder:{folder(tmp_path, train=40, test=6)}@16")
    assert list(dataset.test.source.paths) == sorted(dataset.test.source.paths)


def test_the_division_depends_neither_on_where_the_folder_is_nor_on_the_size_asked_for(tmp_path: Path) -> None:
    first = load(f"folder:{folder(tmp_path / 'here', train=40, test=6)}@16")
    second = load(f"folder:{folder(tmp_path / 'there', train=40, test=6)}")
    np.testing.assert_array_equal(first.validation.indices, second.validation.indices)


def test_images_and_classes_are_those_of_tensorflow_datasets_image_folder(tmp_path: Path) -> None:
    path = folder(tmp_path, train=40, val=4, test=6, extra=2)
    (tmp_path / "train" / "cat" / "000.jpg").rename(tmp_path / "train" / "cat" / "UPPER.JPEG")
    (tmp_path / "train" / "cat" / "notes.txt").touch()
    dataset = load(f"folder:{path}")
    builder = tfds.ImageFolder(path)
    assert list(dataset.label_names) == builder.info.features["label"].names == ["cat", "dog"]
    for name, split in (("train", dataset.train), ("val", dataset.validation), ("test", dataset.test)):
        examples = tfds.as_numpy(builder.as_dataset(name, decoders={"image": tfds.decode.SkipDecoding()}))
        expected = {(example["image/filename"].decode(), int(example["label"])) for example in examples}
        paths = [split.source.paths[index] for index in split.indices]
        assert set(zip(paths, split.labels.tolist(), strict=True)) == expected


def test_hidden_files_and_folders_are_neither_images_nor_classes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = load(f"folder:{folder(tmp_path, train=40, test=6)}")
    for hidden in (".cache/train/cow", "train/.ipynb_checkpoints", "train/cat/.thumbnails"):
        (tmp_path / hidden).mkdir(parents=True)
        (tmp_path / hidden / "image.jpg").write_bytes(jpeg(9))
    for hidden in ("train/cat/._000.jpg", "train/.hidden.jpg", "train/dog/.DS_Store", "test/.DS_Store"):
        (tmp_path / hidden).write_bytes(jpeg(9))
    caplog.set_level(logging.INFO)
    dataset = load(f"folder:{tmp_path}")
    assert not caplog.messages
    assert dataset.label_names == plain.label_names == ("cat", "dog")
    for split in ("train", "validation", "test"):
        assert list(getattr(dataset, split).source.paths) == list(getattr(plain, split).source.paths)
        np.testing.assert_array_equal(getattr(dataset, split).indices, getattr(plain, split).indices)


def test_a_class_that_cannot_be_read_is_refused_and_not_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder(tmp_path, train=40, test=6)
    listdir = os.listdir

    def denied(path: Path) -> list[str]:
        if path == tmp_path / "train" / "cat":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return listdir(path)

    monkeypatch.setattr(os, "listdir", denied)
    with pytest.raises(BadInput, match=r"and cannot be read \(Permission denied\)"):
        load(f"folder:{path}")


@pytest.mark.parametrize(
    ("counts", "end"),
    [
        ({}, "it contains no folders"),
        ({"train": 20}, "it contains train"),
        ({"test": 2, "val": 2}, "it contains test, val"),
    ],
)
def test_a_folder_of_another_layout_is_refused(tmp_path: Path, counts: dict[str, int], end: str) -> None:
    with pytest.raises(BadInput, match=rf"must contain train/CLASS/\*\.jpg .*; {end}$"):
        load(f"folder:{folder(tmp_path, **counts)}")


def test_an_empty_split_and_a_missing_folder_are_refused(tmp_path: Path) -> None:
    folder(tmp_path, train=20)
    (tmp_path / "test").mkdir()
    with pytest.raises(BadInput, match="there is no image in test/CLASS"):
        load(f"folder:{tmp_path}")
    with pytest.raises(BadInput, match=r"^dataset=folder:.*/nowhere: .*No such file"):
        load(f"folder:{tmp_path}/nowhere")


FILLED = {  # entries of a folder without images -> what the warning says about them
    (): "empty",
    ("notes.txt",): "notes.txt alone",
    (".DS_Store",): ".DS_Store alone",
    ("a.gif", "b.webp", "._c.jpg"): "3 other entries",
    ("nested/1.jpg", "nested/2.jpg"): "nested alone",
}


@pytest.mark.parametrize(("entries", "contents"), FILLED.items(), ids=lambda value: str(value)[:20])
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_class_folder_without_images_is_no_class_and_one_warning_names_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, split: str, entries: tuple[str, ...], contents: str
) -> None:
    name = f"folder:{folder(tmp_path, train=40, test=6)}@8"
    plain = load(name)
    (tmp_path / split / "bird").mkdir()
    for entry in entries:
        (tmp_path / split / "bird" / entry).parent.mkdir(exist_ok=True)
        (tmp_path / split / "bird" / entry).write_bytes(jpeg(9))
    dataset = load(name)
    assert dataset.label_names == ("cat", "dog")
    np.testing.assert_array_equal(dataset.train.labels, plain.train.labels)
    end = f"with .jpg, .jpeg, .png is ignored: {tmp_path}/{split}/bird ({contents})"
    assert caplog.messages == [f"{name}: a folder without a file that ends {end}"]


def test_several_folders_without_images_are_named_in_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder(tmp_path, train=40, test=5)
    for empty in ("train/owl", "train/bird", "test/bird"):
        (tmp_path / empty).mkdir()
    assert load(f"folder:{tmp_path}@8").label_names == ("cat", "dog")
    (message,) = caplog.messages
    assert "folders without a file" in message and "are ignored: " in message
    assert [message.count(f"{tmp_path}/{empty} (empty)") for empty in ("train/owl", "train/bird", "test/bird")] == [
        1
    ] * 3


@pytest.mark.parametrize("names", [["1.webp"], ["b.GIF", "a.bmp"], ["x.jpe", "x.tif", "x.txt"]])
@pytest.mark.parametrize("split", ["train", "test"])
def test_pictures_in_other_formats_beside_images_are_left_out_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, split: str, names: list[str]
) -> None:
    name = f"folder:{folder(tmp_path, train=40, test=6)}@8"
    for picture in names:
        (tmp_path / split / "dog" / picture).write_bytes(jpeg(9))
    assert [len(part) for part in (load(name).train, load(name).test)] == [36, 6]
    pictures = sorted(set(names) - {"x.txt"})
    left_out = f"left out: {len(pictures)}, beginning with {tmp_path}/{split}/dog/{pictures[0]}"
    assert caplog.messages == [f"{name}: pictures that do not end with .jpg, .jpeg, .png are {left_out}"] * 2


@pytest.mark.parametrize("nested", [["a"], ["b", "a"], ["a/b"]])
@pytest.mark.parametrize("split", ["train", "test"])
def test_folders_inside_a_class_are_not_searched_and_a_warning_counts_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, split: str, nested: list[str]
) -> None:
    name = f"folder:{folder(tmp_path, train=40, test=6)}@8"
    for inner in (*nested, ".hidden"):
        (tmp_path / split / "dog" / inner).mkdir(parents=True)
        (tmp_path / split / "dog" / inner / "1.jpg").write_bytes(jpeg(9))
    dataset = load(name)
    assert [len(part) for part in (dataset.train, dataset.test)] == [36, 6]
    unsearched = f"not searched: {len(nested)}, beginning with {tmp_path}/{split}/dog/a"
    assert caplog.messages == [f"{name}: folders inside the folder of a class are {unsearched}"]


@pytest.mark.parametrize("split", ["test", "validation", "val"])
@pytest.mark.parametrize("empty", [False, True])
def test_a_class_without_training_images_is_refused_by_name(tmp_path: Path, split: str, empty: bool) -> None:
    folder(tmp_path, train=40, test=6, **({} if split == "test" else {split: 4}))
    (tmp_path / split / "zebra").mkdir()
    for number in range(3):
        (tmp_path / split / "zebra" / f"{number}.jpg").write_bytes(jpeg(9))
    if empty:
        (tmp_path / "train" / "zebra").mkdir()
    with pytest.raises(BadInput) as refused:
        load(f"folder:{tmp_path}")
    ending = "contains none" if empty else "does not exist"
    assert str(refused.value) == (
        f"dataset=folder:{tmp_path}: must have training images of every class; {tmp_path}/{split}/zebra contains "
        f"3 images, and {tmp_path}/train/zebra {ending}"
    )


def test_a_class_need_not_be_tested(tmp_path: Path) -> None:
    path = folder(tmp_path, train=40, test=6)
    (tmp_path / "train" / "ant").mkdir()
    for number in range(10):
        (tmp_path / "train" / "ant" / f"{number}.jpg").write_bytes(jpeg(9))
    dataset = load(f"folder:{path}@8")
    assert dataset.label_names == ("ant", "cat", "dog") and sorted(set(dataset.test.labels.tolist())) == [1, 2]


def test_links_that_lead_back_end_and_are_no_classes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    name = f"folder:{folder(tmp_path, train=40, test=6)}@8"
    plain = load(name)
    for place, target in (("train/loop", "."), ("train/up", ".."), ("train/cat/again", "."), ("loop", "."), ("x", "y")):
        (tmp_path / place).symlink_to(target)
    dataset = load(name)
    assert dataset.label_names == ("cat", "dog")
    assert list(dataset.train.source.paths) == list(plain.train.source.paths)
    empty, unsearched = caplog.messages
    assert f"{tmp_path}/train/loop (" in empty and f"{tmp_path}/train/up (" in empty
    assert unsearched.endswith(f"are not searched: 1, beginning with {tmp_path}/train/cat/again")


@pytest.mark.parametrize("place", ["train/bird", "test/bird", "train", "val"])
@pytest.mark.parametrize(("target", "why"), [("nowhere", "No such file"), ("itself", "Too many levels of symbolic")])
def test_a_link_to_nothing_where_a_folder_is_expected_is_refused_by_name(
    tmp_path: Path, place: str, target: str, why: str
) -> None:
    path = folder(tmp_path, test=6) if place == "train" else folder(tmp_path, train=40, test=6)
    (tmp_path / place).symlink_to(tmp_path / (place if target == "itself" else target))
    with pytest.raises(BadInput, match=rf"and cannot be read \({why}.*\): {tmp_path}/{place}$"):
        load(f"folder:{path}")


def test_a_class_may_be_a_link_to_a_folder_elsewhere(tmp_path: Path) -> None:
    folder(tmp_path / "elsewhere", train=20)
    path = folder(tmp_path / "here", train=20, test=6)
    (tmp_path / "here" / "train" / "zebra").symlink_to(tmp_path / "elsewhere" / "train" / "cat")
    assert load(f"folder:{path}@8").label_names == ("cat", "dog", "zebra")


def test_names_that_are_not_text_are_read(tmp_path: Path) -> None:
    folder(tmp_path, train=20, test=2)
    picture = tmp_path / "test" / "cat" / "000.jpg"
    picture.rename(os.fsdecode(os.fsencode(picture.parent) + b"/\xff.jpg"))
    dataset = load(f"folder:{tmp_path}@8")
    batches = evaluation_batches(dataset.test, BatchFormat(normalization(dataset, "none")))
    assert [labels.tolist() for _, labels in batches.as_numpy_iterator()] == [[0, 1]]


def test_too_few_images_are_refused_under_the_name_that_was_given(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=rf"^dataset=folder:{tmp_path}@8: must have 10 training images or more"):
        load(f"folder:{folder(tmp_path, train=4, test=2)}@8")
