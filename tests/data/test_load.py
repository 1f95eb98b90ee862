from __future__ import annotations

import subprocess
import sys

import pytest

from dlth_tf.data import check_name, keep_last, load
from dlth_tf.errors import BadInput
from tests.data.conftest import random_dataset

HERE = __name__
load_module = sys.modules["dlth_tf.data.load"]


def made(data_dir: str | None) -> object:
    return random_dataset(name=f"made in {data_dir}")


def not_a_data_set(data_dir: str | None) -> object:
    return data_dir


def takes_nothing() -> object:
    return random_dataset()


def fails(data_dir: str | None) -> object:
    raise KeyError("the user's own mistake")


def test_names_are_checked_without_tensorflow() -> None:
    code = (
        "import sys, dlth_tf.data as data; data.check_name('digits')\n"
        "print([name for name in ('tensorflow', 'tensorflow_datasets', 'tf_keras') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    "name",
    [
        "digits",
        "fashion_mnist",
        "cifar10_corrupted/fog_1",
        "package.module:function",
        "folder:/a/b.c",
        "imagenet200@64",
    ],
)
def test_names_that_may_exist_pass_the_first_check(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        ":",
        "a:",
        ":b",
        "a:b:c",
        "a.:b",
        "../a:b",
        "a b:c",
        "folder:",
        "folder:@64",
        "@64",
        "imagenet200@7",
        "imagenet200@1025",
        "mnist@28",
        "a.b:c@64",
    ],
)
def test_malformed_names_do_not(name: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_name(name)
    assert caught.value.thing == "dataset"


def test_a_dotted_path_is_called_with_the_data_directory() -> None:
    assert load(f"{HERE}:made", "somewhere").name == "made in somewhere"
    assert load(f"{HERE}:made").name == "made in None"


def test_a_process_that_keeps_its_last_data_set_loads_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_module, "_KEPT", load_module._Kept())
    name = f"{HERE}:made"
    assert load(name, "a") is not load(name, "a")
    keep_last()
    first = load(name, "a")
    assert load(name, "a") is first
    other = load(name, "b")
    assert other.name == "made in b" and load(name, "b") is other
    assert load(name, "a") is not first  # only the last one is kept


def test_a_data_set_that_cannot_be_loaded_is_not_kept_and_neither_is_the_one_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(load_module, "_KEPT", load_module._Kept(enabled=True))
    first = load(f"{HERE}:made")
    with pytest.raises(BadInput):
        load(f"{HERE}:fails")
    again = load(f"{HERE}:made")
    assert again.name == first.name and again is not first


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_package:f", "there is no module no_such_package"),
        (f"{HERE}:maid", "did you mean made"),
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
