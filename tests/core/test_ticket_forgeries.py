"""Files that were made to look like a ticket: refused without running code or using much memory."""

from __future__ import annotations

import io
import pickle
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dlth_tf import files
from dlth_tf.core import Ticket
from dlth_tf.core.ticket import MOST_SIDECAR_BYTES
from tests.core.forgery import foreign, npy, npz, one_mask, put, refusal

MEMORY = MOST_SIDECAR_BYTES + 2**21  # the buffer that the sidecar is read into, and some slack


def test_padding_bits_are_no_weights(path):
    put(path, files.npz_bytes({"a": np.array([0b10111111], np.uint8)}), one_mask(2, 1), sign=True)
    assert Ticket.load(path)["a"].tolist() == [True, False]


def test_a_forged_mask_that_keeps_nothing_is_refused(path):
    put(path, files.npz_bytes({"a": np.array([0b00111111], np.uint8)}), one_mask(2, 0), sign=True)
    assert "its mask keeps nothing" in refusal(path)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (foreign(np.zeros(1)), "its array a is float64[1], expected uint8[1]"),
        (foreign(np.zeros(1, bool)), "its array a is bool[1], expected uint8[1]"),
        (foreign(np.zeros((1, 1), np.uint8)), "its array a is uint8[1, 1], expected uint8[1]"),
        (foreign(np.zeros(1, "U3")), "an array of dtype <U3 is not allowed"),
        (foreign(np.zeros(1, "u1,u1")), "is not allowed"),
        (foreign(np.zeros(1, "M8[s]")), "is not allowed"),
        (foreign(np.asfortranarray(np.zeros((2, 2), np.uint8))), "is not allowed"),
        (npz({"a.npy": b""}), "an array header is damaged"),
        (npz({"a.npy": b"\x80"}), "an array header is damaged"),
        (npz({}), "it contains the arrays , expected a"),
        (npz({"b\n.npy": b""}), "it contains the arrays 'b\\n', expected a"),
        (b"PK", "it is not a readable .npz file (File is not a zip file)"),
        (b"PK\x05\x06" + bytes(18), "it contains the arrays , expected a"),
    ],
    ids=range(13),
)
def test_a_foreign_npz_is_refused_even_with_its_true_checksum(path, data, reason):
    put(path, data, one_mask(3, 1), sign=True)
    assert reason in refusal(path)


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000,)}\n",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1000000, 1000000)}\n",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (-1,)}\n",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (-1, -1)}\n",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (%s, 0)}\n" % 10**30,
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1.0,)}\n",
        "{'descr': '|u1', 'fortran_order': True, 'shape': (1,)}\n",
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}\n",
        "{'descr': '|V1', 'fortran_order': False, 'shape': (1,)}\n",
        "{'descr': '<U1000000000', 'fortran_order': False, 'shape': (1,)}\n",
        "{'descr': [('a', '|u1', (1000000000,))], 'fortran_order': False, 'shape': (1,)}\n",
        "{'descr': '|u1', 'fortran_order': False}\n",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1,), 'more': 0}\n",
        "{'descr': (\n",
        "{'descr': '''\n",
        "  1\n 1",
        "(" * 1000,
        "-" * 4000,
        "1" * 5000,
        "__import__('os').system('false')",
        "\0",
        b"\xff\xfe",
        "",
    ],
    ids=lambda header: ascii(header)[:60],
)
def test_a_forged_array_header_is_refused_without_taking_memory(path, header):
    put(path, npz({"a.npy": npy(header, b"\xff")}), one_mask(3, 3), sign=True)
    tracemalloc.start()
    sentence = refusal(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "array" in sentence and len(sentence) < 300
    assert peak < MEMORY


def test_the_same_header_without_a_lie_would_be_accepted(path):
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (1,)}\n"
    put(path, npz({"a.npy": npy(header, b"\xff")}), one_mask(3, 3), sign=True)
    assert Ticket.load(path)["a"].all()
    put(path, npz({"a.npy": npy(header, b"\xff", version=b"\x02\x00")}), one_mask(3, 3), sign=True)
    assert "an array header is damaged" in refusal(path)


def test_a_zip_bomb_is_refused_without_unpacking_it(path):
    size = 64 * 2**20
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({size},)}}\n"
    bomb = npz({"a.npy": npy(header, bytes(size))}, zipfile.ZIP_DEFLATED)
    assert len(bomb) < size / 500
    for bits in (8 * size, 8 * len(bomb)):
        put(path, bomb, one_mask(bits, bits), sign=True)
        tracemalloc.start()
        refusal(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < MEMORY


class Bomb:
    """An object whose unpickling writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Callable, tuple[str, str]]:
        return open, (self.path, "w")


@pytest.mark.parametrize("size", [1, 8])
def test_a_pickle_in_the_npz_is_never_read(path, tmp_path, size):
    went_off = tmp_path / "went off"
    data = foreign(np.array([Bomb(went_off)], object))
    put(path, data, one_mask(size, size), sign=True)
    assert "an array of dtype object is not allowed" in refusal(path)
    put(path, npz({"a.npy": pickle.dumps(Bomb(went_off))}), one_mask(size, size), sign=True)
    refusal(path)
    put(path, pickle.dumps(Bomb(went_off)), one_mask(size, size), sign=True)
    refusal(path)
    assert not went_off.exists()
    np.load(io.BytesIO(data), allow_pickle=True)["a"]
    assert went_off.exists(), "the bomb was a dud"
