"""Generates the flag reference from the flags themselves; scripts/generated_parts.py writes it into the pages."""

from __future__ import annotations

import contextlib
import html
import importlib
import re
from dataclasses import dataclass
from typing import Any
from unittest import mock

KINDS = {"bool": "switch", "int": "whole number", "float": "number", "list": "comma list", "text": "text"}


@dataclass(frozen=True)
class Flag:
    """One flag as its command defines it.

    Attributes:
      name: Name of the flag, without the dashes.
      kind: A value of KINDS or, for a duration, its description with the unit of a plain number.
      default: Default value as text; empty if there is none.
      text: Help text of the flag.
    """

    name: str
    kind: str
    default: str
    text: str


def flags_of(command: str) -> dict[str, list[Flag]]:
    """Returns group -> flags of `python -m dlth_tf.<command>`, in the order of its --help."""
    module = importlib.import_module(f"dlth_tf.{command}")
    captured: dict[str, Any] = {}

    def parse(values: Any, argv: Any, page: Any) -> None:
        captured["values"] = values
        page()
        raise SystemExit(0)

    def help_text(usage: str, groups: dict[str, list[tuple[str, str, Any]]]) -> str:
        captured["groups"] = groups
        return ""

    with mock.patch.multiple(module, parse=parse, help_text=help_text), contextlib.suppress(SystemExit):
        module.main([])
    values = captured["values"]
    return {group: [_flag(values, *entry) for entry in entries] for group, entries in captured["groups"].items()}


def _flag(values: Any, name: str, text: str, default: Any) -> Flag:
    kind = KINDS[values[name].parser.kind]
    duration = re.search(r"plain number: (\w+)\)", text)
    if duration:
        kind = f"duration{'s' if kind == 'comma list' else ''}; plain number: {duration[1]}"
    default_text = str(default).lower() if isinstance(default, bool) else "" if default in (None, "") else f"{default}"
    return Flag(name, kind, default_text, text)


def tables(command: str, only: str | None = None) -> str:
    """Returns the flags of a command as Markdown tables, one per group.

    Args:
      command: Name of the command, for example "train".
      only: The one group to include; all groups if None.
    """
    parts = []
    groups = flags_of(command)
    for group, flags in {only: groups[only]}.items() if only else groups.items():
        rows = [f"| `--{flag.name}` | {_meaning(flag)} |" for flag in flags]
        head = [f"### {command}: {group}", "", "| flag | meaning |", "|---|---|"]
        parts.append("\n".join([*head, *rows]))
    return "\n\n".join(parts)


def _meaning(flag: Flag) -> str:
    """Returns the help text with kind and default below it: two columns fit a phone."""
    default = f", default `{flag.default}`" if flag.default else ""
    return f"{_escaped(flag.text)}<br>*{flag.kind}*{default}"


def _escaped(text: str) -> str:
    """Escapes Markdown and HTML, so that a table cell shows the text literally."""
    return re.sub(r"([\\`*_{}\[\]|#])", r"\\\1", html.escape(text, quote=False))
