"""The one registry helper: a name -> where it is defined, found without importing it."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Mapping
from typing import Any

from dlth_tf.errors import BadInput


class Registry:
    """Names of one kind of thing, loaded only when asked for.

    Args:
      kind: what the things are called in messages, which is also their flag ("method").
      entries: name -> "package.module:attribute".
    """

    def __init__(self, kind: str, entries: Mapping[str, str]) -> None:
        self.kind, self._entries = kind, dict(entries)

    def names(self) -> tuple[str, ...]:
        """All registered names, in the order of registration."""
        return tuple(self._entries)

    def check(self, name: str) -> str:
        """Returns `name`; raises BadInput with the nearest names if there is no such entry."""
        if name not in self._entries:
            raise BadInput(self.kind, name, unknown(self.kind, name, self._entries))
        return name

    def load(self, name: str) -> Any:
        """Imports and returns the entry."""
        return import_path(self._entries[self.check(name)], self.kind)


def unknown(kind: str, name: str, names: Iterable[str]) -> str:
    """The end of a sentence that tells which names are near, or which there are."""
    names = list(names)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    return (
        f"no such {kind}; did you mean {' or '.join(near)}?"
        if near
        else f"no such {kind}; known are {', '.join(names)}"
    )


def is_path(name: str) -> bool:
    """Whether `name` has the form "package.module:function"."""
    return ":" in name and not name.startswith(("folder:", "keras_cv:"))


def import_path(path: str, kind: str) -> Any:
    """The attribute that "package.module:attribute" names.

    Raises:
      BadInput: the module or the attribute does not exist. An exception inside the module itself is passed on.
    """
    module_name, _, attribute = path.partition(":")
    if not module_name or module_name.startswith(".") or not attribute:
        raise BadInput(kind, path, "must have the form package.module:function")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(error.name + ".")):
            raise BadInput(kind, path, f"there is no module {error.name}") from None
        raise
    if not hasattr(module, attribute):
        raise BadInput(
            kind, path, unknown(f"name in {module_name}", attribute, [n for n in dir(module) if not n.startswith("_")])
        )
    return getattr(module, attribute)
