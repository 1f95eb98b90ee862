"""HTML pages: escaped, self-contained and accessible."""

from __future__ import annotations

import base64
import re

import pytest

from dlth_tf.analysis.pages.html import bullets, page, pairs, paragraph, picture, table

NASTY = "<script>alert('a')</script> & \"b\""
ESCAPED = "&lt;script&gt;alert(&#x27;a&#x27;)&lt;/script&gt; &amp; &quot;b&quot;"


@pytest.mark.parametrize(
    "html",
    [
        page(NASTY, [("h", [paragraph("x")])]),
        page("t", [(NASTY, [paragraph("x")])]),
        paragraph(NASTY),
        bullets([NASTY]),
        table(NASTY, ["a"], []),
        table("l", [NASTY], []),
        table("l", ["a"], [(NASTY, [])]),
        table("l", ["a"], [("r", [(NASTY, False)])]),
        table("l", ["a"], [("r", [(NASTY, True)])]),
        pairs({NASTY: "x"}),
        pairs({"x": NASTY}),
        picture(b"png", NASTY, "x"),
        picture(b"png", "x", NASTY),
    ],
)
def test_nothing_from_outside_becomes_markup(html: str) -> None:
    assert ESCAPED in html.replace("<wbr>", "") and "<script" not in html and '"b"' not in html


def test_a_dollar_sign_in_a_name_is_no_placeholder() -> None:
    assert "<h1>$title ${x} $$</h1>" in page("$title ${x} $$", [("$body", [paragraph("$style")])])


def test_a_page_needs_nothing_but_itself() -> None:
    html = page("t", [("h", [picture(b"png", "a", "c")])])
    assert not re.findall(r"https?:|<link|<script|url\(|@import", html)
    assert "default-src 'none'" in html and f"data:image/png;base64,{base64.b64encode(b'png').decode()}" in html


def test_sections_without_content_leave_no_heading() -> None:
    html = page("t", [("Empty", []), ("Full", [paragraph("x")]), ("", [paragraph("y")])])
    assert "Empty" not in html and html.count("<h2>") == 1


def test_the_best_stand_out_and_the_others_do_not() -> None:
    html = table("l", ["method", "90 %"], [("rst", [("97.0", True)]), ("lth", [("96.0", False)])])
    assert (
        "<strong>97.0</strong>" in html and "<strong>96.0</strong>" not in html and '<th scope="row">rst</th>' in html
    )


def test_remarks_are_softer_than_text() -> None:
    assert 'class="soft"' in paragraph("x", soft=True) and "class" not in paragraph("x")


def test_a_long_value_breaks_behind_its_separators_and_a_flag_nowhere() -> None:
    html = pairs({"command": 'python -m dlth_tf.sweep --lr_values=.1,.01 --sweep_dir=runs/mine & "b"'})
    assert '<span class="flag">--lr_values</span>=<wbr>.1,<wbr>.01 <span class="flag">--sweep_dir</span>=' in html
    assert "runs/<wbr>mine &amp; &quot;b&quot;" in html and "python -m dlth_tf.sweep " in html
