"""The result of an export: a dictionary that is short when it is shown."""

from __future__ import annotations

import json

import pytest

from dlth_tf.deploy.report.export_result import ExportResult

FORMS = {
    "plain": {"bytes": 1000, "dense_bytes": 1001, "notes": ["zeros are stored <like> others"]},
    "packed": {"bytes": 250, "dense_bytes": 1000, "notes": []},
    "tflite/int8": {"bytes": 90, "dense_bytes": None, "notes": []},
}
RESULT = ExportResult({"parameters": {"nonzero": 20, "total": 2000}, "forms": FORMS})


def test_it_is_the_dictionary_that_it_was() -> None:
    assert json.loads(json.dumps(RESULT)) == RESULT == {**RESULT}


def test_it_says_what_each_form_saves() -> None:
    assert repr(RESULT).splitlines() == [
        "ExportResult: 20 of 2,000 parameters are nonzero",
        "  plain: 1,000 bytes, as many as the dense network",
        "  packed: 250 bytes, 25 % of the dense 1,000",
        "  tflite/int8: 90 bytes",
        "  zeros are stored <like> others",
    ]
    assert "<td>packed</td><td>250 bytes, 25 %" in RESULT._repr_html_() and "&lt;like&gt;" in RESULT._repr_html_()


@pytest.mark.parametrize(("size", "words"), [(1004, "as many as"), (1100, "more than the dense 1,000")])
def test_a_form_that_saves_nothing_says_so(size: int, words: str) -> None:
    forms = {"plain": {"bytes": size, "dense_bytes": 1000, "notes": []}}
    assert words in ExportResult({"forms": forms}).savings()["plain"]
