"""The reference of all flags, made from the flags themselves while the site is built (a hook of mkdocs.yml).

In a page, `<!-- flags of train -->` becomes the tables of that command's flags, grouped as its --help groups them;
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

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # mkdocs loads a hook without the folder it was started in

KINDS = {"bool": "switch", "int": "whole number", "float": "number", "list": "comma list", "text": "text"}
MARK = re.compile(r"<!-- flags of (\w+)(?:: (.+?))? -->")


@dataclass(frozen=True)
class Flag:
    """One flag as its command defines it.

    Attributes:
      name: without the dashes.
      kind: a value of KINDS, or what a duration without a unit counts.
      default: as text; empty where there is none.
      text: what --help says.
    """

    name: str
    kind: str
    default: str
    text: str


def flags_of(command: str) -> dict[str, list[Flag]]:
    """Group -> flags of `python -m dlth_tf.<command>`, in the order of its --help."""
    module = importlib.import_module(f"dlth_tf.{command}")
    seen: dict[str, Any] = {}

    def parse(values: Any, argv: Any, page: Any) -> None:
        seen["values"] = values
        page()
        raise SystemExit(0)

    def help_text(usage: str, groups: dict[str, list[tuple[str, str, Any]]]) -> str:
        seen["groups"] = groups
        return ""

    with mock.patch.multiple(module, parse=parse, help_text=help_text), contextlib.suppress(SystemExit):
        module.main([])
    return {group: [_flag(seen["values"], *entry) for entry in entries] for group, entries in seen["groups"].items()}


def _flag(values: Any, name: str, text: str, default: Any) -> Flag:
    kind = KINDS[values[name].parser.kind]
    duration = re.search(r"plain: (\w+)\)", text)
    if duration:
        kind = f"duration{'s' if kind == 'comma list' else ''}; plain: {duration[1]}"
    shown = str(default).lower() if isinstance(default, bool) else "" if default in (None, "") else f"{default}"
    return Flag(name, kind, shown, text)


def tables(command: str, only: str | None = None) -> str:
    """The groups of a command, or one of them, as Markdown tables."""
    parts = []
    groups = flags_of(command)
    for group, flags in {only: groups[only]}.items() if only else groups.items():
        rows = [f"| `--{flag.name}` | {flag.kind} | {_code(flag.default)} | {_escaped(flag.text)} |" for flag in flags]
        parts.append(
            "\n".join(
                [f"### {command}: {group}", "", "| flag | value | default | what it is |", "|---|---|---|---|", *rows]
            )
        )
    return "\n\n".join(parts)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _escaped(text: str) -> str:
    """Text as it is, inside a cell of a table: no markup, no HTML."""
    return re.sub(r"([\\`*_{}\[\]|#])", r"\\\1", html.escape(text, quote=False))


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by mkdocs for every page."""
    return MARK.sub(lambda match: tables(match[1], match[2]), markdown)
