"""Flag files: a command line with the flags of its files in their places, and the recipes that are part of the package.

A file is named by its path, or, for a recipe of the package, as dlth:FOLDER/NAME.
"""

from __future__ import annotations

import difflib
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dlth_tf import files
from dlth_tf.errors import BadInput
from dlth_tf.registry import unknown

RECIPES = Path(__file__).resolve().parent / "recipes"  # in a checkout, a link to its folder flags/
PREFIX = "dlth:"
SUFFIX = ".flags"
MOST_FLAG_FILES = 100  # that one command line leads to
MOST_FLAG_NAME = 1000  # letters before the =, with a value where there is none
MOST_NEIGHBORS = 1000  # file names that are compared with one that does not exist
FLAG = re.compile(r"--?flagfile(?:=(.*))?", re.DOTALL)


@dataclass(frozen=True)
class Recipe:
    """A flag file of the package that is a run or a sweep of its own.

    Attributes:
      name: Its name as a flag file, such as "dlth:digits/rst".
      command: "train" or "sweep".
      cost: What its header says about the cost.
      expectation: What its header says about the result to expect.
    """

    name: str
    command: str
    cost: str
    expectation: str


def recipe_names() -> list[str]:
    """Returns the names of all flag files of the package, such as "dlth:digits/rst"."""
    folder = RECIPES.resolve()
    paths = sorted(folder.rglob(f"*{SUFFIX}"))
    return [f"{PREFIX}{path.relative_to(folder).with_suffix('').as_posix()}" for path in paths]


def recipes() -> list[Recipe]:
    """Returns the recipes whose header names their command; the other files are parts of these."""
    found = []
    for name in recipe_names():
        lines = list(itertools.takewhile(lambda line: line.startswith("#"), _lines(name, _path(name, None))))
        header = [line.lstrip("# ") for line in lines]
        command = re.match(r"python -m dlth_tf\.(train|sweep) ", header[0]) if header else None
        if command:
            found.append(Recipe(name, command[1], _paragraph(header, "Cost: "), _paragraph(header, "Expect")))
    return found


def _paragraph(header: Sequence[str], start: str) -> str:
    """Returns the sentences of a header from the line that begins with `start`, up to the next subject."""
    after = itertools.dropwhile(lambda line: not line.startswith(start), header)
    first = next(after, "").removeprefix("Cost: ").removeprefix("Expect: ")
    rest = itertools.takewhile(lambda line: line and not line.startswith(("Cost", "Expect", "Measured")), after)
    return " ".join([first, *rest])


def expanded(argv: Sequence[str]) -> list[str]:
    """Returns a command line in which every flag file is replaced by its flags, without comments.

    A file that a flag file names is looked for in the folder of that file, then in the working directory. A file that
    includes itself is read once.

    Args:
      argv: Arguments of a command.

    Raises:
      BadInput: If a file does not exist, cannot be read, is not text or is no recipe, or there are too many.
    """
    return list(_expanded(argv, None, (), itertools.count(1)))


def _expanded(
    words: Iterable[str], folder: Path | None, around: tuple[Path, ...], numbers: Iterator[int]
) -> Iterator[str]:
    """Yields the flags of `words`, which come from a file in `folder` that the files `around` include."""
    left = iter(words)
    for word in left:
        match = FLAG.fullmatch(word)
        named = match and (next(left, "") if match[1] is None else match[1].strip())
        if not named:
            yield word
            continue
        path = _path(named, folder)
        if path in around:
            continue
        if next(numbers) > MOST_FLAG_FILES:
            raise BadInput("flagfile", named, f"leads to more than {MOST_FLAG_FILES} flag files")
        lines = (line.strip() for line in _lines(named, path))
        flags = [line for line in lines if line and not line.startswith(("#", "//"))]
        if any(len(flag.partition("=")[0]) > MOST_FLAG_NAME for flag in flags):  # absl compares it with all flags
            raise BadInput("flagfile", named, f"must name flags of at most {MOST_FLAG_NAME} letters")
        yield from _expanded(flags, path.parent, (*around, path), numbers)


def _path(name: str, folder: Path | None) -> Path:
    """Returns the path of a flag file.

    Raises:
      BadInput: If it has the form of a recipe and there is no such recipe.
    """
    if name.startswith(PREFIX):
        recipe = name.removesuffix(SUFFIX)
        if recipe not in (names := recipe_names()):
            raise BadInput("flagfile", name, unknown("recipe", recipe, names))
        return RECIPES / f"{recipe.removeprefix(PREFIX)}{SUFFIX}"
    path = Path(os.path.expanduser(name))
    if folder is not None and files.exists(folder / path):
        return folder / path
    return path


def _lines(name: str, path: Path) -> list[str]:
    try:
        text = files.read_file(path, files.MOST_TEXT)
    except OSError as error:
        near = _near(name, path) if isinstance(error, FileNotFoundError) else ""
        raise BadInput("flagfile", name, f"cannot be read ({error.strerror}){near}") from None
    try:
        if b"\0" in text:
            raise ValueError
        return text.decode("utf-8-sig").splitlines()
    except ValueError:
        raise BadInput("flagfile", name, "must be text in UTF-8") from None


def _near(name: str, path: Path) -> str:
    """Returns which flag files have nearly the name of one that does not exist: beside it, or of the package."""
    beside: list[str] = []
    if path.parent.is_dir():
        with os.scandir(path.parent) as entries:
            beside = [entry.name for entry in itertools.islice(entries, MOST_NEIGHBORS) if entry.name.endswith(SUFFIX)]
    found = [str(path.parent / near) for near in difflib.get_close_matches(path.name, beside, n=2, cutoff=0.7)]
    key = name.removesuffix(SUFFIX).rpartition("flags/")[2]
    short = {recipe.removeprefix(PREFIX): recipe for recipe in recipe_names()}
    found += [short[near] for near in difflib.get_close_matches(key, short, n=1, cutoff=0.7)]
    return f"; did you mean {' or '.join(found)}?" if found else ""
