"""Pictures and prepared data sets written by tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds


def jpeg(gray: int, height: int = 64, width: int = 64, channels: int = 3) -> bytes:
    """Returns a JPEG of one gray value, stored with 1 or 3 channels."""
    return tf.io.encode_jpeg(np.full((height, width, channels), gray, np.uint8)).numpy()


def prepare(name: str, path: Path, counts: Mapping[str, int], example: Callable[[str, int], dict[str, Any]]) -> str:
    """Prepares synthetic examples with a set's own builder: real files in the real layout.

    The `mock_data` of tensorflow_datasets does not help here: without files of the set it knows no splits, and there is
    nothing to read at an offset.

    Args:
      name: Name of the set in tensorflow_datasets.
      path: Directory of the prepared files.
      counts: Number of examples of each split.
      example: Function (split, number) -> example.

    Returns:
      The directory, as `data_dir` of `load`.
    """
    builder = tfds.builder(name, data_dir=path)

    def examples(split: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for number in range(counts[split]):
            yield f"{split}_{number}", example(split, number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(builder), "_split_generators", lambda self, _: {split: examples(split) for split in counts})
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(try_download_gcs=False, register_checksums=False)
        )
    return str(path)
