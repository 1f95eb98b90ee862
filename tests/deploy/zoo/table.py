"""The list and table of the zoo on the page about deployment; `python -m tests.deploy.zoo.table` writes it there."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from tests.deploy.zoo import KINDS
from tests.deploy.zoo.judge import FORMS
from tests.deploy.zoo.network import Network

BEGIN, END = "<!-- zoo: begin -->\n", "<!-- zoo: end -->\n"
PAGE = Path(__file__).resolve().parents[3] / "docs/deploy.md"


def table() -> str:
    """Returns a list of what every form holds, and a table of what some form refuses, each by kind of network."""
    whole: dict[str, list[str]] = defaultdict(list)
    refused: dict[tuple[str, str], list[str]] = defaultdict(list)
    for kind, networks in KINDS.items():
        for name, network in networks.items():
            names = refused[kind, _reasons(network)] if network.refused else whole[kind]
            names.append(_name(name, network))
    lines = [f"- **{kind}**: {'; '.join(names)}" for kind, names in whole.items()]
    lines += ["", "Refused by some forms:", "", "| networks | refused by |", "|---|---|"]
    lines += [f"| **{kind}**: {'; '.join(names)} | {reasons} |" for (kind, reasons), names in refused.items()]
    return "\n".join(lines) + "\n"


def _reasons(network: Network) -> str:
    forms: dict[str, list[str]] = defaultdict(list)
    for form in FORMS:
        if form in network.refused:
            forms[network.refused[form].words].append(f"`{form}`")
    every = len(network.refused) == len(FORMS)
    return "; ".join(f"{'all' if every else ', '.join(names)}: {words}" for words, names in forms.items())


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
