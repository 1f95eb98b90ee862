"""Plain numbers: numbers of every type become Python's own, and what is no number is refused by its own name."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction

import numpy as np
import pytest
import tensorflow as tf

from dlth_tf.errors import BadInput, renamed
from dlth_tf.plain_numbers import (
    ABOVE_0,
    BELOW_1,
    FINITE,
    FRACTION,
    Interval,
    json_value,
    plain,
    real_number,
    shape_with_unknowns,
    shortest,
    whole_number,
    whole_numbers,
    whole_or_none,
)

Five = IntEnum("Five", {"FIVE": 5})
FIVES = [
    *(kind(5) for kind in (int, np.int8, np.uint8, np.int32, np.int64, np.uint64, np.array, tf.constant, tf.Variable)),
    Five.FIVE,
    np.arange(9)[5],
    np.ceil(75 / 16).astype(np.int32),
]
NO_NUMBERS = [
    True,
    np.True_,
    np.array(True),
    "5",
    b"5",
    None,
    [5],
    (5,),
    {5},
    np.array([5]),
    np.array([[5, 5], [5, 5]]),
    5j,
    np.complex64(5),
    np.timedelta64(5, "s"),
    np.datetime64("2020"),
    object(),
    tf.constant([5]),
]


@pytest.mark.parametrize("five", FIVES, ids=repr)
def test_a_whole_number_of_any_type_becomes_a_python_int(five):
    for number in (
        whole_number("steps", five),
        real_number("rate", five),
        plain(five),
        *whole_numbers("shape", [five]),
    ):
        assert number == 5 and (type(number) is int or isinstance(five, IntEnum))
    assert type(whole_number("steps", five)) is int


@pytest.mark.parametrize(
    "kind", [float, np.float16, np.float32, np.float64, np.longdouble, np.array, tf.constant, Decimal]
)
@pytest.mark.parametrize("value", [0.3, 1e-4, 0.98, 0.25, 7.0])
def test_a_real_number_of_any_type_becomes_the_float_that_was_typed(kind, value):
    given = kind(str(value)) if kind is Decimal else kind(value)
    if kind is np.float16:
        value = float(str(given))  # it has three digits
    number = real_number("rate", given)
    assert type(number) is float and number == value
    assert type(real_number("rate", Fraction(1, 4))) is float


def test_single_precision_read_bit_by_bit_would_be_another_number():
    assert float(np.float32(0.3)) != 0.3 == real_number("rate", np.float32(0.3))
    assert np.float32(real_number("rate", np.float32(0.3))) == np.float32(0.3), "and stays the same in single precision"


@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda value: re.sub(" at 0x\\w+", "", repr(value)))
def test_what_is_no_number_is_refused_in_one_sentence(value):
    for check in (whole_number, real_number):
        with pytest.raises(BadInput) as refused:
            check("steps", value)
        assert refused.value.thing == "steps" and "\n" not in str(refused.value)
        assert str(refused.value).startswith(f"steps={' '.join(repr(value).split())[:80]}: must be a ")


@pytest.mark.parametrize(
    "value", [3.0, np.float64(3), np.array(3.0), 2.5, np.nan, np.inf, Fraction(3), Decimal(3)], ids=repr
)
def test_a_float_is_no_whole_number_even_without_a_fraction(value):
    with pytest.raises(BadInput, match=rf"^hold_steps={value}: must be a whole number, at least 0$"):
        whole_number("hold_steps", value, least=0)


@pytest.mark.parametrize(
    "value",
    [np.nan, np.inf, -np.inf, np.float32("nan"), np.array(np.inf), Decimal("nan"), Decimal("snan"), 10**400],
    ids=repr,
)
def test_a_real_number_is_finite(value):
    with pytest.raises(BadInput, match=r"^rate=.*: must be a finite number$"):
        real_number("rate", value)


@pytest.mark.parametrize(
    ("allowed", "inside", "outside", "sentence"),
    [
        (ABOVE_0, [1e-300, 1e300], [0, -1], "must be a finite number above 0"),
        (Interval(least=0), [0, 1e300], [-1e-9], "must be a finite number, at least 0"),
        (BELOW_1, [0, 0.999], [1, -0.1], "must be at least 0 and below 1"),
        (Interval(above=0, most=1), [0.1, 1], [0, 1.1], "must be above 0 and at most 1"),
        (FRACTION, [0, 1], [-0.1, 1.1], "must be from 0 to 1"),
        (FINITE, [-1e300, 0], [np.nan], "must be a finite number"),
    ],
    ids=str,
)
def test_a_range_says_what_it_allows(allowed, inside, outside, sentence):
    assert [real_number("rate", value, allowed) for value in inside] == inside
    for value in outside:
        with pytest.raises(BadInput) as refused:
            real_number("rate", value, allowed)
        assert str(refused.value) == f"rate={value}: {sentence}"
    with pytest.raises(BadInput, match=f"^rate='x': must be {allowed}$"):
        real_number("rate", "x", allowed)


def test_whole_numbers_have_bounds():
    assert [whole_number("round", value, 0, 3) for value in range(4)] == [0, 1, 2, 3]
    for value in (-1, 4, np.int64(4)):
        with pytest.raises(BadInput, match=f"^round={value}: must be a whole number from 0 to 3$"):
            whole_number("round", value, 0, 3)
    assert whole_or_none("end", None, 1) is None and whole_or_none("end", np.int8(1), 1) == 1
    with pytest.raises(BadInput, match=r"^end=0: must be a whole number, at least 1$"):
        whole_or_none("end", np.int8(0), 1)


def test_shapes_are_plain_and_may_have_unknown_sizes():
    assert whole_numbers("shape", np.array([3, 4])) == (3, 4)
    assert shape_with_unknowns("shape", (None, np.int64(4), None)) == (None, 4, None)
    for shape in (3, "34", (3, 4.0), (True,), None):
        with pytest.raises(BadInput, match=r"^shape=.*: must be whole numbers$"):
            whole_numbers("shape", shape)
        with pytest.raises(BadInput, match=r"^shape=.*: must be whole numbers$"):
            shape_with_unknowns("shape", (None, 4.0) if shape is None else shape)


def test_numbers_of_numpy_are_written_as_plain_json():
    values = [np.int64(1), np.float32(0.1), np.array(2), np.True_, Decimal("0.5"), Fraction(1, 4)]
    assert json.dumps(values, default=json_value) == "[1, 0.1, 2, true, 0.5, 0.25]"
    for value in (object(), np.array([1]), 1j, {1}):
        with pytest.raises(TypeError, match="is not a JSON value"):
            json.dumps(value, default=json_value)


@pytest.mark.parametrize("value", [0.98, 0.9800001, 0.9999999, 1 / 3, 1e-9, 0.1 + 0.2, 5, 0.0])
def test_the_shortest_text_stands_for_exactly_one_number(value):
    assert float(shortest(value)) == value and len(shortest(value)) <= len(repr(float(value)))


def test_a_refusal_names_what_the_user_gave():
    with pytest.raises(BadInput, match=r"^penalty_step=0: must be"), renamed({"step": "penalty_step"}):
        real_number("step", 0, ABOVE_0)
    with pytest.raises(BadInput, match=r"^other=0: must be"), renamed({"step": "penalty_step"}):
        real_number("other", 0, ABOVE_0)
