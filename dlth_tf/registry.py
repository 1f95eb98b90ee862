"""Names of definitions that are imported when they are first used: registries, and the names of a lazy package."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from dlth_tf.errors import BadInput


class NoModule(BadInput):
    """A module that a dotted path names is not on the search path."""


class Registry:
    """Named entries of one kind, imported on first use.

    Args:
      kind: Kind of the entries in messages, and the name of their flag ("method").
      entries: Location of each entry as "package.module:attribute".
    """

    def __init__(self, kind: str, entries: Mapping[str, str]) -> None:
        self.kind = kind
        self._entries = dict(entries)

    def names(self) -> tuple[str, ...]:
        """Returns all registered names, in the order of registration."""
        return tuple(self._entries)

    def check(self, name: str) -> str:
        """Returns `name` if it is registered.

        Raises:
          BadInput: If it is not; the message suggests the closest names.
        """
        if name not in self._entries:
            raise BadInput(self.kind, name, unknown(self.kind, name, self._entries))
        return name

    def load(self, name: str) -> Any:
        """Imports and returns the entry.

        Raises:
          BadInput: If the name is not registered.
        """
        return import_path(self._entries[self.check(name)], self.kind)


def unknown(kind: str, name: str, names: Iterable[str]) -> str:
    """Returns a "did you mean ..." hint for an unknown name, or a list of all names if none is close."""
    names = list(names)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        return f"no such {kind}; did you mean {' or '.join(close)}?"
    return f"no such {kind}; available: {', '.join(names)}"


def is_path(name: str) -> bool:
    """Returns whether `name` has the form "package.module:function"."""
    return ":" in name and not name.startswith(("folder:", "npz:", "csv:", "keras_cv:"))


def import_path(path: str, kind: str) -> Any:
    """Imports the attribute that `path` names.

    Args:
      path: Location as "package.module:attribute".
      kind: Name of the flag, for error messages.

    Raises:
      NoModule: If the module does not exist.
      BadInput: If the attribute does not exist. An exception raised inside the module is propagated.
    """
    module_name, _, attribute = path.partition(":")
    if not module_name or module_name.startswith(".") or not attribute:
        raise BadInput(kind, path, "must have the form package.module:function")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(error.name + ".")):
            if module_name.endswith(".py"):
                raise BadInput(kind, path, f"a module is named without .py: {module_name[:-3]}:{attribute}") from None
            place = "the folder that holds it must be the working directory or in PYTHONPATH"
            raise NoModule(kind, path, f"there is no module {error.name}: {place}") from None
        raise
    if not hasattr(module, attribute):
        public = [name for name in dir(module) if not name.startswith("_")]
        raise BadInput(kind, path, unknown(f"name in {module_name}", attribute, public))
    return getattr(module, attribute)


def lazy_names(
    package: str, names: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Returns `__getattr__`, `__dir__` and `__all__` for a package whose names are loaded on first use (PEP 562).

    Args:
      package: `__name__` of the package.
      names: Location by public name, as "module" or "module:attribute" with an absolute dotted path.
    """

    def load(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module_name, _, attribute = names[name].partition(":")
        module = importlib.import_module(module_name)
        return getattr(module, attribute) if attribute else module

    return load, lambda: sorted(names), sorted(names)
