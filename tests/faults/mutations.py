"""Files as an accident would leave them: with parts flipped, overwritten, cut out, doubled, filled or cut off."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

PLACE = st.floats(0, 1, exclude_max=True)
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["flip", "put", "cut", "double", "fill", "end"]),
        PLACE,
        st.integers(0, 7),
        st.binary(max_size=12),
    ),
    min_size=1,
    max_size=3,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def mutated(data: bytes, changes: list[tuple[str, float, int, bytes]]) -> bytes:
    """Returns `data` after these changes."""
    damaged = bytearray(data)
    for kind, place, bit, new in changes:
        start = int(place * len(damaged))
        if kind == "flip" and damaged:
            damaged[start] ^= 1 << bit
        elif kind == "put":
            damaged[start : start + len(new)] = new
        elif kind == "cut":
            del damaged[start : start + len(new)]
        elif kind == "double":
            damaged[start:start] = damaged[start : start + 3 * len(new)]
        elif kind == "fill":
            damaged[start : start + 8] = bytes([255 * (bit % 2)]) * 8
        elif kind == "end":
            del damaged[start:]
    return bytes(damaged)


def replaced(value: Any, way: list[int], new: Any) -> Any:
    """Returns a JSON value with `new` somewhere inside; `way` is the path to it, as indices of the keys."""
    if not way or not isinstance(value, dict) or not value:
        return new
    key = sorted(value)[way[0] % len(value)]
    return {**value, key: replaced(value[key], way[1:], new)}


def refused_or_read(read: Callable[[], object], size: int) -> object:
    """Returns the value or the ValueError of `read`, which may use the memory of 50 copies of the file and 18 MB."""
    tracemalloc.start()
    try:
        return read()
    except ValueError as error:
        assert str(error).splitlines()[0].strip()
        return error
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 18_000_000 + 50 * size, peak


def changed_json(text: bytes, way: list[int], new: Any) -> bytes:
    return json.dumps(replaced(json.loads(text), way, new)).encode()
