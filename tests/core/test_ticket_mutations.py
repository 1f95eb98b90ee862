"""Hundreds of damaged tickets: loading each returns a ticket or raises one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dlth_tf.core import Ticket
from dlth_tf.errors import BadInput
from tests.core.forgery import TICKET, entries, npz, put


def mutated(data: bytes, random: np.random.Generator) -> bytes:
    """Returns the bytes with one to three places flipped, overwritten, cut out, doubled or filled."""
    damaged = bytearray(data)
    for _ in range(random.integers(1, 4)):
        start = int(random.integers(0, len(damaged) + 1))
        stop = start + int(random.integers(0, 12))
        kind = random.integers(5)
        if kind == 0 and start < len(damaged):
            damaged[start] ^= 1 << int(random.integers(8))
        elif kind == 1:
            damaged[start:stop] = random.bytes(stop - start)
        elif kind == 2:
            del damaged[start:stop]
        elif kind == 3:
            damaged[stop:stop] = damaged[start:stop]
        else:
            damaged[start:stop] = bytes([random.choice([0, 0x7F, 0xFF])]) * (stop - start)
    return bytes(damaged)


def attacks(saved: tuple[bytes, dict]):
    """Yields mutations of the archive, with and without a matching checksum, of its arrays, and of the sidecar."""
    random = np.random.default_rng(20)
    data, sidecar = saved
    text = json.dumps(sidecar).encode()
    parts = entries(data)
    for turn in range(300):
        sign = turn % 2 == 0
        yield mutated(data, random), sidecar, sign
        yield npz({name: mutated(part, random) for name, part in parts.items()}), sidecar, True
        yield data, mutated(text, random), False


def escaped(load: Callable[[Path], object], path: Path, saved: tuple[bytes, dict]) -> set[str]:
    """Returns the exceptions that `load` raises under attack, except a BadInput of one printable line."""
    seen = set()
    for npz_data, sidecar, sign in attacks(saved):
        put(path, npz_data, sidecar, sign=sign)
        try:
            load(path)
        except BadInput as error:
            seen |= set() if str(error).isprintable() and str(error).startswith("ticket=") else {str(error)}
        except Exception as error:
            seen.add(type(error).__name__)
    return seen


def test_900_mutations_end_in_a_ticket_or_in_one_sentence(path, saved):
    assert escaped(Ticket.load, path, saved) == set()


@pytest.mark.filterwarnings("ignore")
def test_a_careless_reader_would_not_stand_them(path, saved):
    def load(path: Path) -> None:
        json.loads(path.with_suffix(".json").read_bytes())
        with np.load(path) as arrays:
            Ticket({name: np.unpackbits(arrays[name]) for name in arrays})

    assert {"BadZipFile", "JSONDecodeError"} <= escaped(load, path, saved)


def test_mutations_reach_the_parser(path, saved):
    reasons = set()
    for npz_data, sidecar, sign in attacks(saved):
        put(path, npz_data, sidecar, sign=sign)
        try:
            reasons.add("loaded" if Ticket.load(path) == TICKET else "another ticket")
        except BadInput as error:
            reasons |= {
                word
                for word in ("checksum", "valid JSON", "readable", "header", "counts", "shape")
                if word in str(error)
            }
    assert reasons >= {"loaded", "checksum", "valid JSON", "readable", "header", "counts", "shape"}
