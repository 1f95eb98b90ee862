"""Error for invalid input: its message, and pickling between processes."""

from __future__ import annotations

import copy
import pickle

import pytest

from dlth_tf.errors import BadInput


def test_it_names_the_thing_the_value_and_what_is_allowed():
    error = BadInput("sparsity", 1.5, "must be below 1")
    assert str(error) == "sparsity=1.5: must be below 1"
    assert (error.thing, error.value, error.allowed) == ("sparsity", 1.5, "must be below 1")


def test_it_is_caught_as_a_value_error():
    with pytest.raises(ValueError, match=r"^sparsity=1\.5: must be below 1$"):
        raise BadInput("sparsity", 1.5, "must be below 1")


@pytest.mark.parametrize(
    "twin",
    [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy],
    ids=["pickle", "copy", "deepcopy"],
)
@pytest.mark.parametrize("value", [1.5, "a", None, ("a", 1)], ids=str)
def test_it_travels_between_processes(twin, value):
    error = twin(BadInput("thing", value, "allowed"))
    assert type(error) is BadInput and str(error) == f"thing={value}: allowed"
    assert (error.thing, error.value, error.allowed) == ("thing", value, "allowed")


class Stranded(BadInput):
    """The same error with its message as the only argument, as exceptions usually have it."""

    def __init__(self, thing: str, value: object, allowed: str) -> None:
        ValueError.__init__(self, f"{thing}={value}: {allowed}")


def test_with_its_message_alone_it_would_be_stranded():
    with pytest.raises(TypeError):
        pickle.loads(pickle.dumps(Stranded("thing", 1, "allowed")))
