"""Builders of tensorflow_datasets that prepare a set from a local file, safely among several processes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import filelock
import tensorflow as tf
import tensorflow_datasets as tfds

from dlth_tf.data.sets.tfds_reader import quiet
from dlth_tf.errors import BadInput


class LocalBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]  # the base is Any
    """A builder that needs no network.

    Of several processes that prepare the set at the same time, one prepares it and the others wait for that one. A
    process that is killed leaves nothing half prepared.
    """

    def download_and_prepare(
        self, *, download_config: tfds.download.DownloadConfig | None = None, **options: Any
    ) -> None:
        """Prepares the data set, unless it is already prepared.

        Args:
          download_config: Options of tensorflow_datasets; if None, nothing is read from its servers.
          **options: Other arguments of `tfds.core.DatasetBuilder.download_and_prepare`.
        """
        home = Path(self.data_dir).parent
        home.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(home / ".lock"):
            for leftover in _leftovers(home):
                shutil.rmtree(leftover)
            super().download_and_prepare(
                download_config=download_config or tfds.download.DownloadConfig(try_download_gcs=False), **options
            )
            # Another process may have prepared it after this object was created.
            self.info.read_from_directory(self.data_dir)


def _leftovers(home: Path) -> list[Path]:
    """Returns the folders of killed processes; none writes there while this process has the lock.

    Their names are those that tensorflow_datasets chooses. A link is not its own, and is left alone.
    """
    name = re.compile(r"incomplete\.[A-Z0-9]{6}_.+")
    return [path for path in home.iterdir() if name.fullmatch(path.name) and path.is_dir() and not path.is_symlink()]


def prepare(builder: LocalBuilder) -> None:
    """Prepares the set of a builder, unless it is already prepared.

    Args:
      builder: Builder of the set.

    Raises:
      BadInput: If its directory cannot be written, or its source is damaged.
    """
    with quiet():
        if not builder.is_prepared():
            try:
                builder.download_and_prepare()
            except (OSError, tf.errors.OpError) as error:
                raise BadInput(
                    "data_dir", builder.data_dir, f"{builder.name} cannot be prepared there ({error})"
                ) from error
