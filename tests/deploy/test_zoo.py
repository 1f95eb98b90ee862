"""Every form of every network of the zoo is right in a bare client, or refused in one sentence that is expected."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dlth_tf.deploy import verified_forms
from tests.deploy.zoo import ZOO
from tests.deploy.zoo.judge import FORMS, judged, wrong
from tests.deploy.zoo.table import BEGIN, END, table

PAGE = Path(__file__).resolve().parents[2] / "docs/deploy.md"
FAST = {("multi-head attention", "packed"), ("outputs, nested", "tflite")}
KINDS = {  # the kinds of networks, each in the form in which it is most likely to break, beside the dense one
    "softsign and swish and tanh": "compact",
    "layer norm of vectors": "packed",
    "mixed_bfloat16": "compact",
    "multi-head attention": "packed",
    "elu and exponential and gelu": "onnx",
    "lstm": "tflite",
    "outputs, nested": "tflite",
    "unet of any size": "compact",
    "text vectorization": "plain",
    "hashing of strings": "packed",
    "category encoding": "tflite",
    "group norm": "tflite",
    "lstm, stateful": "plain",
}
PAIRS = [(name, form) for name in ZOO for form in FORMS]
# The slow tests have each network in one of the forms, by turns, and `make test-faults` in the others.
LATER = {pair for pair in PAIRS if pair[1] != FORMS[list(ZOO).index(pair[0]) % len(FORMS)]}


def marks(pair: tuple[str, str]) -> pytest.MarkDecorator | tuple[()]:
    if pair in FAST:
        return ()
    return pytest.mark.faults if pair in LATER and pair not in KINDS.items() else pytest.mark.slow


@pytest.mark.fast_cases("outputs, nested-tflite")
@pytest.mark.usefixtures("checked_here")
@pytest.mark.parametrize(("name", "form"), [pytest.param(*pair, marks=marks(pair)) for pair in PAIRS])
def test_a_form_is_right_in_a_bare_client_or_refused_as_expected(name, form, tmp_path, monkeypatch):
    if KINDS.get(name) != form:  # the dense counterpart is for the sizes in export.json
        write = verified_forms.write_forms
        monkeypatch.setattr(
            verified_forms, "write_forms", lambda *args: {} if args[2].name == "dense" else write(*args)
        )
    outcome = judged(name, form, tmp_path)
    expected = ZOO[name].refused.get(form)
    assert outcome == "right" if expected is None else expected.sentence in outcome


def test_a_wrong_number_would_be_seen():
    scores = np.array([[1.0, 2.0], [4.0, 3.0]])
    twice = {"logits": 2 * scores, "probabilities": scores / 5, "class": np.array([1, 0])}
    assert min(wrong("classifier", twice, {"output": scores}).values()) > 0.1
    assert wrong("raw", {"a": scores}, {"b": scores}) == {"b": np.inf}
    with pytest.raises(AssertionError):
        wrong("probabilities", twice, {"output": scores})  # logits of a network that has none


def test_the_table_on_the_page_is_what_the_zoo_expects():
    page = PAGE.read_text()
    assert page.count(BEGIN) == page.count(END) == 1
    assert page.split(BEGIN)[1].split(END)[0].strip() == table().strip()


def test_the_zoo_is_large_and_its_refusals_are_of_forms():
    assert len(ZOO) >= 80
    assert all(network.refused.keys() <= set(FORMS) for network in ZOO.values())
