"""Generates the flag reference from the flags themselves when the site is built (a hook of mkdocs.yml).

In a page, `<!-- flags of train -->` becomes the tables of that command's flags, in the groups of its --help;
`<!-- flags of sweep: The sweep -->` becomes the table of one group.
"""

from __future__ import annotations

import contextlib
import html
import importlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

# mkdocs loads a hook without the working directory on sys.path.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

KINDS = {"bool": "switch", "int": "whole number", "float": "number", "list": "comma list", "text": "text"}
MARK = re.compile(r"<!-- flags of (\w+)(?:: (.+?))? -->")


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
        rows = [f"| `--{flag.name}` | {flag.kind} | {_code(flag.default)} | {_escaped(flag.text)} |" for flag in flags]
        head = [f"### {command}: {group}", "", "| flag | value | default | meaning |", "|---|---|---|---|"]
        parts.append("\n".join([*head, *rows]))
    return "\n\n".join(parts)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _escaped(text: str) -> str:
    """Escapes Markdown and HTML, so that a table cell shows the text literally."""
    return re.sub(r"([\\`*_{}\[\]|#])", r"\\\1", html.escape(text, quote=False))


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replaces the marks in a page by tables; mkdocs calls this for every page."""
    return MARK.sub(lambda match: tables(match[1], match[2]), markdown)
