"""Roles of methods in the verdict on the paper's claim: the only module of `analysis` that names methods."""

from __future__ import annotations

TRANSFORMED = ("rst", "rst_iter")
CONTROLS = ("scratch", "scratch_long")
WINNING = ("lth_iter", "lth")  # in order of preference: the first that a sweep has at a sparsity is its winning ticket
REMARKS = {"scratch_long": "as many images as rst"}  # follows the method's name in a sentence

CONTROL = "control"
WINNING_TICKET = "winning ticket"


def role(method: str) -> str:
    """Returns the role of a method that a transformed ticket is compared with: `CONTROL` or `WINNING_TICKET`."""
    return WINNING_TICKET if method in WINNING else CONTROL
