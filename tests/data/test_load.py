"""Loading data sets by dotted path, and the process that keeps its last one."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from dlth_tf.data import DataSet, Split, keep_last, load
from dlth_tf.errors import BadInput
from tests.data.conftest import random_dataset

HERE = __name__
load_module = sys.modules["dlth_tf.data.load"]


def named(data_dir: str | None) -> object:
    return random_dataset(name=f"loaded from {data_dir}")


def not_a_data_set(data_dir: str | None) -> object:
    return data_dir


def takes_nothing() -> object:
    return random_dataset()


def wrong_images(data_dir: str | None) -> object:
    return random_dataset(test=Split(np.zeros((2, 4, 5, 3)), np.zeros(2, np.int64)))


def fails(data_dir: str | None) -> object:
    raise KeyError("the user's own mistake")


def one_class(data_dir: str | None) -> DataSet:
    split = Split(np.zeros((20, 3), np.float32), np.zeros(20, np.int64))
    return DataSet("mine", split, split, split, ("only",))


def test_a_data_set_of_one_class_is_refused() -> None:
    with pytest.raises(BadInput, match=r"^dataset=.*:one_class: its labels are all of one class, only, and there must"):
        load(f"{HERE}:one_class")


def test_a_dotted_path_is_called_with_the_data_directory() -> None:
    assert load(f"{HERE}:named", "somewhere").name == "loaded from somewhere"
    assert load(f"{HERE}:named").name == "loaded from None"


def test_a_process_that_keeps_its_last_data_set_loads_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_module, "_KEPT", load_module._Kept())
    name = f"{HERE}:named"
    assert load(name, "a") is not load(name, "a")
    keep_last()
    first = load(name, "a")
    assert load(name, "a") is first
    other = load(name, "b")
    assert other.name == "loaded from b" and load(name, "b") is other
    assert load(name, "a") is not first  # only the last one is kept


def test_a_data_set_that_cannot_be_loaded_is_not_kept_and_neither_is_the_one_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(load_module, "_KEPT", load_module._Kept(enabled=True))
    first = load(f"{HERE}:named")
    with pytest.raises(BadInput):
        load(f"{HERE}:fails")
    again = load(f"{HERE}:named")
    assert again.name == first.name and again is not first


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_package:f", "there is no module no_such_package"),
        (f"{HERE}:nomed", "did you mean named"),
        (f"{HERE}:HERE", "must be a function of one argument, data_dir"),
        (f"{HERE}:takes_nothing", "must be a function of one argument, data_dir"),
        (f"{HERE}:not_a_data_set", "must return a dlth_tf.data.DataSet, and returned a NoneType"),
    ],
)
def test_a_dotted_path_that_gives_no_data_set_is_refused(name: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        load(name)


def test_an_exception_inside_the_users_own_function_is_the_cause_of_one_sentence() -> None:
    with pytest.raises(BadInput, match=r"^dataset=.*:fails: failed with KeyError: .*the user's own mistake") as caught:
        load(f"{HERE}:fails")
    assert isinstance(caught.value.__cause__, KeyError)


def test_arrays_that_the_users_own_function_cannot_make_a_data_set_of_are_named_with_it() -> None:
    with pytest.raises(BadInput) as caught:
        load(f"{HERE}:wrong_images")
    assert str(caught.value).startswith(
        f"dataset={HERE}:wrong_images: failed with BadInput: dataset=random: its test images and its training images "
        "differ in dtype"
    )
    assert isinstance(caught.value.__cause__, BadInput)


def test_a_function_without_a_signature_is_called() -> None:
    with pytest.raises(BadInput, match="and returned a str"):
        load("builtins:str", "somewhere")
