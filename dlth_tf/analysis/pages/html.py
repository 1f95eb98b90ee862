"""Self-contained HTML pages without scripts, in light and dark, for any screen width; all text is escaped."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from string import Template

_STYLE = """
:root { color-scheme: light dark; --text: #1b1f24; --soft: #59636e; --page: #fbfbfa; --line: #d5d9de; --best: #0a6b3d;
        --card: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e8e6e3; --soft: #a9b1ba; --page: #16181b; --line: #3a4047; --best: #6fd8a4; --card: #fff; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem 1rem 3rem; max-width: 60rem; background: var(--page); color: var(--text);
       font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .2rem 0 1rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; border-top: 1px solid var(--line); padding-top: 1rem; }
p, li { max-width: 44rem; }
.soft { color: var(--soft); font-size: .9rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem .3rem 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; }
thead th { white-space: normal; vertical-align: bottom; }
.scroll tbody th { position: sticky; left: 0; background: var(--page); }
li { margin-bottom: .5rem; }
ul { padding-left: 1.2rem; }
th:first-child, td:first-child, .words th, .words td { text-align: left; }
.words th { vertical-align: top; }
.words td { white-space: normal; overflow-wrap: anywhere; }
.words .flag { white-space: nowrap; }
@media (max-width: 40rem) {
  .words, .words tbody { display: block; }
  .words tr { display: flex; flex-wrap: wrap; justify-content: space-between; border-bottom: 1px solid var(--line); }
  .words th, .words td { border: 0; padding-right: 0; }
}
strong { color: var(--best); }
figure { margin: 1rem 0; max-width: 46rem; background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
         padding: .6rem; }
figure img { display: block; width: 100%; height: auto; }
figcaption { color: #3d444d; font-size: .9rem; padding-top: .4rem; }
code { font-size: .9em; overflow-wrap: anywhere; }
"""

_SEPARATOR = re.compile(r"(?<=[/,=])(?=[\w.&])")
_FLAG = re.compile(r"(?<!\S)--\w+")

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>$style</style>
</head>
<body>
<main>
<h1>$title</h1>
$body</main>
</body>
</html>
""")


def page(title: str, sections: Iterable[tuple[str, Sequence[str]]]) -> str:
    """Returns a complete page.

    Args:
      title: Title as plain text.
      sections: Pairs of a heading (plain text) and parts (HTML returned by the functions below). A section without
        parts is omitted; a section with an empty heading continues the one above.
    """
    body = [
        (f"<h2>{escape(heading)}</h2>\n" if heading else "") + "".join(parts) for heading, parts in sections if parts
    ]
    return _PAGE.substitute(title=escape(title), style=_STYLE, body="".join(body))


def paragraph(text: str, soft: bool = False) -> str:
    """Returns plain text as a paragraph, smaller and paler if `soft`."""
    kind = ' class="soft"' if soft else ""
    return f"<p{kind}>{escape(text)}</p>\n"


def bullets(items: Iterable[str]) -> str:
    """Returns plain texts as a bulleted list."""
    return "<ul>\n" + "".join(f"<li>{escape(item)}</li>\n" for item in items) + "</ul>\n"


def table(label: str, header: Sequence[str], rows: Iterable[tuple[str, Sequence[tuple[str, bool]]]]) -> str:
    """Returns a table of numbers that scrolls separately if it is wider than the screen.

    Args:
      label: Description of the table for screen readers.
      header: Names of the columns.
      rows: Pairs of the row's name and its cells; a cell is a pair of its text and whether it is highlighted.
    """
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>' + "".join(_cell(text, best) for text, best in cells) + "</tr>\n"
        for name, cells in rows
    )
    # Focusable, so that it can be scrolled with the keyboard.
    start = f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}">'
    return f"{start}<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>\n"


def pairs(values: Mapping[str, str]) -> str:
    """Returns names and their values as a table of two columns; on a phone, a long value is below its name."""
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{_value(value)}</td></tr>\n' for name, value in values.items()
    )
    return f'<table class="words">\n<tbody>\n{rows}</tbody>\n</table>\n'


def picture(png: bytes, alternative: str, caption: str) -> str:
    """Returns a PNG embedded in the page.

    Args:
      png: Bytes of the image.
      alternative: Description of the image for screen readers.
      caption: Caption below the image.
    """
    data = base64.b64encode(png).decode()
    image = f'<img src="data:image/png;base64,{data}" alt="{escape(alternative)}">'
    return f"<figure>{image}\n<figcaption>{escape(caption)}</figcaption></figure>\n"


def _value(text: str) -> str:
    """Returns a value that breaks behind its separators, and not behind the dashes of a flag."""
    text = _SEPARATOR.sub("<wbr>", escape(text))
    return _FLAG.sub(lambda flag: f'<span class="flag">{flag[0]}</span>', text)


def _cell(text: str, best: bool) -> str:
    return f"<td><strong>{escape(text)}</strong></td>" if best else f"<td>{escape(text)}</td>"
