"""Names in the records of runs, which may be somebody else's, and their forms for Markdown and spreadsheets."""

from __future__ import annotations

import re
from typing import Any

MOST_LETTERS = 200  # of a name


def check_name(value: Any) -> str:
    """Returns a name that a record of a run contains, if it can be shown anywhere.

    Raises:
      ValueError: If it is not a name; the message is the rest of a sentence.
    """
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be a name")
    if len(value) > MOST_LETTERS or not value.isprintable():
        raise ValueError(f"must be a name of at most {MOST_LETTERS} letters without control characters")
    return value


def markdown_text(text: str) -> str:
    r"""Returns plain text as Markdown that shows it: neither HTML nor links, pictures, emphasis or cells.

    >>> print(markdown_text("a|b <img> [x](y) *z* rst_iter _w_"))
    a\|b &lt;img&gt; \[x\](y) \*z\* rst_iter \_w\_
    """
    text = " ".join(text.split("\n")).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*\[\]|~!])", r"\\\1", text)
    return re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", text)  # inside of a word it is a letter


def spreadsheet_text(text: str) -> str:
    """Returns plain text as a cell of a CSV file that no spreadsheet takes for a formula.

    >>> spreadsheet_text("=1+1"), spreadsheet_text("rst")
    ("'=1+1", 'rst')
    """
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
