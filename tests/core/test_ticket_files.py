"""Tickets on disk: a saved ticket is restored, and anything else is refused in one sentence."""

from __future__ import annotations

import errno
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dlth_tf.core import Ticket
from dlth_tf.errors import BadInput
from tests.core.forgery import TICKET, put, refusal

NAMES = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=8)
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)
MASKS = hnp.arrays(bool, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)).filter(
    lambda mask: mask.any() or not mask.size
)


@settings(max_examples=100, deadline=None)
@given(
    masks=st.dictionaries(NAMES, MASKS, max_size=4), provenance=st.dictionaries(st.text(max_size=5), PLAIN, max_size=4)
)
def test_what_was_saved_comes_back(path, masks, provenance):
    ticket = Ticket(masks, provenance)
    ticket.save(path)
    loaded = Ticket.load(path)
    assert loaded == ticket and list(loaded) == list(ticket) and loaded.provenance == ticket.provenance
    assert all(loaded[name].shape == mask.shape and loaded[name].dtype == bool for name, mask in masks.items())
    assert not any(mask.flags.writeable for mask in loaded.values())


@pytest.mark.parametrize(
    "name", ["file", "allow_pickle", "a.npy", "a.npz", "arr_0", "../up", "/", "a/", "conv 1/kernel", "ä/核"]
)
def test_any_name_that_a_layer_may_have_comes_back(path, name):
    ticket = Ticket({name: [True, False], "other": [True]})
    ticket.save(path)
    assert Ticket.load(path) == ticket


def test_a_tensor_without_elements_comes_back_whatever_its_shape(path):
    Ticket({"a": np.ones((100_000, 0))}).save(path)
    assert Ticket.load(path)["a"].shape == (100_000, 0)


def test_memory_order_does_not_matter(path):
    mask = np.random.default_rng(0).random((5, 7, 3)) > 0.5
    Ticket({"a": np.asfortranarray(mask)}).save(path)
    assert np.array_equal(Ticket.load(path)["a"], mask)


def test_two_saves_give_the_same_bytes(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        TICKET.save(tmp_path / folder / "t.npz")
    for name in ("t.npz", "t.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_another_ticket_gives_other_bytes(path, saved):
    masks = {**TICKET, "fc/kernel": ~TICKET["fc/kernel"]}
    Ticket(masks, TICKET.provenance).save(path)
    assert path.read_bytes() != saved[0]


def test_the_files_are_the_packed_masks_and_what_describes_them(path, saved):
    TICKET.save(path)
    assert path.read_bytes() == saved[0]
    assert json.loads(path.with_suffix(".json").read_text()) == saved[1]
    assert sorted(file.name for file in path.parent.iterdir()) == ["ticket.json", "ticket.npz"]


def test_saving_again_replaces_the_ticket(path):
    Ticket({"a": [True, False]}).save(path)
    TICKET.save(path)
    assert Ticket.load(path) == TICKET


@pytest.mark.parametrize("name", ["ticket", "ticket.json", "ticket.npz.gz", "ticket.NPZ", ".npz"])
def test_a_file_name_that_does_not_end_in_npz_is_refused(tmp_path, name):
    for use in (TICKET.save, Ticket.load):
        with pytest.raises(BadInput, match=r": must be a file name that ends in \.npz$"):
            use(tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("missing", ["ticket.npz", "ticket.json"])
def test_a_missing_file_is_named(tmp_path, missing):
    TICKET.save(tmp_path / "ticket.npz")
    (tmp_path / missing).unlink()
    assert refusal(tmp_path / "ticket.npz").endswith(f": cannot be read (No such file or directory: {missing})")


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("nowhere/ticket.npz", "No such file or directory"),
        ("file/ticket.npz", "Not a directory"),
        ("folder.npz", "Is a directory"),
    ],
)
def test_a_place_where_no_file_can_be_is_refused_with_the_name_given(tmp_path, place, why):
    (tmp_path / "file").touch()
    (tmp_path / "folder.npz").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BadInput) as refused:
        TICKET.save(tmp_path / place)
    allowed = f"cannot be written ({why}): must be a file in a folder that exists and is writable"
    assert str(refused.value) == f"ticket={tmp_path / place}: {allowed}"
    assert sorted(tmp_path.rglob("*")) == before


