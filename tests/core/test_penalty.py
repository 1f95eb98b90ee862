"""The staircase of lambda against the official loop, replayed here as a state machine."""

from __future__ import annotations

import dataclasses
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlth_tf.core import SCHEDULES, PenaltySchedule
from dlth_tf.errors import BadInput

DTYPES = ["float32", "float64"]
OFFICIAL = {"step": 1e-4, "every": 5, "limit": 1.0, "hold_steps": 40_000}


def official_loop(
    schedule, *, step, every, limit, hold_steps, dtype, strict=True, first=0, bound_counter=False
) -> list[float]:
    """Returns lambda of every step, as in yueb17/DLTH's reg_pruner.py; each of the last three arguments breaks it."""
    counter = np.zeros(1, dtype)
    power = SCHEDULES[schedule]
    used = []
    reached = None
    t = 0
    while True:
        if reached is None and t >= first and t % every == 0:
            counter = counter + np.asarray(step, dtype)
            bounded = (counter if bound_counter else multiplied(counter, power))[0]
            if bounded > np.asarray(limit, dtype) or (not strict and bounded == np.asarray(limit, dtype)):
                reached = t
        used.append(float(multiplied(counter, power)[0]))
        if reached is not None and t - reached == hold_steps:
            return used
        t += 1


def multiplied(counter: np.ndarray, power: int) -> np.ndarray:
    """Computes the power as the official code does, x * x * x: NumPy's `**` differs in the last bit on some CPUs."""
    value = counter
    for _ in range(power - 1):
        value = value * counter
    return value


def strengths(stairs: PenaltySchedule) -> list[float]:
    return stairs.at(np.arange(stairs.steps)).tolist()


@settings(max_examples=150, deadline=None)
@given(
    schedule=st.sampled_from(list(SCHEDULES)),
    step=st.floats(0.02, 1.5),
    every=st.integers(1, 6),
    limit=st.floats(0.01, 1.5),
    hold_steps=st.integers(0, 12),
    dtype=st.sampled_from(DTYPES),
)
def test_every_step_has_the_strength_of_the_official_loop(schedule, step, every, limit, hold_steps, dtype):
    arguments = {"step": step, "every": every, "limit": limit, "hold_steps": hold_steps, "dtype": dtype}
    assert strengths(PenaltySchedule(schedule, **arguments)) == official_loop(schedule, **arguments)


@pytest.mark.parametrize(
    "twist", [{"strict": False}, {"first": 1}, {"bound_counter": True}, {"dtype": "float64"}], ids=str
)
def test_another_loop_would_be_seen(twist):
    arguments = {"step": 0.1, "every": 3, "limit": np.float32(0.3) ** 2, "hold_steps": 2, "dtype": "float32"}
    assert strengths(PenaltySchedule("x^2", **arguments)) == official_loop("x^2", **arguments)
    assert strengths(PenaltySchedule("x^2", **arguments)) != official_loop("x^2", **{**arguments, **twist})


@pytest.mark.parametrize(
    ("step", "dtype", "growths"),
    [
        (1e-4, "float32", 10_000),
        (1e-4, "float64", 10_001),
        (1e-3, "float32", 1001),
        (1e-3, "float64", 1000),
        (0.1, "float32", 10),
        (0.1, "float64", 11),
        (0.25, "float32", 5),
        (0.25, "float64", 5),
    ],
)
def test_the_weights_dtype_decides_the_number_of_growths(step, dtype, growths):
    values = PenaltySchedule("x", step=step, limit=1.0, dtype=dtype).values
    assert len(values) == growths and values.dtype == dtype
    assert values[-1] > 1.0 >= values[-2]


def test_the_official_protocol_takes_89_996_steps():
    stairs = PenaltySchedule()
    assert strengths(stairs) == official_loop("x", **OFFICIAL, dtype="float32")
    assert stairs.steps == 89_996 == (10_000 - 1) * 5 + 40_000 + 1
    assert float(stairs.values[-1]) == pytest.approx(1.0000535, abs=1e-7)
    assert stairs.at(49_994) < stairs.at(49_995) == stairs.at(89_995)


def test_the_official_iterative_protocol_takes_about_20_000_steps_a_cycle():
    arguments = {"step": 1e-4, "every": 1, "limit": 1.0, "hold_steps": 10_000}
    assert [PenaltySchedule("x", **arguments, dtype=dtype).steps for dtype in DTYPES] == [20_000, 20_001]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_lambda_is_the_power_of_the_counter_and_the_limit_bounds_lambda(schedule):
    power = SCHEDULES[schedule]
    values = PenaltySchedule(schedule, step=0.25, limit=1.0).values
    assert values.tolist() == [(0.25 * k) ** power for k in range(1, 6)]
    low = PenaltySchedule(schedule, step=0.25, limit=0.25**power).values
    assert low.tolist() == [0.25**power, 0.5**power], "the limit itself is not above the limit"


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_first_step_has_the_first_value_and_the_last_value_is_held(dtype):
    stairs = PenaltySchedule("x", step=0.25, every=3, limit=0.5, hold_steps=4, dtype=dtype)
    assert strengths(stairs) == [0.25] * 3 + [0.5] * 3 + [0.75] * 5
    assert stairs.at(10**9) == 0.75


