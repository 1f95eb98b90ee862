"""Pictures and prepared data sets that tests write."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds


def jpeg(colour: int, height: int = 64, width: int = 64, channels: int = 3) -> bytes:
    """A JPEG of one grey value, stored with 1 or 3 channels."""
    return tf.io.encode_jpeg(np.full((height, width, channels), colour, np.uint8)).numpy()


def prepare(name: str, path: Path, counts: Mapping[str, int], example: Callable[[str, int], dict[str, Any]]) -> str:
    """Lets tensorflow_datasets' own builder of a set prepare made-up examples: real files in the real layout.

    Its `mock_data` is no help here: without files of the set's own it knows no splits, and there is nothing to read at a place.
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
