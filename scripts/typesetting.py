"""Sets the formulas and flags of the pages when the site is built (a hook of mkdocs.yml).

In a page, `$...$` is a formula in the text and `$$...$$` one of its own, both in LaTeX, as code hosts show them too.
They become MathML: no script, no fonts to load. A flag is kept in one piece; browsers would break it behind its dashes.
"""

from __future__ import annotations

import html
import re
from typing import Any

from latex2mathml.converter import convert

FLAG = re.compile(r"<code>(?=--?\w[^<\s]{1,32}</code>)")
COMMANDS = re.compile(r'<div class="language-(?:sh|bash|shell) highlight">.*?</div>', re.S)
WORDS = re.compile(r"\\text\{[^}]*\}")  # in which the converter takes an escaped _ for two letters
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.S)


def on_page_content(content: str, **_: Any) -> str:
    """Sets every formula and flag of a page; mkdocs calls this for every page."""
    content = FLAG.sub('<code class="flag">', FORMULA.sub(_set, content))
    return COMMANDS.sub(lambda match: re.sub(r"(?<=[\s>])(--\w+)", r'<span class="flag">\1</span>', match[0]), content)


def _set(match: re.Match[str]) -> str:
    latex = WORDS.sub(lambda words: words[0].replace(r"\_", "_"), html.unescape(match[3]).strip())
    return convert(latex, display="block" if match[2] == "[" else "inline")
