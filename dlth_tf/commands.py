"""Shared parts of the four commands: flags from dataclass fields, one-line errors, exit codes."""

from __future__ import annotations

import dataclasses
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from absl import flags

from dlth_tf import files
from dlth_tf.console import entries_text, outliving_readers
from dlth_tf.errors import BadInput, shown
from dlth_tf.flag_files import expanded, recipes
from dlth_tf.registry import is_path
from dlth_tf.stopping import STOPPED, Stopped
from dlth_tf.version import __version__

DONE = 0
FAILED = 1
BAD_INPUT = 2
MOST_LINE = 6000  # letters of an error
PATHS = (
    "run_dir",
    "sweep_dir",
    "data_dir",
    "export_dir",
    "shared_dir",
    "init_weights",
    "keras_model",
    "ticket",
    "check",
    "examples",
)
CODE = ("model", "dataset")  # flags whose value may be a package.module:function
ABOUT = {
    "help": "show this page",
    "recipes": "list the recipes of the package",
    "version": "print the version",
}
HELP = "--help"
OF_ABSL = ("--helpshort", "--helpfull", "-helpshort", "-helpfull")  # what users of absl know; there is one help page
_NOT_THE_USERS = (os.path.dirname(os.path.abspath(__file__)) + os.sep, "<frozen importlib")  # prefixes of file names


class PageShown(SystemExit):
    """Ends a command after --help, --recipes or --version; any other SystemExit comes from the user's code."""


