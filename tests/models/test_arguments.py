"""Arguments of registered networks: plain values pass, and nothing that Keras could turn into an object or a call."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlth_tf import models
from dlth_tf.errors import BadInput
from dlth_tf.models.arguments import check_arguments
from dlth_tf.runs.config import RunConfig

PLAIN = (
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(-1e9, 1e9) | st.text("azAZ09_.+-", min_size=1)
)
LAMBDA = {"class_name": "function", "config": "relu", "module": "this", "registered_name": "function"}
HOSTILE: list[Any] = [
    {},
    LAMBDA,
    [LAMBDA],
    [[{"class_name": "Lambda", "config": {}}]],
    "keras_cv>RandomAugmentationPipeline",
    "os:system",
    "/etc/passwd",
    "two words",
    "x" * 65,
    "\x1b[31m",
    "",
    float("nan"),
    float("inf"),
    10**400,
    [[[[1]]]],
    [1] * 1001,
    {1},
    b"relu",
    print,
]


@given(st.dictionaries(st.sampled_from(["width", "norm"]), PLAIN | st.lists(PLAIN, max_size=4)))
def test_plain_values_pass(arguments):
    check_arguments("lenet5", arguments)


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: repr(value)[:30])
@pytest.mark.parametrize("name", ["lenet5", "keras_cv:EfficientNetV1B0Backbone"])
def test_what_is_not_plain_is_refused_before_the_network_is_built(name, value):
    with pytest.raises(
        BadInput, match="activation must be a finite number, true, false, null, a plain word"
    ) as refused:
        models.build(name, (32, 32, 3), 10, 0, {"activation": value})
    assert refused.value.thing == "model_args" and "this" not in sys.modules


def test_a_configuration_refuses_them_too_but_not_for_the_users_own_code():
    run = {"method": "dense", "dataset": "digits", "model_args": {"activation": LAMBDA}}
    with pytest.raises(BadInput, match="activation must be a finite number"):
        RunConfig(**run, model="keras_cv:EfficientNetV1B0Backbone")
    assert RunConfig(**run, model="their_module:net").model == "their_module:net"
