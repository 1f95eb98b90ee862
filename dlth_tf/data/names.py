"""Names of data sets: the registry, and the checks of a name that need no TensorFlow."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Set
from typing import Any

from dlth_tf.errors import BadInput
from dlth_tf.plain_numbers import plain
from dlth_tf.registry import Registry, is_path

SMALL = ("mnist", "fashion_mnist", "cifar10", "cifar100", "svhn_cropped")  # read as any set of tensorflow_datasets
SIZED = ("imagenet2012", "imagenet200")  # with images of many sizes, so that "@SIDE" may follow the name
DATASETS = Registry(
    "dataset",
    {
        "digits": "dlth_tf.data.sets.digits:load",
        **dict.fromkeys(SMALL, "dlth_tf.data.sets.from_tfds:load"),
        "tiny_imagenet": "dlth_tf.data.sets.tiny_imagenet:load",
        **{name: f"dlth_tf.data.sets.imagenet:{name}" for name in SIZED},
    },
)
LOCAL = ("digits", "tiny_imagenet")  # prepared by this package in their data_dir
FOLDER = "folder:"
NPZ = "npz:"
CSV = "csv:"
FILES = (NPZ, CSV)  # data sets that are one file, which the name states
FILE_KINDS = {".npz": NPZ, ".csv": CSV}  # end of a file's name -> what precedes it in a name
SIDES = (8, 1024)  # smallest and largest number of pixels that "@SIDE" accepts
MOST_NAMES = 100_000  # of the classes of a data set
MOST_LETTERS = 1000  # of a name of a class or column
JOINERS = "\u200c\u200d"  # within words of Persian and Hindi, and between emojis
_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def check_name(name: str) -> str:
    """Checks a data set's name as far as possible without importing TensorFlow.

    Registered names and well-formed dotted paths pass. Any other name passes too: only tensorflow_datasets knows its
    own.

    Args:
      name: Name of a data set, as given to `--dataset`.

    Returns:
      `name`.

    Raises:
      BadInput: If the name is no text or empty, has a colon but is neither folder:PATH, npz:PATH, csv:PATH nor
        package.module:function, or has a suffix "@SIDE" whose size is not allowed.
    """
    if not isinstance(name, str):
        raise BadInput("dataset", type(name).__name__, "must be a text, such as digits, csv:PATH or npz:PATH")
    base, side = divide_name(name)
    if not base.strip():
        known = ", ".join(DATASETS.names())
        raise BadInput(
            "dataset",
            repr(name),
            f"must be {known}, a name of tensorflow_datasets, folder:PATH, npz:PATH, csv:PATH, or "
            "package.module:function",
        )
    if base == FOLDER:
        raise BadInput("dataset", name, "must name a folder, as in folder:PATH")
    if base in FILES:
        raise BadInput("dataset", name, f"must name a file, as in {base}PATH")
    if is_path(base) and not _PATH.fullmatch(name):
        raise BadInput("dataset", name, "must have the form package.module:function")
    if side is not None and not base.startswith(FILES):
        if not SIDES[0] <= side <= SIDES[1]:
            raise BadInput("dataset", name, f"must ask for images of {SIDES[0]} to {SIDES[1]} pixels after the @")
        if base in DATASETS.names() and base not in SIZED:
            raise BadInput("dataset", name, f"its images all have one size; leave @{side} out")
    return name


def divide_name(name: str) -> tuple[str, int | None]:
    """Divides a data set's name into the part before "@SIDE" and the side in pixels, or None without that suffix.

    >>> divide_name("imagenet200@64"), divide_name("cifar10")
    (('imagenet200', 64), ('cifar10', None))
    """
    match = None if name.startswith(FILES) else re.fullmatch(r"(.*)@([0-9]{1,9})", name, re.DOTALL)
    return (match[1], int(match[2])) if match else (name, None)


def texts_of(dataset: str, thing: str, names: Any) -> tuple[str, ...]:
    """Returns the names of the classes, targets or columns of a data set as texts, which may be given as numbers.

    Args:
      dataset: Name of the data set, for messages.
      thing: What the names are, for messages.
      names: A list, tuple, array or index of texts or numbers.

    Raises:
      BadInput: If they are not such a list, or a name is one that `can_be_shown` refuses.

    >>> texts_of("mine", "label_names", range(3))
    ('0', '1', '2')
    """
    if not isinstance(names, Iterable) or isinstance(names, str | bytes | Mapping | Set):
        raise BadInput(
            "dataset", dataset, f"its {thing} must be a list of texts, and are of type {type(names).__name__}"
        )
    values = [plain(name) for name in names]
    if len(values) > MOST_NAMES:
        raise BadInput("dataset", dataset, f"its {thing} must be at most {MOST_NAMES:,}, and are {len(values):,}")
    for place, name in enumerate(values):
        if not isinstance(name, str | int | float):
            kind = type(name).__name__
            allowed = f"its {thing} must be texts or numbers, and {thing}[{place}] is of type {kind}"
            raise BadInput("dataset", dataset, allowed)
        if not can_be_shown(str(name)):
            rule = f"must have at most {MOST_LETTERS:,} letters and no control characters"
            raise BadInput("dataset", dataset, f"its {thing} {rule}: {thing}[{place}] is {ascii(str(name))[:80]}")
    return tuple(map(str, values))


def can_be_shown(name: str) -> bool:
    r"""Returns whether a name is short enough and all of its letters can be printed, spaces of all kinds included.

    >>> can_be_shown("New\u00a0York"), can_be_shown("two\nlines")
    (True, False)
    """
    return len(name) <= MOST_LETTERS and all(
        letter.isprintable() or letter in JOINERS or unicodedata.category(letter) == "Zs" for letter in name
    )
