"""Roles of methods in the verdict on the paper's claim: the only module of `analysis` that names methods."""

from __future__ import annotations

COUNTERPART = {"rst": "lth", "rst_iter": "lth_iter"}  # like with like, as the paper compares them
# The counterpart for as many examples as the transformed ticket sees: like with like again, at equal budget.
AT_EQUAL_BUDGET: dict[str, tuple[str, ...]] = {"rst": ("lth_long",), "rst_iter": ()}
# One transformation beside several rounds of pruning: more than the paper claims.
HARDER: dict[str, tuple[str, ...]] = {"rst": ("lth_iter",), "rst_iter": ()}
TRANSFORMED = tuple(COUNTERPART)
CONTROLS = ("scratch", "scratch_long")
WINNING = (*COUNTERPART.values(), "lth_long")
LONG = ("scratch_long", "lth_long")  # made to see as many examples as a transformed ticket; a sentence says if they do

# Methods in the order in which they take their looks in plots: those that are compared most often have colors of their
# own. A new method is added at the end, so that no other one changes.
DRAWN = (
    *("dense", "scratch", "lth", "rst", "lth_long", "lth_iter", "scratch_long"),
    *("small_dense", "l1", "l1_iter", "rst_iter", "early_bird", "snip", "grasp"),
    *("ste", "synflow", "gmp", "set", "rigl"),
)

CONTROL = "control"
WINNING_TICKET = "winning ticket"
LIKE_WITH_LIKE = "like with like"
HARDER_QUESTION = "the harder question"


def role(method: str) -> str:
    """Returns the role of a method that a transformed ticket is compared with: `CONTROL` or `WINNING_TICKET`."""
    return WINNING_TICKET if method in WINNING else CONTROL


def opponents(method: str) -> tuple[str, ...]:
    """Returns the methods that a transformed ticket is compared with: the controls, its counterparts, a harder one."""
    return (*CONTROLS, *counterparts(method), *HARDER[method])


def question(method: str, against: str) -> str:
    """Returns the question that a comparison answers: `LIKE_WITH_LIKE`, `HARDER_QUESTION` or `CONTROL`.

    >>> question("rst", "lth"), question("rst", "lth_iter"), question("rst_iter", "lth_iter")
    ('like with like', 'the harder question', 'like with like')
    """
    if role(against) == CONTROL:
        return CONTROL
    return LIKE_WITH_LIKE if against in counterparts(method) else HARDER_QUESTION


def counterparts(method: str) -> tuple[str, ...]:
    """Returns the winning tickets that a transformed ticket is compared with like with like, its own one first."""
    return (COUNTERPART[method], *AT_EQUAL_BUDGET[method])
