"""The door for files: bounded reading without executing anything, atomic writing, folders of our own.

Files may be somebody else's. All that this package reads is opened here, apart from what other libraries read, which
see a file only after its kind and size have been checked here.
"""

from __future__ import annotations

from dlth_tf.files.arrays import arrays_sha256, npz_bytes, npz_limit, parse_npz, sha256
from dlth_tf.files.folders import check_can_be_folder, check_path, is_link, own_folder, remove_own
from dlth_tf.files.json_files import parse_json, read_json, read_json_object, write_json
from dlth_tf.files.reading import (
    MOST_ARRAYS,
    MOST_JSON,
    MOST_TABLE,
    MOST_TEXT,
    MOST_TICKET,
    exists,
    open_clamped,
    open_regular,
    read_file,
    regular_size,
    sha256_of,
)
from dlth_tf.files.writing import HALF_WRITTEN, is_half_written, remove_half_written, write_all, write_atomic

__all__ = [
    "HALF_WRITTEN",
    "MOST_ARRAYS",
    "MOST_JSON",
    "MOST_TABLE",
    "MOST_TEXT",
    "MOST_TICKET",
    "arrays_sha256",
    "check_can_be_folder",
    "check_path",
    "exists",
    "is_half_written",
    "is_link",
    "npz_bytes",
    "npz_limit",
    "open_clamped",
    "open_regular",
    "own_folder",
    "parse_json",
    "parse_npz",
    "read_file",
    "read_json",
    "read_json_object",
    "regular_size",
    "remove_half_written",
    "remove_own",
    "sha256",
    "sha256_of",
    "write_all",
    "write_atomic",
    "write_json",
]
