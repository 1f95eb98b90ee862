"""Names of data sets, checked before TensorFlow is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dlth_tf.data import check_name
from dlth_tf.errors import BadInput


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
        5,
        None,
        Path("table.csv"),
    ],
)
def test_malformed_names_do_not(name: Any) -> None:
    with pytest.raises(BadInput) as caught:
        check_name(name)
    assert caught.value.thing == "dataset"
