"""Sentences about images on disk that cannot be read or decoded: TensorFlow's own errors do not tell which image."""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from dlth_tf.data.dataset import DataSet
from dlth_tf.data.disk_split import DiskSplit
from dlth_tf.data.tf_data_options import cores
from dlth_tf.errors import BadInput

CHUNK = 1024  # images that are looked at before the next ones are scheduled
NAMED = 3  # images whose paths a sentence contains
COUNTED = 1000  # images after which nobody needs an exact number


@contextlib.contextmanager
def broken_images_named(dataset: DataSet) -> Iterator[None]:
    """Turns TensorFlow's error about an image of a data set into a sentence that names the image.

    The input pipeline decodes images in advance and reports neither their number nor their path. So after an error in a
    pipeline, the images of the data set are decoded once more, on all cores, and all that cannot be are counted.

    Args:
      dataset: Data set whose images are used in the block; one in memory has no images that could be broken.

    Raises:
      BadInput: If an image cannot be read or decoded. An error that has another cause is raised as it is.
    """
    import tensorflow as tf

    try:
        yield
    except (tf.errors.OpError, UnicodeDecodeError) as error:  # the latter where TensorFlow quotes bytes of a file
        splits = [split for split in (dataset.train, dataset.validation, dataset.test) if isinstance(split, DiskSplit)]
        if not splits or (isinstance(error, tf.errors.OpError) and "Iterator" not in str(error)):  # IteratorGetNext
            raise
        total = sum(map(len, splits))
        logging.getLogger("dlth_tf").warning(
            "reading the images of %s failed: looking for the reason in all %d images", dataset.name, total
        )
        broken = list(itertools.islice(_broken(splits), COUNTED))
        if not broken:
            raise
        raise BadInput("dataset", dataset.name, _sentence(broken, total)) from None


def _sentence(broken: list[tuple[str, str]], total: int) -> str:
    number = f"{len(broken)} or more" if len(broken) == COUNTED else f"{len(broken)}"
    named = ", ".join(f"{where} ({why})" for where, why in broken[:NAMED])
    more = ", ..." if len(broken) > NAMED else ""
    return f"{number} of its {total} images cannot be read, and must be repaired or removed: {named}{more}"


def _broken(splits: list[DiskSplit]) -> Iterator[tuple[str, str]]:
    """Yields where each image is that cannot be read or decoded, and why not."""
    with ThreadPoolExecutor(cores()) as pool:
        for split in splits:
            for start in range(0, len(split), CHUNK):
                places = np.arange(start, min(start + CHUNK, len(split))).tolist()
                for place, why in zip(places, pool.map(split.why_unreadable, places), strict=True):
                    if why is not None:
                        yield split.where(place), why