class _Parser(flags.ArgumentParser):
    """Parser of a flag's text, for one kind of value."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.syntactic_help = kind

    def parse(self, argument: Any) -> Any:
        """Returns the value; raises ValueError with what is allowed."""
        if argument is None or self.kind in ("text", "list"):
            return argument
        kinds: dict[str, tuple[Callable[[Any], Any], str]] = {
            "int": (int, "must be a whole number"),
            "float": (float, "must be a number"),
            "bool": (_boolean, "must be true or false"),
        }
        convert, allowed = kinds[self.kind]
        try:
            return convert(argument)
        except (KeyError, TypeError, ValueError):
            raise ValueError(allowed) from None

    def flag_type(self) -> str:
        """Returns the kind of the value."""
        return self.kind


def _boolean(text: Any) -> bool:
    words = {"true": True, "t": True, "1": True, "yes": True, "false": False, "f": False, "0": False, "no": False}
    return words[str(text).lower()]


def define(values: flags.FlagValues, name: str, default: Any, text: str, kind: str = "text") -> None:
    """Adds one flag.

    Args:
      values: Flags to add it to.
      name: Name of the flag.
      default: Default value.
      text: Help text.
      kind: Kind of the value: "text", "list", "int", "float" or "bool", which also accepts --name and --noname.
    """
    if kind == "bool":
        flags.DEFINE_boolean(name, default, text, flag_values=values)
        values[name].parser = _Parser(kind)
    else:
        flags.DEFINE(_Parser(kind), name, default, text, flag_values=values)


def define_fields(values: flags.FlagValues, fields: Iterable[dataclasses.Field[Any]]) -> None:
    """Adds a flag for every dataclass field, with its help text and its kind."""
    for item in fields:
        define(values, item.name, item.default, item.metadata["help"], kind_of(item))


def kind_of(item: dataclasses.Field[Any]) -> str:
    """Returns the kind of flag for a dataclass field, read off its annotation."""
    if item.metadata["comma_list"]:
        return "list"
    annotation = str(item.type).split(" | ")[0]  # text, since annotations are not evaluated
    return annotation if annotation in ("int", "float", "bool") else "text"


def field_groups(fields: Iterable[dataclasses.Field[Any]]) -> dict[str, list[tuple[str, str, Any]]]:
    """Returns the argument `groups` of `console.help_text` from the metadata "group" and "help" of fields."""
    groups: dict[str, list[tuple[str, str, Any]]] = {}
    for item in fields:
        groups.setdefault(item.metadata["group"], []).append((item.name, item.metadata["help"], item.default))
    return groups


def parse(values: flags.FlagValues, argv: Sequence[str], page: Callable[[], str]) -> flags.FlagValues:
    """Parses a command line, including its flag files, into `values`; a leading ~ of a path becomes the home directory.

    Args:
      values: Flags of the command.
      argv: Arguments of the command.
      page: Function that returns the --help page.

    Raises:
      SystemExit: With code 0 after --help, --recipes and --version.
      BadInput: If a flag file cannot be read, or a path cannot be one.
      absl.flags.Error: If a flag is unknown, a value is invalid, or an argument is not a flag.
    """
    words = [HELP if word in OF_ABSL else word for word in expanded(argv)]
    for name, text in ABOUT.items():
        short = {"short_name": "h"} if name == "help" else {}
        flags.DEFINE_boolean(name, False, text, flag_values=values, allow_override=True, **short)
    try:
        rest = values([os.path.basename(sys.argv[0] or "dlth_tf"), *words])[1:]
    except ValueError as error:  # not wrapped by absl: --noflag=value
        raise flags.Error(str(error)) from None
    pages = {"help": page, "recipes": _recipes, "version": lambda: f"dlth_tf {__version__}"}
    for name in ABOUT:
        if values[name].value:
            print(pages[name]())
            raise PageShown(DONE)
    for name in PATHS:
        if name in values and values[name].value is not None:
            values[name].value = files.check_path(name, values[name].value)
    _refuse_code_of_flag_files(values, argv)
    if rest:
        raise flags.Error(f"{' '.join(rest)}: only flags are allowed, in the form --name=value")
    return values


def _recipes() -> str:
    """Returns the list of the recipes, with cost and expectation."""
    entries = []
    for recipe in recipes():
        entries.append((f"{recipe.name} ({recipe.command})", [f"Cost: {recipe.cost}", f"Expect: {recipe.expectation}"]))
    return entries_text(entries)


def _refuse_code_of_flag_files(values: flags.FlagValues, argv: Sequence[str]) -> None:
    """Raises BadInput for code that a flag file names: only a command line chooses what is imported."""
    words = {part for word in argv for part in (word, word.partition("=")[2])}
    for name in CODE:
        value = values[name].value if name in values else None
        if isinstance(value, str) and is_path(value) and value not in words:
            raise BadInput(name, value, f"comes from a flag file and names code: repeat --{name} on the command line")
    trusts = "trust_run" in values and values.trust_run
    if trusts and not any(word.lstrip("-").startswith("trust_run") for word in argv):
        raise BadInput("trust_run", True, "comes from a flag file: repeat it on the command line")


def run_command(name: str, main: Callable[[Sequence[str]], int | None], argv: Sequence[str] | None = None) -> int:
    """Runs a command, and turns an exception into one line on stderr and an exit code.

    A reader that closes the pipe of an output (`| head`) does not stop it.

    Args:
      name: Name of the command, which starts the line.
      main: The command; takes the arguments, and returns an exit code or None.
      argv: Arguments; those of the process if None.

    Returns:
      0 if done, 1 if the run failed, 2 for invalid flags or input, 75 if a signal stopped the run, which the same
      command resumes.

    Raises:
      SystemExit: With code 0 after --help, --recipes and --version.
    """
    with outliving_readers():
        return _run_command(name, main, sys.argv[1:] if argv is None else argv)


def _run_command(name: str, main: Callable[[Sequence[str]], int | None], argv: Sequence[str]) -> int:
    logger = logging.getLogger("dlth_tf")
    handlers = logger.handlers[:]  # restored for callers that run a command inside another program
    level = logger.level
    propagate = logger.propagate
    try:
        return main(argv) or DONE
    except BadInput as error:
        if error.__cause__ is not None and is_path(str(error.value)):  # raised inside the user's code
            print(_users_traceback(error.__cause__), end="", file=sys.stderr)
        print(f"{name}: --{_one_line(error)}", file=sys.stderr)
        return BAD_INPUT
    except flags.Error as error:
        print(f"{name}: {_one_line(error)}", file=sys.stderr)
        return BAD_INPUT
    except Stopped as stopped:
        print(f"{name}: {stopped}: run the same command again to resume", file=sys.stderr)
        return STOPPED
    except PageShown:
        raise
    except SystemExit as left:  # a network or a data set of the user's own may call sys.exit
        print(f"{name}: failed: SystemExit with code {left.code} was raised in {_place(left)}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return FAILED
    except Exception as error:
        traceback.print_exc()
        print(f"{name}: failed with {type(error).__name__}: {_one_line(error)}", file=sys.stderr)
        return FAILED
    finally:
        logger.handlers[:] = handlers
        logger.level = level
        logger.propagate = propagate


def run_console_script(name: str, main: Callable[[Sequence[str]], int | None]) -> int:
    """Runs a command whose flags may name the user's own code, which is then looked for in the working directory too.

    `python -m` looks there by itself. Installed packages come first here.
    """
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    return run_command(name, main)


def _users_traceback(error: BaseException) -> str:
    """Returns the traceback as Python prints it, without the frames of this package."""
    report = traceback.TracebackException.from_exception(error)
    report.stack = traceback.StackSummary.from_list(
        [frame for frame in report.stack if not frame.filename.startswith(_NOT_THE_USERS)]
    )
    return "".join(report.format())


def _place(error: BaseException) -> str:
    """Returns the file and the line in which an exception was raised."""
    *_, last = traceback.extract_tb(error.__traceback__)
    return f"{last.filename}, line {last.lineno}"


def _one_line(error: BaseException) -> str:
    text = " ".join(shown(str(error), MOST_LINE).split())
    return text.removeprefix("flag ") if isinstance(error, flags.IllegalFlagValueError) else text
