"""What the four commands share: flags from dataclass fields, help by group, errors in one line, exit codes."""

from __future__ import annotations

import dataclasses
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from absl import flags

from dlth_tf.console import help_text as help_text
from dlth_tf.console import print_table as print_table
from dlth_tf.console import show_log as show_log
from dlth_tf.errors import BadInput
from dlth_tf.registry import is_path
from dlth_tf.stopping import STOPPED, Stopped

DONE, FAILED, BAD_INPUT = 0, 1, 2
NOT_THE_USERS = (
    os.path.dirname(os.path.abspath(__file__)) + os.sep,
    "<frozen importlib",
)  # files whose lines are not their code


class _Parser(flags.ArgumentParser):
    """Reads a flag's text as the kind that its field names."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.syntactic_help = kind

    def parse(self, argument: Any) -> Any:
        """The value; a ValueError says what is allowed."""
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
        """What absl calls the kind."""
        return self.kind


def _boolean(text: Any) -> bool:
    words = {"true": True, "t": True, "1": True, "yes": True, "false": False, "f": False, "0": False, "no": False}
    return words[str(text).lower()]


def define(values: flags.FlagValues, name: str, default: Any, text: str, kind: str = "text") -> None:
    """Adds one flag; booleans can be given as --name and --noname too."""
    if kind == "bool":
        flags.DEFINE_boolean(name, default, text, flag_values=values)
        values[name].parser = _Parser(kind)
    else:
        flags.DEFINE(_Parser(kind), name, default, text, flag_values=values)


def define_fields(values: flags.FlagValues, fields: Iterable[dataclasses.Field[Any]]) -> None:
    """Adds a flag for every dataclass field that says what it is for."""
    for item in fields:
        define(values, item.name, item.default, item.metadata["help"], kind_of(item))


def kind_of(item: dataclasses.Field[Any]) -> str:
    """Returns the kind of flag for a dataclass field, read off its annotation."""
    if item.metadata["comma_list"]:
        return "list"
    annotation = str(item.type).split(" | ")[0]  # text, since annotations are not evaluated
    return annotation if annotation in ("int", "float", "bool") else "text"


def field_groups(fields: Iterable[dataclasses.Field[Any]]) -> dict[str, list[tuple[str, str, Any]]]:
    """Dataclass fields as `help_text` takes them."""
    groups: dict[str, list[tuple[str, str, Any]]] = {}
    for item in fields:
        groups.setdefault(item.metadata["group"], []).append((item.name, item.metadata["help"], item.default))
    return groups


def parse(values: flags.FlagValues, argv: Sequence[str], page: Callable[[], str]) -> flags.FlagValues:
    """Parses a command line (with its --flagfile files) into `values`.

    Raises:
      SystemExit: 0 after --help.
      BadInput: a flag file that cannot be read.
      absl.flags.Error: unknown or unparsable flags, and words that are no flags.
    """
    flags.DEFINE_boolean("help", False, "show this page", short_name="h", flag_values=values, allow_override=True)
    try:
        rest = values([os.path.basename(sys.argv[0] or "dlth_tf"), *argv])[1:]
    except flags.CantOpenFlagFileError as error:
        cause = error.__context__
        raise BadInput("flagfile", cause.filename, f"cannot be read ({cause.strerror})") from None
    except ValueError as error:  # what absl lets through: --noflag=value, a flag file that is no text
        raise flags.Error(str(error)) from None
    if values.help:
        print(page())
        raise SystemExit(DONE)
    if rest:
        raise flags.Error(f"{' '.join(rest)}: only flags are allowed, in the form --name=value")
    return values


def run_command(name: str, main: Callable[[Sequence[str]], int | None], argv: Sequence[str] | None = None) -> int:
    """Runs a command and turns what it raises into one line on stderr and an exit code.

    Returns:
      0 done; 1 the run failed; 2 bad flags or bad input; 75 stopped by a signal, the same command goes on.
    """
    logger = logging.getLogger("dlth_tf")
    before = (
        logger.handlers[:],
        logger.level,
        logger.propagate,
    )  # of whoever calls a command inside a process of their own
    try:
        return main(sys.argv[1:] if argv is None else argv) or DONE
    except BadInput as error:
        if error.__cause__ is not None and is_path(str(error.value)):  # raised inside the user's own code
            print(_users_traceback(error.__cause__), end="", file=sys.stderr)
        print(f"{name}: --{_one_line(error)}", file=sys.stderr)
        return BAD_INPUT
    except flags.Error as error:
        print(f"{name}: {_one_line(error)}", file=sys.stderr)
        return BAD_INPUT
    except Stopped as stopped:
        print(f"{name}: {stopped}: run the same command again to go on", file=sys.stderr)
        return STOPPED
    except (
        BrokenPipeError
    ):  # the reader has what it wanted (| head); nothing more can be printed, at the interpreter's end either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return FAILED
    except Exception as error:
        traceback.print_exc()
        print(f"{name}: failed with {type(error).__name__}: {_one_line(error)}", file=sys.stderr)
        return FAILED
    finally:
        logger.handlers[:], logger.level, logger.propagate = before


def _users_traceback(error: BaseException) -> str:
    """What Python would have printed, without our own lines."""
    shown = traceback.TracebackException.from_exception(error)
    shown.stack = traceback.StackSummary.from_list(
        [frame for frame in shown.stack if not frame.filename.startswith(NOT_THE_USERS)]
    )
    return "".join(shown.format())


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text.removeprefix("flag ") if isinstance(error, flags.IllegalFlagValueError) else text
