"""Looks of the methods in plots: a color and a marker for each, the same in every sweep."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from dlth_tf.analysis.roles import DRAWN

# Okabe and Ito's palette for color-blind readers, without its yellow (too pale on white). Seven colors and nine markers
# have no common divisor, so 63 methods all look different.
_COLORS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
_ALL = tuple(itertools.islice(zip(itertools.cycle(_COLORS), itertools.cycle(_MARKERS), strict=False), 63))
MOST_METHODS = len(_ALL)


def looks_of(methods: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Returns color and marker by method; other methods than the package's take looks that no method of it has.

    Args:
      methods: Names of at most MOST_METHODS methods.

    >>> looks_of(["rst"])["rst"] == looks_of(["mine", "dense", "rst"])["rst"]
    True
    """
    methods = list(methods)
    looks = dict(zip(DRAWN, _ALL, strict=False))
    taken = {looks[name] for name in methods if name in looks}
    free = [look for look in (*_ALL[len(DRAWN) :], *_ALL) if look not in taken]
    others = dict(zip((name for name in methods if name not in looks), dict.fromkeys(free), strict=False))
    return {name: looks[name] if name in looks else others[name] for name in methods}
