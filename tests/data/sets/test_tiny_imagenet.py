"""Tiny ImageNet is prepared from a zip file in the official layout."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from dlth_tf.data import Split, load
from dlth_tf.errors import BadInput
from tests.data.pictures import jpeg

FOLDER = "tiny-imagenet-200"
NAMES = ("n02000000", "n01000000", "n03000000")
PER_CLASS = 10
TEST = 6


def official(path: Path, *, without: str = "") -> Path:
    """Writes a zip file in the official layout.

    The gray value of an image is 60 times its class. Every third image has one channel, as some official ones do.
    """
    entries: dict[str, bytes | str] = {"wnids.txt": "\n".join(NAMES) + "\n", "words.txt": "n01000000\ta thing\n"}
    for label, name in enumerate(NAMES):
        entries[f"train/{name}/{name}_boxes.txt"] = "box"
        for number in range(PER_CLASS):
            entries[f"train/{name}/images/{name}_{number}.JPEG"] = jpeg(
                60 * label, channels=1 if number % 3 == 0 else 3
            )
    for number in range(TEST):
        entries[f"val/images/val_{number}.JPEG"] = jpeg(60 * (number % 3))
        entries[f"test/images/test_{number}.JPEG"] = jpeg(255)
    entries["val/val_annotations.txt"] = "".join(
        f"val_{number}.JPEG\t{NAMES[number % 3]}\t0\t0\t63\t63\n" for number in range(TEST)
    )
    with zipfile.ZipFile(path / "tiny-imagenet-200.zip", "w") as archive:
        for name, content in entries.items():
            if name != without:
                archive.writestr(f"{FOLDER}/{name}", content)
    return path


def test_the_official_zip_file_becomes_a_data_set(tmp_path: Path) -> None:
    dataset = load("tiny_imagenet", str(official(tmp_path)))
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [27, 3, TEST]
    assert dataset.label_names == NAMES and dataset.image_shape == (64, 64, 3) and dataset.augment == "crop_flip"
    for part in (dataset.train, dataset.validation, dataset.test):
        assert isinstance(part, Split)
        np.testing.assert_array_equal(
            part.images, np.broadcast_to(60 * part.labels[:, None, None, None], part.images.shape)
        )


def test_once_prepared_it_needs_no_zip_file(tmp_path: Path) -> None:
    first = load("tiny_imagenet", str(official(tmp_path)))
    (tmp_path / "tiny-imagenet-200.zip").unlink()
    again = load("tiny_imagenet", str(tmp_path))
    np.testing.assert_array_equal(first.train.images, again.train.images)
    assert again.label_names == NAMES


def test_without_the_zip_file_one_sentence_says_where_to_put_it(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        load("tiny_imagenet", str(tmp_path))
    assert str(caught.value) == (
        f"data_dir={tmp_path}: contains neither tiny-imagenet-200.zip nor a prepared tiny_imagenet; get the file from "
        "http://cs231n.stanford.edu/tiny-imagenet-200.zip and put it there"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.fast_cases("no zip", "val/images/val_0.JPEG")
@pytest.mark.parametrize(
    "damage", ["no zip", "wnids.txt", "val/val_annotations.txt", "val/images/val_0.JPEG", "all images"]
)
def test_a_zip_file_that_is_damaged_leaves_nothing_half_prepared(tmp_path: Path, damage: str) -> None:
    archive = official(tmp_path, without=damage) / "tiny-imagenet-200.zip"
    if damage == "no zip":
        archive.write_bytes(archive.read_bytes()[:-100])
    elif damage == "all images":
        with zipfile.ZipFile(archive, "w") as empty:
            empty.writestr(f"{FOLDER}/wnids.txt", "n01000000")
            empty.writestr(f"{FOLDER}/val/val_annotations.txt", "")
    with pytest.raises(BadInput, match=r"tiny-imagenet-200.zip there is not the official file, or damaged"):
        load("tiny_imagenet", str(tmp_path))
    assert not [path for path in (tmp_path / "tiny_imagenet").glob("*") if path.is_dir()]
    assert len(load("tiny_imagenet", str(official(tmp_path))).test) == TEST
