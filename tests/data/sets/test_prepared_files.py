"""Prepared folders of somebody else: no module of theirs is imported, and no pipe is read."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
import tensorflow_datasets as tfds

from dlth_tf.data import load, load_prepared
from dlth_tf.data.sets.prepared_files import MOST_DESCRIBING, opening
from dlth_tf.errors import BadInput

CLASSES = [
    "hostile_canary.Feature",
    "os.path.Feature",
    "this.Text",
    "",
    "dotless",
    "tensorflow_datasets.x.y",
    "a\x1bb.c",
]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    load("digits", str(folder))
    return folder


@pytest.fixture
def data_dir(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "hostile_canary.py").write_text("open(__file__ + '.imported', 'w').close()\n")
    monkeypatch.syspath_prepend(tmp_path / "path")
    return tmp_path


def name_class(data_dir: Path, name: str) -> None:
    """Renames the class of the label in the descriptions of the prepared digits, as another set."""
    (data_dir / "digits").rename(data_dir / "their_digits")
    for path in data_dir.rglob("*.json"):
        text = path.read_text().replace('"digits"', '"their_digits"')
        path.write_text(
            text.replace("tensorflow_datasets.core.features.class_label_feature.ClassLabel", json.dumps(name)[1:-1])
        )
    for path in sorted(data_dir.rglob("digits-*")):
        path.rename(path.with_name(f"their_{path.name}"))


@pytest.mark.fast_cases("'hostile_canary.Feature'", "'this.Text'")
@pytest.mark.parametrize("name", CLASSES, ids=repr)
def test_a_folder_may_not_name_other_classes_for_its_features(data_dir, name):
    name_class(data_dir, name)
    with pytest.raises(
        BadInput, match=r"its features name the class .*, and must be classes of tensorflow_datasets"
    ) as refused:
        load("their_digits", str(data_dir))
    assert refused.value.thing == "data_dir" and str(refused.value).isprintable()
    assert "hostile_canary" not in sys.modules and "this" not in sys.modules
    assert not list(data_dir.rglob("*.imported"))


def test_the_folder_that_was_changed_was_good(data_dir):
    name_class(data_dir, "tensorflow_datasets.core.features.class_label_feature.ClassLabel")
    assert load("their_digits", str(data_dir)).num_classes == 10


@pytest.mark.parametrize("name", ["../../outside/label", "{root}/outside/label"])
def test_names_of_classes_are_read_from_the_folder_alone(data_dir, name):
    name_class(data_dir, "tensorflow_datasets.core.features.class_label_feature.ClassLabel")
    (data_dir / "outside").mkdir()
    (data_dir / "outside" / "label.labels.txt").write_text("\n".join(f"secret {number}" for number in range(10)))
    for path in data_dir.rglob("label.labels.txt"):
        if path.parent.name != "outside":
            path.unlink()
    for path in data_dir.rglob("*.json"):
        path.write_text(path.read_text().replace('"label"', json.dumps(name.format(root=data_dir))))
    try:
        assert not any("secret" in label for label in load("their_digits", str(data_dir)).label_names or ())
    except BadInput as refused:
        assert "secret" not in str(refused)


def test_the_guard_ends_with_the_opening(data_dir):
    before = vars(tfds.features.FeatureConnector)["cls_from_name"]
    with pytest.raises(BadInput), opening(data_dir, "digits"):
        tfds.features.FeatureConnector.cls_from_name("a.B")
    with pytest.raises(ZeroDivisionError), opening(data_dir, "digits"):
        raise ZeroDivisionError
    assert vars(tfds.features.FeatureConnector)["cls_from_name"] is before


@pytest.mark.fast_cases("pipe-features.json", "device-digits-train.tfrecord-00000-of-00001")
@pytest.mark.parametrize("name", ["features.json", "dataset_info.json", "digits-train.tfrecord-00000-of-00001"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
@pytest.mark.timeout(60)
def test_a_file_that_is_no_regular_file_is_refused_by_its_path(data_dir, name, kind):
    (path,) = data_dir.rglob(name)
    path.unlink()
    os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero")
    with pytest.raises(BadInput, match=rf"{name}: must be a regular file"):
        load("digits", str(data_dir))


def test_a_huge_description_is_refused_unread(data_dir):
    (path,) = data_dir.rglob("features.json")
    os.truncate(path, MOST_DESCRIBING + 1)
    with pytest.raises(BadInput, match="must have at most 16,777,216 bytes"):
        load("digits", str(data_dir))


def describe_train(data_dir: Path, **changes: object) -> None:
    """Changes the description of the training split of the prepared digits."""
    (path,) = data_dir.rglob("dataset_info.json")
    info = json.loads(path.read_text())
    (train,) = (split for split in info["splits"] if split["name"] == "train")
    train |= changes
    path.write_text(json.dumps(info))


@pytest.mark.timeout(60)
@pytest.mark.fast_cases("digits-above", "their_digits-remote", "digits-very many")
@pytest.mark.parametrize(
    "changes",
    [
        {"filepathTemplate": "/etc/{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"},
        {"filepathTemplate": "../../{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"},
        {"filepathTemplate": "gs://bucket/{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"},
        {"shardLengths": ["1"] * 200_000},
    ],
    ids=["absolute", "above", "remote", "very many"],
)
@pytest.mark.parametrize("name", ["digits", "their_digits"])
def test_a_description_that_names_files_elsewhere_is_refused(data_dir, name, changes):
    if name != "digits":
        name_class(data_dir, "tensorflow_datasets.core.features.class_label_feature.ClassLabel")
    describe_train(data_dir, **changes)
    with pytest.raises(BadInput, match=r"split must (consist of files in that folder|have at most 100,000 files)"):
        load(name, str(data_dir))


@pytest.mark.parametrize("place", ["gs://bucket/x", "s3://bucket/x", "http://127.0.0.1:9/x", "file:///etc", "ram://x"])
def test_a_place_that_a_file_names_is_local(place, monkeypatch):
    monkeypatch.setattr(tfds, "builder", pytest.fail)
    with pytest.raises(BadInput, match="must be a local directory"):
        load_prepared("digits", place)
