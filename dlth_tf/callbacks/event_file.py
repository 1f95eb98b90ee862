"""An event file of TensorBoard, written without TensorFlow."""

from __future__ import annotations

import io
import itertools
import os
import socket
import time
from collections.abc import Iterable, Mapping

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.tensorflow_stub.io import gfile
from tensorboard.plugins.histogram.summary_v2 import histogram_pb
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.summary.writer.record_writer import RecordWriter

VERSION = "brain.Event:2"
_numbers = itertools.count()


class EventFile:
    """Writes scalars and histograms to a new event file.

    TensorBoard's own `EventFileWriter` imports TensorFlow wherever it is installed.

    Args:
      folder: Folder of the file, created if it does not exist.
    """

    def __init__(self, folder: str) -> None:
        gfile.makedirs(folder)
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{next(_numbers)}"
        self._file = gfile.GFile(os.path.join(folder, name), "wb")
        self._add([Event(wall_time=time.time(), file_version=VERSION)])

    def write(self, step: int, scalars: Mapping[str, float], histograms: Mapping[str, np.ndarray]) -> None:
        """Writes values at a step: tag -> number, and tag -> array of any shape."""
        summaries: list[Summary] = [scalar_pb(tag, value) for tag, value in scalars.items()]
        summaries += [histogram_pb(tag, value) for tag, value in histograms.items()]
        self._add(Event(wall_time=time.time(), step=step, summary=summary) for summary in summaries)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _add(self, events: Iterable[Event]) -> None:
        """Writes events at once: every write opens the file anew."""
        together = io.BytesIO()
        records = RecordWriter(together)
        for event in events:
            records.write(event.SerializeToString())
        self._file.write(together.getvalue())
        self._file.flush()
