"""What all pictures share: their look, their size, their bytes."""

from __future__ import annotations

import io
from typing import Any

from matplotlib.figure import Figure

WIDTH, DPI = 6.0, 192  # inches; a small figure, so that its words can be read on a phone
_LINE = 0.21  # height of one line of a legend, inches
STYLE: dict[Any, Any] = {
    "text.parse_math": False,  # a name may hold a dollar sign
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "legend.frameon": False,
}


def png(figure: Figure) -> bytes:
    """The figure's bytes, the same for the same figure."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=DPI, metadata={"Software": None})
    return picture.getvalue()


def add_legend(figure: Figure, handles: list[Any], labels: list[str]) -> None:
    """A legend below the plot, in as many columns as its longest name allows; the figure grows by what it takes beyond one line."""
    columns = max(1, min(len(labels), 72 // (8 + max(len(line) for label in labels for line in label.splitlines()))))
    lines = -(-len(labels) // columns) * max(len(label.splitlines()) for label in labels)
    figure.set_figheight(figure.get_figheight() + _LINE * (lines - 1))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)
