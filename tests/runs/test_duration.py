"""Durations as typed: 160ep, 500it, or a number in the default unit of the flag."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlth_tf.errors import BadInput
from dlth_tf.runs.duration import Duration


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        ("160ep", "it", Duration(160, "ep")),
        ("500it", "ep", Duration(500, "it")),
        ("160", "ep", Duration(160, "ep")),
        ("160", "it", Duration(160, "it")),
        (160, "it", Duration(160, "it")),
        ("0", "ep", Duration(0, "ep")),
        (" 7 ep ", "it", Duration(7, "ep")),
        ("007it", "ep", Duration(7, "it")),
        (Duration(3, "it"), "ep", Duration(3, "it")),
    ],
)
def test_a_duration_is_read_in_its_own_unit_or_in_the_flags(text, unit, expected):
    assert Duration.parse(text, unit) == expected


@given(count=st.integers(0, 10**12 - 1), unit=st.sampled_from(["ep", "it"]), other=st.sampled_from(["ep", "it"]))
def test_what_it_prints_it_reads(count, unit, other):
    assert Duration.parse(str(Duration(count, unit)), other) == Duration(count, unit)


@pytest.mark.parametrize(("text", "steps"), [("160ep", 16_000), ("500it", 500), ("0ep", 0), ("1ep", 100)])
def test_epochs_become_steps(text, steps):
    assert Duration.parse(text).steps(100) == steps


def test_a_plain_number_means_epochs_unless_the_flag_says_otherwise():
    assert Duration.parse(3) == Duration(3, "ep") != Duration(3, "it")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "ep",
        "it",
        "-1",
        "-1ep",
        "+1",
        "1.5ep",
        "1e3",
        "3 epochs",
        "3e",
        "3EP",
        "ep3",
        "3ep4",
        "3;it",
        3.0,
        True,
        None,
        "nan",
        "1" * 13,
    ],
    ids=repr,
)
def test_anything_else_is_refused_in_one_sentence(text):
    with pytest.raises(BadInput) as refused:
        Duration.parse(text, "it", name="hold_steps")
    assert str(refused.value) == (
        f"hold_steps={text}: must be a whole number of epochs (160ep) or steps (500it); a plain number means steps"
    )


def test_the_least_count_is_allowed_and_one_less_is_not():
    assert Duration.parse("1", least=1) == Duration(1, "ep")
    with pytest.raises(
        BadInput, match=r"^epochs=0: must be a positive whole number of epochs .* a plain number means epochs$"
    ):
        Duration.parse("0", name="epochs", least=1)


def test_a_duration_is_a_value():
    assert (
        Duration(3, "ep") == Duration(3, "ep") and len({Duration(3, "ep"), Duration(3, "ep"), Duration(3, "it")}) == 2
    )
    with pytest.raises(AttributeError):
        Duration(3, "ep").count = 4
