r"""Sets the formulas, names and numbers of the pages when the site is built (a hook of mkdocs.yml).

In a page, `$...$` is a formula in the text and `$$...$$` one of its own, both in LaTeX, as code hosts show them too.
They become MathML: no script, no fonts to load. Formulas with `\qquad` in between stand side by side where there is
room, and one below the other on a phone. A flag is kept in one piece, since browsers would break it behind its dashes.
A long name may break behind its separators, and a number in a table stays beside its deviation, interval or unit.
"""

from __future__ import annotations

import html
import re
from typing import Any

from latex2mathml.converter import convert

PIECE = re.compile(r"<pre\b.*?</pre>|<t[dh]\b.*?</t[dh]>|<code>[^<]+</code>", re.S)
CODE = re.compile(r"<code>([^<]+)</code>")
FLAG = re.compile(r"--?\w\S{1,32}")
OPTION = re.compile(r"(?<!\S)--?\w+")
WORD = re.compile(r"\S+")
BREAK = re.compile(r"(?<=[/_:=,(])(?=\w)|(?<=\w\.)(?=[A-Za-z_]{6})")
IN_CELL, IN_TEXT = 16, 32  # characters of a name that need no break
COMMANDS = re.compile(r'<div class="language-(?:sh|bash|shell) highlight">.*?</div>', re.S)
LONG_PATH = re.compile(r"(?<=[\s>])[^\s<>]{40,}")
TOGETHER = re.compile(r"(?<=\d) (?=[±/])|(?<=[±/]) (?=\d)|(?<=\d,) (?=-?[\d.]+\])|(?<=\d) (?=(?:%|min|[smhGT]|[kM]B)<)")
WORDS = re.compile(r"\\text\{[^}]*\}")  # in which the converter takes an escaped _ for two letters
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.S)


def on_page_content(content: str, **_: Any) -> str:
    """Sets every formula, name and number of a page; mkdocs calls this for every page."""
    return COMMANDS.sub(_commands, PIECE.sub(_piece, FORMULA.sub(_formula, content)))


def _formula(match: re.Match[str]) -> str:
    latex = WORDS.sub(lambda words: words[0].replace(r"\_", "_"), html.unescape(match[3]).strip())
    if match[2] == "(":
        return convert(latex, display="inline")
    formulas = [convert(part.strip(), display="block") for part in latex.split(r"\qquad")]
    return formulas[0] if len(formulas) == 1 else f'<div class="formulas">{"".join(formulas)}</div>'


def _piece(match: re.Match[str]) -> str:
    if match[0].startswith("<pre"):  # it scrolls
        return match[0]
    if match[0].startswith("<code"):
        return _names(match[0], IN_TEXT)
    return _names(TOGETHER.sub("&nbsp;", match[0]), IN_CELL)


def _names(content: str, limit: int) -> str:
    def name(match: re.Match[str]) -> str:
        if FLAG.fullmatch(html.unescape(match[1])):
            return f'<code class="flag">{match[1]}</code>'
        return f"<code>{WORD.sub(lambda word: _word(word[0], limit), match[1])}</code>"

    return CODE.sub(name, content)


def _word(word: str, limit: int) -> str:
    if option := OPTION.match(word):
        return f'<span class="flag">{option[0]}</span>{BREAK.sub("<wbr>", word[option.end() :])}'
    if len(html.unescape(word)) > limit:
        return BREAK.sub("<wbr>", word)
    return f'<span class="flag">{word}</span>' if "-" in word else word


def _commands(match: re.Match[str]) -> str:
    block = LONG_PATH.sub(lambda path: BREAK.sub("<wbr>", path[0]), match[0])
    return re.sub(r"(?<=[\s>])(--\w+)", r'<span class="flag">\1</span>', block)