def test_a_full_disk_is_no_bad_input(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("dlth_tf.files.write_atomic", full)
    with pytest.raises(OSError, match="No space left on device"):
        TICKET.save(tmp_path / "ticket.npz")


def test_a_folder_is_no_ticket(tmp_path):
    TICKET.save(tmp_path / "ticket.npz")
    (tmp_path / "ticket.npz").unlink()
    (tmp_path / "ticket.npz").mkdir()
    assert "cannot be read (Is a directory: ticket.npz)" in refusal(tmp_path / "ticket.npz")


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_truncated_file_is_refused(path, saved, data):
    size = data.draw(st.integers(0, len(saved[0]) - 1))
    put(path, saved[0][:size], saved[1])
    assert "the checksum in its .json is not that of the .npz" in refusal(path)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_single_flipped_bit_is_seen(path, saved, data):
    bit = data.draw(st.integers(0, 8 * len(saved[0]) - 1))
    damaged = bytearray(saved[0])
    damaged[bit // 8] ^= 1 << bit % 8
    put(path, bytes(damaged), saved[1])
    assert "the checksum in its .json is not that of the .npz" in refusal(path)


def test_the_json_of_another_ticket_is_refused(path, saved):
    Ticket({**TICKET, "fc/kernel": ~TICKET["fc/kernel"]}).save(path)
    other = path.with_suffix(".json").read_bytes()
    put(path, saved[0], other)
    assert "not its pair" in refusal(path)


def test_the_untouched_files_would_be_accepted(path, saved):
    put(path, *saved)
    assert Ticket.load(path) == TICKET
    put(path, *saved, sign=True)
    assert Ticket.load(path) == TICKET


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"\xff\xfe\x00", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"9" * 10_000, "not valid JSON"),
        (b"null", "does not say 'dlth_tf ticket 1'"),
        (b"[]", "does not say 'dlth_tf ticket 1'"),
        (b'{"format": "dlth_tf ticket 2"}', "does not say 'dlth_tf ticket 1'"),
        (b'{"format": "dlth_tf ticket 1"}', "the checksum in its .json"),
        (b" " * (16 * 2**20 + 1), "larger than any ticket's"),
    ],
    ids=range(10),
)
def test_a_json_that_is_no_sidecar_is_refused(path, saved, text, reason):
    put(path, saved[0], text)
    assert reason in refusal(path)


FC = {"shape": [7], "kept": 4, "removed": 3}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"tensors": None}, "lacks the tensors or the provenance"),
        ({"provenance": []}, "lacks the tensors or the provenance"),
        ({"provenance": {"seed": [1]}}, "must map names to text"),
        ({"provenance": {"seed": float("nan")}}, "not valid JSON"),
        ({"tensors": {}}, "it contains the arrays conv1/kernel, fc/kernel, expected"),
        ({"fc/kernel": None}, "the shape of fc/kernel"),
        ({"fc/kernel": [7]}, "the shape of fc/kernel"),
        ({"fc/kernel": {**FC, "shape": 7}}, "the shape of fc/kernel"),
        ({"fc/kernel": {**FC, "shape": [7.0]}}, "the shape of fc/kernel"),
        ({"fc/kernel": {**FC, "shape": [True, 7]}}, "the shape of fc/kernel"),
        ({"fc/kernel": {**FC, "shape": [-7, -1]}}, "the shape of fc/kernel"),
        ({"fc/kernel": {**FC, "shape": [1] * 33}}, "the shape of fc/kernel"),
        ({"fc/kernel": {**FC, "shape": [10**12]}}, "the shape of fc/kernel"),
        ({"fc/kernel": {**FC, "shape": [10**6, 10**6]}}, "the shape of fc/kernel"),
        ({"fc/kernel": {**FC, "shape": [10**30, 0]}}, "the shape of fc/kernel"),
        (
            {"fc/kernel": {**FC, "shape": [2**30, 2**30, 2**30, 0]}},
            "its array fc/kernel is uint8[1], expected uint8[0]",
        ),
        ({"fc/kernel": {**FC, "shape": [9]}}, "its array fc/kernel is uint8[1], expected uint8[2]"),
        ({"fc/kernel": {**FC, "shape": [8]}}, "the counts in its .json are not those of its masks"),
        ({"fc/kernel": {**FC, "shape": [7, 1]}}, None),
        ({"fc/kernel": {**FC, "kept": 5, "removed": 2}}, "the counts in its .json are not those of its masks"),
        ({"fc/kernel": {"shape": [7]}}, "the counts in its .json are not those of its masks"),
        ({"fc/kernel": {**FC, "more": 1}}, "the counts in its .json are not those of its masks"),
        ({"fc/other": FC}, "it contains the arrays"),
        ({"a\nb": FC}, "every mask needs a name"),
        ({"\x1b[31m": FC}, "every mask needs a name"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_a_sidecar_that_does_not_fit_its_masks_is_refused(path, saved, change, reason):
    top = {key: value for key, value in change.items() if key in saved[1]}
    tensors = {key: value for key, value in change.items() if key not in saved[1]}
    put(path, saved[0], {**saved[1], "tensors": {**saved[1]["tensors"], **tensors}, **top})
    if reason is None:  # as many weights in another shape: nothing in the files contradicts it
        assert Ticket.load(path)["fc/kernel"].shape == (7, 1)
    else:
        assert reason in refusal(path)
