"""Fields of any type, as a file may hold them, are refused in one sentence before anything is computed from them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

import dlth_tf as dlth
from dlth_tf.errors import BadInput
from dlth_tf.runs.config import RunConfig

RUN = {"method": "rst", "dataset": "digits", "model": "lenet_300_100", "sparsity": 0.9}
ODD: list[Any] = [
    [],
    {},
    [[]],
    [{}],
    {"a": []},
    b"x",
    10**400,
    -(10**400),
    1 + 2j,
    {1},
    object(),
    "\ud800",
    "a\0b",
    "9" * 10**6,
]


@pytest.mark.parametrize("name", [item.name for item in dataclasses.fields(RunConfig)])
def test_a_value_of_another_type_is_one_sentence_or_means_the_default(name):
    for value in ODD:
        try:
            RunConfig(**{**RUN, name: value})
        except BadInput as error:
            assert len(str(error)) < 1000 and str(error).isprintable()
        else:
            plain = ([], {}, {"a": []})  # an argument of a network may be an empty list
            assert value in plain and name in ("lr_values", "lr_boundaries", "model_args", "allocation"), value


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("model", ["a"], "must be text"),
        ("jit_compile", "false", "must be true or false"),
        ("lr", "0.1", "must be a number"),
        ("penalty_step", [], "must be a number"),
        ("seed", 10**400, "must be below 2^63"),
        ("batch_size", {}, "must be a whole number"),
    ],
)
def test_the_sentence_says_of_what_type_a_field_is(name, value, allowed):
    with pytest.raises(BadInput) as refused:
        RunConfig(**{**RUN, name: value})
    assert (refused.value.thing, refused.value.allowed.startswith(allowed)) == (name, True)


@pytest.mark.parametrize(("value", "kind"), [({"method": "rst"}, "dict"), ("rst", "str"), (None, "NoneType")])
def test_what_is_no_configuration_is_not_run(value: Any, kind: str) -> None:
    with pytest.raises(BadInput, match=f"^config=.*: must be a RunConfig, not of type {kind}$"):
        dlth.run(value)