def test_a_scalar_step_and_an_array_of_steps_agree():
    stairs = PenaltySchedule("x^2", step=0.1, every=7, limit=0.5, hold_steps=9)
    together = stairs.at(np.arange(stairs.steps).reshape(1, -1))
    assert together.shape == (1, stairs.steps) and together.dtype == "float32"
    assert together[0].tolist() == [float(stairs.at(step)) for step in range(stairs.steps)]


def test_a_staircase_is_a_value_that_nobody_changes():
    stairs = PenaltySchedule("x", step=0.25)
    with pytest.raises(ValueError, match="read-only"):
        stairs.values[0] = 9
    with pytest.raises(AttributeError):
        stairs.every = 9
    assert stairs in {stairs} and stairs != PenaltySchedule("x", step=0.5)


def test_no_hold_still_trains_the_step_that_reached_the_limit():
    stairs = PenaltySchedule("x", step=0.5, every=5, limit=0.75, hold_steps=0)
    assert strengths(stairs) == [0.5] * 5 + [1.0]


def test_one_growth_may_be_enough():
    assert strengths(PenaltySchedule("x", step=2.0, every=5, limit=1.0, hold_steps=3)) == [2.0] * 4


def test_rounding_may_lengthen_the_staircase_by_more_than_a_hundredth():
    counter = np.float32(0)
    growths = 0
    while not counter > np.float32(1):
        counter += np.float32(1.1e-6)
        growths += 1
    assert growths == 919_628 > 1.01 / 1.1e-6
    assert len(PenaltySchedule("x", step=1.1e-6, limit=1.0).values) == growths


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"schedule": "x^4"}, "schedule=x^4: must be one of x, x^2, x^3"),
        ({"schedule": ""}, "schedule=: must be one of x, x^2, x^3"),
        *[({"step": bad}, f"step={bad}: must be a finite number above 0") for bad in (0, -1e-4, np.inf, np.nan)],
        *[({"limit": bad}, f"limit={bad}: must be a finite number above 0") for bad in (0, -1.0, np.inf, np.nan)],
        *[({"every": bad}, f"every={bad}: must be a whole number, at least 1") for bad in (0, -5)],
        ({"hold_steps": -1}, "hold_steps=-1: must be a whole number, at least 0"),
        (
            {"step": 1e20, "schedule": "x^3"},
            "step=1e+20: is too large for float32 weights: lambda would be infinite",
        ),
        (
            {"step": 1e38, "limit": 1e39},
            "step=1e+38: is too small for float32 weights: lambda would never exceed 1e+39",
        ),
    ],
    ids=str,
)
def test_a_value_out_of_range_is_refused_in_one_sentence(arguments, sentence):
    with pytest.raises(BadInput) as refused:
        PenaltySchedule(**arguments)
    assert str(refused.value) == sentence


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("step", [1e-9, 1e-300, 5e-324])
def test_a_step_that_never_moves_the_counter_is_refused_without_looping_or_allocating(schedule, step):
    stuck = np.float32(0.5) + np.float32(step)
    assert stuck == np.float32(0.5)
    tracemalloc.start()
    with pytest.raises(BadInput, match=r"is too small: reaching the limit 1\.0 would take"):
        PenaltySchedule(schedule, step=step)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10**6


def test_a_counter_that_gets_stuck_below_the_limit_is_refused():
    with pytest.raises(BadInput, match=r"is too small for float16 weights: lambda would never exceed 1\.0$"):
        PenaltySchedule("x", step=1e-4, limit=1.0, dtype="float16")


@settings(max_examples=200, deadline=None)
@given(
    steps=st.integers(1, 200_000),
    schedule=st.sampled_from(list(SCHEDULES)),
    limit=st.floats(0.01, 100),
)
def test_a_staircase_of_a_length_has_it_in_every_dtype_and_passes_the_limit_on_its_last_stair(steps, schedule, limit):
    single, double = (PenaltySchedule.of_length(steps, schedule, limit, dtype) for dtype in DTYPES)
    assert single.steps == double.steps == steps and len(single.values) == len(double.values)
    # The callback takes the dtype from the model, when the length has been promised already.
    assert dataclasses.replace(single, dtype="float64").steps == steps
    assert single.values[-1] > np.float32(limit) and (len(single.values) == 1 or single.values[-2] <= np.float32(limit))


def test_a_staircase_of_the_published_length_grows_and_holds_as_long_as_the_published_one():
    published, same_length = PenaltySchedule(), PenaltySchedule.of_length(89_996)
    assert same_length.steps == published.steps
    assert abs(same_length.hold_steps - published.hold_steps) < same_length.every
    steps = np.arange(0, 89_996, 7)
    assert np.abs(same_length.at(steps) - published.at(steps)).max() <= 0.001  # both are stairs


@pytest.mark.parametrize("steps", [9, 340, 6000])
def test_lambda_grows_over_five_ninths_of_any_length(steps):
    stairs = PenaltySchedule.of_length(steps)
    held = np.count_nonzero(stairs.at(np.arange(steps)) == stairs.values[-1])
    assert held == pytest.approx(steps * 4 / 9, abs=stairs.every + 1)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [((0,), "steps"), ((9.0,), "steps"), ((9, "x^4"), "schedule"), ((9, "x", 0), "limit")],
)
def test_a_length_or_a_limit_out_of_range_is_refused_by_its_name(arguments, name):
    with pytest.raises(BadInput, match=rf"^{name}="):
        PenaltySchedule.of_length(*arguments)
