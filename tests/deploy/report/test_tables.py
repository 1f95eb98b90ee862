"""The tables on the screen."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from dlth_tf.deploy.report.facts import speed_note
from dlth_tf.deploy.report.tables import show


def printed(report: dict, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    show(report, console)
    return console.file.getvalue()


@pytest.mark.fast_cases("24")
@pytest.mark.parametrize("width", [24, 40, 80, 200])
def test_the_tables_fit_any_width_and_lose_nothing(report, width):
    for facts in report["forms"].values():
        facts["latency"] = {
            batch: {"ms": 1.25, "dense_ms": 2.5, "speedup": 2.0, "range": [1.9, 2.1]} for batch in ("1", "8", "64")
        }
        facts["notes"] = [speed_note("plain", facts["latency"], False, "plain")]
    report["forms"]["packed"]["latency"]["8"] |= {"speedup": 0.5, "range": [0.4, 0.6]}
    text = printed(report, width)
    assert max(map(len, text.splitlines())) <= width and "…" not in text
    if width >= 80:
        assert "packed" in text and f"{report['forms']['packed']['bytes']:,}" in text and "1.25 (2.5)" in text
        assert text.count("1.25 (2.5) slower") == 1
        assert "mult-adds" in text and "/ bound" in text
