"""Every number that the public interface takes may be of any type, is stored plain, and is refused by its own name."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import dlth_tf as dlth
from dlth_tf import callbacks, core, data, deploy, masking, models, scores
from dlth_tf.analysis import comparison, power, statistics, verdict
from dlth_tf.callbacks.base import Callback
from dlth_tf.core import Ticket
from dlth_tf.deploy import export as exporting
from dlth_tf.errors import BadInput
from tests.numeric_calls import CALLS

ARGUMENTS = [(name, argument) for name, (_, arguments) in CALLS.items() for argument in arguments]
IDS = [f"{name}({argument})" for name, argument in ARGUMENTS]
WHOLE = (np.int32, np.int64, np.uint16, np.array, tf.constant)
REAL = (np.float32, np.float64, lambda value: np.array(value, np.float32), tf.constant)
# Sparsities and lengths may be text, as flags are.
TEXT = {
    "sparsity",
    *(f"RunConfig.{name}" for name in ("epochs", "hold_steps", "transform_epochs", "round_epochs", "rewind_step")),
}
ROOMS: dict[str, tuple[ModuleType, ...]] = {
    "": (dlth,),
    "callbacks.": (callbacks,),
    "core.": (core,),
    "data.": (data,),
    "deploy.": (deploy, exporting),
    "masking.": (masking,),
    "models.": (models,),
    "scores.": (scores,),
    "analysis.": (comparison, power, statistics, verdict),
}
NUMBER = re.compile(r"\b(int|float|Sparsity)\b")
ELSEWHERE = {  # calls whose numbers are not the user's, or that are tested below
    "analysis.Comparison": "a result",
    "analysis.Difference": "a result",
    "analysis.Runs": "a result",
    "analysis.Verdict": "a result",
    "callbacks.GradualMagnitude.share": "of its own schedule",
    "callbacks.SparsityMonitor.scalars": "of its own epochs",
    "core.PatternMap.parse": "a map of sparsities",
    "core.PenaltySchedule.at": "a step, or an array of steps",
    "core.PruningSpec": "built by parse",
    "core.Round.parse": "a pair",
    "core.parse_allocation": "a map of sparsities",
    "data.check_fits": "the shape of a data set",
    "data.noun_of": "the shape of a data set",
    "masking.MaskUpdate.densities": "a protocol",
    "models.check_shapes": "of a network that was built",
    "masking.World.set_iterations": "a protocol",
    "masking.Summary": "a result",
    "masking.World.set_steps_per_execution": "a protocol",
    "masking.World.uncount_gradients": "a protocol",
}


def of_type(kind: Any, value: Any) -> Any:
    return tuple(kind(each) for each in value) if isinstance(value, tuple) else kind(value)


def types_of(value: Any) -> tuple[Any, ...]:
    return WHOLE if isinstance(value[0] if isinstance(value, tuple) else value, int) else REAL


def contents(value: Any) -> Any:
    """All numbers in a value with their types, so that a NumPy number that was stored is seen."""
    if isinstance(value, tf.Tensor | tf.Variable):
        value = value.numpy()
    if isinstance(value, np.ndarray):
        return value.dtype.name, value.tolist()
    if isinstance(value, bool | int | float | str | np.generic | Fraction | None):
        return type(value).__name__, value
    if isinstance(value, Ticket):
        return contents(dict(value)), contents(dict(value.provenance))
    if isinstance(value, Mapping):
        return {name: contents(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [contents(each) for each in value]
    if isinstance(value, tf_keras.Model):
        return value.to_json(), contents(value.get_weights())
    if dataclasses.is_dataclass(value):
        return {item.name: contents(getattr(value, item.name)) for item in dataclasses.fields(value)}
    return contents(vars(value)) if isinstance(value, Callback) else type(value).__name__


def bad_values(name: str, argument: str, value: Any) -> list[Any]:
    wrong = [True, np.True_, np.array(True), float("nan"), np.float32("inf"), 1j, [value], np.array([value]), object()]
    text = [] if TEXT & {argument, f"{name}.{argument}"} else [str(value)]
    return wrong + text + ([value + 0.5, float(value), np.float64(value)] if isinstance(value, int) else [])


@pytest.mark.parametrize(("name", "argument"), ARGUMENTS, ids=IDS)
def test_a_number_of_any_type_is_taken_and_stored_plain(name, argument):
    call, arguments = CALLS[name]
    try:
        expected = contents(call(**arguments))
    except BadInput as missing:  # a folder that does not exist
        expected = str(missing)
    for kind in types_of(arguments[argument]):
        given = {**arguments, argument: of_type(kind, arguments[argument])}
        try:
            assert contents(call(**given)) == expected
        except BadInput as missing:
            assert str(missing) == expected


@pytest.mark.parametrize(("name", "argument"), ARGUMENTS, ids=IDS)
def test_what_is_no_such_number_is_refused_by_the_name_of_the_argument(name, argument):
    call, arguments = CALLS[name]
    value = arguments[argument]
    several = isinstance(value, tuple)
    for wrong in bad_values(name, argument, value[0] if several else value):
        with pytest.raises(BadInput) as refused:
            call(**{**arguments, argument: (wrong, *value[1:]) if several else wrong})
        assert refused.value.thing == argument, str(refused.value)
        assert "\n" not in str(refused.value) and ": must be " in str(refused.value)


def numeric(called: Any) -> set[str]:
    try:
        parameters = inspect.signature(called).parameters
    except (TypeError, ValueError):
        return set()
    return {name for name, one in parameters.items() if NUMBER.search(str(one.annotation))}


def public() -> Iterator[tuple[str, Any]]:
    """Yields the public names of all rooms, each thing once, and the methods of their classes."""
    seen = set()
    for prefix, modules in ROOMS.items():
        for module in modules:
            own = [name for name, one in vars(module).items() if getattr(one, "__module__", "") == module.__name__]
            for name in getattr(module, "__all__", own):
                thing = getattr(module, name)
                if name.startswith("_") or not callable(thing) or isinstance(thing, ModuleType) or id(thing) in seen:
                    continue
                seen.add(id(thing))
                yield prefix + name, thing
                for method in vars(thing) if inspect.isclass(thing) else ():
                    if not method.startswith(("_", "on_")):
                        yield f"{prefix}{name}.{method}", getattr(thing, method)


def test_every_number_of_the_public_interface_is_in_the_table():
    of_other_kinds = {"allocation", "a", "b", "transformed", "other", "shapes", "place"}  # maps, and an index
    missing = {
        name: names - set(CALLS[name][1] if name in CALLS else ()) - of_other_kinds
        for name, thing in public()
        if name not in ELSEWHERE and (names := numeric(thing))
    }
    assert {name: names for name, names in missing.items() if names} == {}


def test_a_number_that_is_not_in_the_table_would_be_seen():
    assert numeric(dlth.random_ticket) == {"sparsity", "seed", "allocation"}
    assert {name for name, _ in public()} >= {"random_ticket", "callbacks.IMP.epochs", "core.Round", "analysis.compare"}


@pytest.mark.parametrize("number", [np.float32, np.array, tf.constant, str], ids=["float32", "array", "tensor", "text"])
def test_maps_of_sparsities_take_numbers_of_any_type(number):
    assert core.PatternMap.parse({"a": number(0.3)}) == core.PatternMap.parse({"a": 0.3})
    config = dlth.RunConfig(
        method="rst",
        dataset="digits",
        model="lenet5",
        sparsity=0.5,
        allocation={"fc1": number(0.3)},
        model_args={"width": number(0.5)},
    )
    assert core.parse_allocation(config.allocation) == core.PatternMap.parse({"fc1": 0.3})


@pytest.mark.parametrize("kind", REAL, ids=["float32", "float64", "array", "tensor"])
def test_the_width_of_a_network_may_be_of_any_type(kind):
    first, second = (models.build("lenet5", (8, 8, 1), 3, 0, {"width": width}) for width in (0.3, kind(0.3)))
    assert contents(first) == contents(second)


@pytest.mark.parametrize("kind", WHOLE, ids=["int32", "int64", "uint16", "array", "tensor"])
def test_rounds_take_numbers_of_any_type(kind):
    assert dataclasses.astuple(core.Round.parse((kind(2), kind(3)))) == (2, 3, None)
    assert dataclasses.astuple(core.Round.parse(np.array([2, 3]))) == (2, 3, None)


@pytest.mark.parametrize(
    "cycle", [(1, 0), (4, 3), (-1, 3), (1.0, 3), (True, 3), (1,), (1, 2, 3), 3, None, "12"], ids=str
)
def test_what_is_no_round_is_refused_as_it_was_given(cycle):
    with pytest.raises(BadInput, match=r"^cycle=.*: must be \(c, n\), two whole numbers") as refused:
        core.Round.parse(cycle)
    assert refused.value.value == cycle


def test_a_ticket_stores_plain_provenance():
    given = {
        "seed": np.int64(3),
        "sparsity": np.float32(0.9),
        "nested": np.True_,
        "by": np.str_("me"),
        "size": np.array(4),
    }
    ticket = Ticket({"a": np.array([True])}, given)
    assert contents(dict(ticket.provenance)) == contents(
        {"seed": 3, "sparsity": 0.9, "nested": True, "by": "me", "size": 4}
    )


def test_a_step_of_the_penalty_may_be_of_any_type():
    schedule = core.PenaltySchedule(step=0.25, every=2, limit=0.5, hold_steps=3)
    assert {float(schedule.at(kind(3))) for kind in (int, *WHOLE)} == {0.5}
