"""All files are opened by `dlth_tf.files`; the list of calls elsewhere is short, and each has its reason."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Calls that open or read a file, whatever they are called on.
OPENING = {
    *("open", "read_text", "read_bytes", "read_csv", "read_json_lines", "ZipFile", "mmap", "fromfile", "memmap"),
    *("load_weights", "load_model", "read_file", "File", "GFile", "TFRecordDataset", "builder", "as_dataset"),
}
OF_A_MODULE = {("np", "load"), ("json", "load"), ("json", "loads"), ("pickle", "load"), ("pickle", "loads")}
DOOR = "dlth_tf/files/"
OTHERS = {  # (file, call) -> why it is not that of the door
    ("dlth_tf/analysis/run_record.py", "read_csv"): "of bytes that the door has read",
    ("dlth_tf/callbacks/event_file.py", "GFile"): "TensorBoard's, of a new file that is written",
    ("dlth_tf/console.py", "open"): "of /dev/null",
    ("dlth_tf/core/patterns.py", "loads"): "of a flag",
    ("dlth_tf/data/sets/csv_file.py", "read_csv"): "of bytes that the door has read",
    ("dlth_tf/data/disk_split.py", "read_file"): "TensorFlow's, of images whose kind and size were checked when listed",
    ("dlth_tf/data/sets/digits.py", "read_bytes"): "of this package itself",
    ("dlth_tf/data/sets/from_tfds.py", "builder"): "inside of `opening`, which has checked the folder",
    ("dlth_tf/data/sets/imagenet.py", "read_text"): "of this package itself",
    ("dlth_tf/data/sets/tfds_reader.py", "as_dataset"): "of a builder that `opening` has checked",
    (
        "dlth_tf/data/sets/tfds_reader.py",
        "TFRecordDataset",
    ): "of shards that `opening` has checked",
    ("dlth_tf/data/sets/tiny_imagenet.py", "ZipFile"): "of an archive whose kind and size were checked",
    ("dlth_tf/data/sets/tiny_imagenet.py", "open"): "of a member whose size was checked",
    ("dlth_tf/data/tfrecord_index.py", "mmap"): "of a file that the door has opened",
    ("dlth_tf/data/tfrecord_index.py", "open"): "of a shard whose kind was checked, once for every image",
    ("dlth_tf/deploy/atomic_folder.py", "open"): "of a folder, to lock it",
    ("dlth_tf/deploy/checks/standalone.py", "load"): "a script without this package, of a file that this package wrote",
    ("dlth_tf/deploy/checks/standalone.py", "open"): "a script without this package, of files that this package wrote",
    ("dlth_tf/deploy/checks/verification.py", "loads"): "of a temporary file that the script wrote",
    ("dlth_tf/deploy/checks/verification.py", "read_text"): "of a temporary file that the script wrote",
    (
        "dlth_tf/deploy/keras3/exporting.py",
        "load_model",
    ): "Keras 3's, of a temporary file that the parent process wrote",
    ("dlth_tf/deploy/keras3/exporting.py", "loads"): "of a temporary file that the parent or child process wrote",
    ("dlth_tf/deploy/keras3/exporting.py", "read_bytes"): "of a temporary file that the parent process wrote",
    ("dlth_tf/deploy/keras3/exporting.py", "read_text"): "of a temporary file that the child process wrote",
    ("dlth_tf/deploy/report/facts.py", "read_bytes"): "of the export that was just written",
    ("dlth_tf/deploy/savedmodel/leaky_relu.py", "read_bytes"): "of the export that was just written",
    ("dlth_tf/deploy/savedmodel/shrink.py", "read_bytes"): "of the export that was just written",
    (
        "dlth_tf/masking/keras2/plain_weights.py",
        "File",
    ): "h5py's, of a file that a user's own code hands to load_weights",
    ("dlth_tf/masking/keras2/plain_weights.py", "ZipFile"): "of a file that a user's own code hands to load_weights",
    ("dlth_tf/masking/keras2/plain_weights.py", "open"): "of a member, read in parts",
    ("dlth_tf/masking/keras2/plain_weights.py", "load_weights"): "tf_keras', which a user's own code calls",
    ("dlth_tf/masking/keras3/tickets.py", "load_model"): "Keras 3's, in its safe mode, of a file that the user names",
    ("dlth_tf/masking/keras3/tickets.py", "load_weights"): "the same file",
    ("dlth_tf/runs/checkpointing/files.py", "open"): "of a folder, to flush it",
    ("dlth_tf/runs/config.py", "loads"): "of a flag",
    ("dlth_tf/runs/config_checks.py", "loads"): "of a flag",
    ("dlth_tf/runs/devices/strategies.py", "loads"): "of an environment variable",
    ("dlth_tf/runs/exporting/keras_files.py", "File"): "h5py's, of a file whose kind and size were checked",
    ("dlth_tf/runs/exporting/keras_files.py", "ZipFile"): "of a file whose kind and size were checked",
    (
        "dlth_tf/runs/exporting/keras_files.py",
        "load_model",
    ): "tf_keras', of a file whose configuration and arrays were checked",
    ("dlth_tf/runs/exporting/keras_files.py", "open"): "of a member whose size was checked",
    ("dlth_tf/runs/network.py", "loads"): "of a checked field",
    ("dlth_tf/runs/runner.py", "open"): "of a run directory, which is locked",
    ("dlth_tf/runs/shared_training.py", "read_bytes"): "of this package itself",
    ("dlth_tf/runs/weights.py", "load_weights"): "tf_keras', of a file that `check_weights_file` has checked",
    ("dlth_tf/runs/weights_files.py", "File"): "h5py's, of a file whose kind and size were checked",
    ("dlth_tf/runs/weights_files.py", "ZipFile"): "of a file whose kind and size were checked",
    ("dlth_tf/runs/weights_files.py", "open"): "of a member whose size was checked",
}


def readers(source: str) -> set[str]:
    """Returns the names of calls in a file that open or read a file."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in OPENING:
            found.add(node.func.id)
        if isinstance(node.func, ast.Attribute):
            owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
            if owner == "files":  # the door
                continue
            if node.func.attr in OPENING or (owner, node.func.attr) in OF_A_MODULE:
                found.add(node.func.attr)
    return found


def elsewhere() -> set[tuple[str, str]]:
    paths = {path.relative_to(ROOT).as_posix(): path for path in (ROOT / "dlth_tf").rglob("*.py")}
    return {
        (name, call) for name, path in paths.items() if not name.startswith(DOOR) for call in readers(path.read_text())
    }


def test_files_are_opened_by_the_door_and_by_the_listed_calls_alone():
    assert sorted(elsewhere() - set(OTHERS)) == []


def test_every_listed_call_is_there():
    assert sorted(set(OTHERS) - elsewhere()) == []


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        ("open(path)", {"open"}),
        ("path.read_text()", {"read_text"}),
        ("json.loads(x)", {"loads"}),
        ("tf.io.read_file(x)", {"read_file"}),
        ("np.load(x)", {"load"}),
        ("files.read_file(x, 3)", set()),
        ("METHODS.load(x)", set()),
    ],
)
def test_a_reader_elsewhere_would_be_seen(line, seen):
    assert readers(f"def f(path, x):\n    return {line}\n") == seen
