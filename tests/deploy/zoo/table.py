"""The table of the zoo on the page about deployment; `python -m tests.deploy.zoo.table` writes it there."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from tests.deploy.zoo import KINDS
from tests.deploy.zoo.judge import FORMS
from tests.deploy.zoo.network import Network

BEGIN, END = "<!-- zoo: begin -->\n", "<!-- zoo: end -->\n"
PAGE = Path(__file__).resolve().parents[3] / "docs/deploy.md"


def table() -> str:
    """Returns the table: networks of one kind that all forms treat alike share a row."""
    rows: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for kind, networks in KINDS.items():
        for name, network in networks.items():
            rows[kind, *_marks(network)].append(_name(name, network))
    lines = [f"| networks | {' | '.join(f'`{form}`' for form in FORMS)} |", f"|{'---|' * (1 + len(FORMS))}"]
    for (kind, *marks), names in rows.items():
        lines.append(f"| **{kind}**: {'; '.join(names)} | {' | '.join(marks)} |")
    return "\n".join(lines) + "\n"


def _marks(network: Network) -> list[str]:
    return [network.refused[form].words if form in network.refused else "yes" for form in FORMS]


def _name(name: str, network: Network) -> str:
    fixed = network.batch is not None and "tflite" not in network.refused
    return f"{name}{' ¹' if fixed else ''}"


def main() -> None:
    """Writes the table into the page."""
    page = PAGE.read_text()
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}{table()}{END}{after}")


if __name__ == "__main__":
    main()
