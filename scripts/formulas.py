"""Sets the formulas of the pages as MathML when the site is built (a hook of mkdocs.yml): no script, no fonts to load.

In a page, `$...$` is a formula in the text and `$$...$$` one of its own, both in LaTeX, as code hosts show them too.
"""

from __future__ import annotations

import html
import re
from typing import Any

from latex2mathml.converter import convert

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.S)


def on_page_content(content: str, **_: Any) -> str:
    """Replaces every formula of a page; mkdocs calls this for every page."""
    return FORMULA.sub(_set, content)


def _set(match: re.Match[str]) -> str:
    return convert(html.unescape(match[3]).strip(), display="block" if match[2] == "[" else "inline")
