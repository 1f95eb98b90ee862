"""Every form of every network of the zoo is right in a bare client, or refused in one sentence that is expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deploy.zoo import ZOO
from tests.deploy.zoo.judge import FORMS, judged
from tests.deploy.zoo.table import BEGIN, END, table

PAGE = Path(__file__).resolve().parents[2] / "docs/deploy.md"
FAST = {  # the kinds of networks, each in the form in which it is most likely to break
    "activation swish": "compact",
    "layer norm of vectors": "packed",
    "mixed_bfloat16": "compact",
    "multi-head attention": "packed",
    "lstm": "tflite",
    "outputs, nested": "tflite",
    "unet of any size": "compact",
    "text vectorization": "plain",
    "hashing of strings": "packed",
    "category encoding": "tflite",
}
ALL = [
    pytest.param(name, form, marks=() if FAST.get(name) == form else pytest.mark.slow) for name in ZOO for form in FORMS
]


@pytest.mark.usefixtures("checked_here")
@pytest.mark.parametrize(("name", "form"), ALL)
def test_a_form_is_right_in_a_bare_client_or_refused_as_expected(name, form, tmp_path):
    outcome, expected = judged(ZOO[name], form, tmp_path), ZOO[name].refused.get(form, "right")
    assert outcome == expected if expected == "right" else expected.sentence in outcome


def test_the_table_on_the_page_is_what_the_zoo_expects():
    page = PAGE.read_text()
    assert page.count(BEGIN) == page.count(END) == 1
    assert page.split(BEGIN)[1].split(END)[0].strip() == table().strip()


def test_the_zoo_is_large_and_its_refusals_are_of_forms():
    assert len(ZOO) >= 80
    assert all(network.refused.keys() <= set(FORMS) for network in ZOO.values())
