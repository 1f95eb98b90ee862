"""Writes into the pages what is generated: tables of flags, the code of the examples, and results of benchmarks.

    python scripts/generated_parts.py

So they can be read on a code host too. As a hook of mkdocs.yml it renews them whenever the site is built. In a page,
the lines between `<!-- flags of train: begin -->` and `<!-- end -->` are the tables of that command's flags, those
after `<!-- flags of sweep: The sweep: begin -->` the table of one group, those after
`<!-- examples/x.py: begin -->` that file, and those after `<!-- results of sweep: begin -->` the section of that
benchmark in benchmarks/RESULTS.md.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# mkdocs loads a hook without the working directory on sys.path.
sys.path.insert(0, str(ROOT))

from scripts import bench, flag_reference  # noqa: E402

FLAGS = re.compile(r"(<!-- flags of (\w+)(?:: ([^:\n]+))?: begin -->\n).*?(<!-- end -->)", re.S)
RESULTS = re.compile(r"(<!-- results of (\w+): begin -->\n).*?(<!-- end -->)", re.S)
FILE = re.compile(r"(<!-- (examples/\w+\.py): begin -->\n).*?(<!-- end -->)", re.S)


def renewed(markdown: str) -> str:
    """Returns a page with its generated parts as they are now."""
    markdown = FLAGS.sub(
        lambda match: f"{match[1]}\n{flag_reference.tables(match[2], match[3])}\n\n{match[4]}", markdown
    )
    markdown = RESULTS.sub(lambda match: f"{match[1]}\n{results(match[2])}\n\n{match[3]}", markdown)
    return FILE.sub(lambda match: f"{match[1]}\n```python\n{(ROOT / match[2]).read_text()}```\n\n{match[3]}", markdown)


def results(name: str) -> str:
    """Returns what a benchmark has printed, as benchmarks/RESULTS.md has it."""
    recorded = bench.sections(bench.RESULTS.read_text()) if bench.RESULTS.exists() else {}
    if name not in recorded:
        return f'No figures are recorded here: `make bench ONLY="{name}"` measures them on your machine.'
    return recorded[name].split("\n", 2)[2].strip()


def pages() -> list[Path]:
    """Returns the pages that have generated parts."""
    return [path for path in sorted((ROOT / "docs").rglob("*.md")) if ": begin -->" in path.read_text()]


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Renews the generated parts of a page; mkdocs calls this for every page."""
    return renewed(markdown)


if __name__ == "__main__":
    for page in pages():
        page.write_text(renewed(page.read_text()))
