"""tensorflow_datasets builders that prepare from a file at hand: one process does, the others wait, and nothing is left half done."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import filelock
import tensorflow as tf
import tensorflow_datasets as tfds

from dlth_tf.data.sets.tfds_reader import quiet
from dlth_tf.errors import BadInput


class LocalBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]  # of a class that is Any
    """A builder that needs no network. Several processes may prepare the set at the same moment: one does, the others wait for it."""

    def download_and_prepare(
        self, *, download_config: tfds.download.DownloadConfig | None = None, **options: Any
    ) -> None:
        """Prepares the data set, unless it is there."""
        home = Path(self.data_dir).parent
        home.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(home / ".lock"):
            for left_over in home.glob(
                "incomplete.*"
            ):  # by a process that was killed: none is at work while the lock is ours
                shutil.rmtree(left_over)
            super().download_and_prepare(
                download_config=download_config or tfds.download.DownloadConfig(try_download_gcs=False), **options
            )
            self.info.read_from_directory(
                self.data_dir
            )  # another process may have prepared it since this object was made


def prepare(builder: LocalBuilder) -> None:
    """Prepares the set of `builder` if it is not.

    Raises:
      BadInput: its directory cannot be written, or what it is made from is damaged.
    """
    with quiet():
        if not builder.is_prepared():
            try:
                builder.download_and_prepare()
            except (OSError, tf.errors.OpError) as error:
                raise BadInput(
                    "data_dir", builder.data_dir, f"{builder.name} cannot be prepared there ({error})"
                ) from error
