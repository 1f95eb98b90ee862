"""The site built by `make docs`: complete, self-contained, consistent with the flags, and readable on a phone."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dlth_tf as dlth
from dlth_tf import callbacks, keras3, train
from dlth_tf.console import with_default
from scripts import bench, flag_reference, typesetting
from scripts.flag_reference import flags_of
from scripts.generated_parts import pages, renewed
from tests.analysis.test_browser import CHROMIUM
from tests.test_flags import ROOT

COMMANDS = ("train", "sweep", "report", "export")
FRAME = """<!DOCTYPE html><body>
<iframe id="page" style="width: {width}px; height: 900px; border: 0" src="{page}"></iframe>
<script>addEventListener("load", () => {{
  const page = document.getElementById("page").contentDocument, root = page.documentElement;
  const pictures = [...page.images].map(image => image.naturalWidth);
  const room = page.querySelector("h1").clientWidth;
  const cut = [...page.querySelectorAll("table")].filter(table => table.scrollWidth > room).length;
  document.body.dataset.measured = JSON.stringify({{ needs: root.scrollWidth, has: root.clientWidth, pictures, cut }});
}})</script>"""


def built(folder: Path, config: str = "mkdocs.yml") -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", config, "--site-dir", str(folder)]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = built(folder)
    assert done.returncode == 0, done.stderr + done.stdout
    return folder


def fetched(page: str) -> list[str]:
    """Returns the URLs that a browser would load from other servers to show a page, links to click not included."""
    resources = re.findall(
        r"<(?:script|img|iframe|source|link)\b[^>]*?(?:src|href)=[\"']?((?:https?:)?//[^\"'\s>]+)", page
    )
    return resources + re.findall(r"@import|url\((?:https?:)?//[^)]*\)", page)


def test_nothing_on_any_page_comes_from_elsewhere(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 25 and not {path.name: fetched(path.read_text()) for path in pages if fetched(path.read_text())}


def test_what_comes_from_elsewhere_would_be_seen():
    assert fetched('<link rel="stylesheet" href="https://fonts.example/a.css"><a href="https://a.example">a</a>') == [
        "https://fonts.example/a.css"
    ]
    assert fetched('<script src="//cdn.example/x.js"></script>') == ["//cdn.example/x.js"]


def test_a_page_that_is_linked_and_not_there_fails_the_build(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/index.md").write_text("[a](nowhere.md)")
    ours = (ROOT / "mkdocs.yml").read_text()
    (tmp_path / "mkdocs.yml").write_text(
        "site_name: one page\n" + ours[ours.index("validation:") : ours.index("nav:\n  -")]
    )
    done = built(tmp_path / "site", str(tmp_path / "mkdocs.yml"))
    assert done.returncode == 1 and "nowhere.md" in done.stderr + done.stdout


def text_of(page: str) -> str:
    """Returns the text of a page as a reader sees it."""
    without_breaks = re.sub(r'<wbr>|<span class="flag">([^<]*)</span>', r"\1", page)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", without_breaks)).split())


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_has_every_flag_with_its_default_and_help(site, command):
    page = (site / "commands.html").read_text()
    groups = flags_of(command)
    if command == "sweep":  # its other flags are those of train
        groups = {"The sweep": groups["The sweep"]}
    for group, flags in groups.items():
        section = page[page.index(f">{command}: {group}<a") :].split("</table>")[0]
        rows = [text_of(row) for row in section.split("<tr>")[2:]]
        assert rows == [text_of(html.escape(f"--{flag.name} {meaning(flag)}")) for flag in flags]


def meaning(flag: flag_reference.Flag) -> str:
    return f"{flag.text} {flag.kind}{f' , default {flag.default}' if flag.default else ''}"


@pytest.mark.parametrize("command", COMMANDS)
def test_the_reference_is_what_help_prints(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    with pytest.raises(SystemExit):
        flag_reference.importlib.import_module(f"dlth_tf.{command}").main(["--help"])
    help_text = capsys.readouterr().out
    groups = flags_of(command)
    assert re.findall(r"^([A-Z][\w ]+):$", help_text, re.M) == list(groups)
    assert re.findall(r"^  --(\w+)", help_text, re.M) == [flag.name for flags in groups.values() for flag in flags]
    without_spaces = "".join(help_text.split())
    defaults = {"true": True, "false": False}
    for flag in (flag for flags in groups.values() for flag in flags):
        assert "".join(with_default(flag.text, defaults.get(flag.default, flag.default)).split()) in without_spaces


def test_durations_and_switches_are_told_apart():
    kinds = {flag.name: flag.kind for flags in flags_of("train").values() for flag in flags}
    assert (
        kinds["epochs"] == "duration; plain number: epochs" and kinds["hold_steps"] == "duration; plain number: steps"
    )
    assert kinds["lr_boundaries"] == "durations; plain number: epochs"
    assert (kinds["deterministic"], kinds["seed"], kinds["sparsity"], kinds["dry_run"]) == (
        "switch",
        "whole number",
        "number",
        "switch",
    )


def test_a_flag_that_is_added_comes_onto_the_page(monkeypatch):
    monkeypatch.setattr(train, "DRY_RUN", ("dry_run", "another text | with a bar", False))
    page = "a\n<!-- flags of train: begin -->\nstale line\n<!-- end -->\nb"
    assert "another text \\| with a bar" in renewed(page) and "stale line" not in renewed(page)


def test_a_page_has_the_results_that_are_recorded(monkeypatch, tmp_path):
    page = "a\n<!-- results of sweep: begin -->\nstale line\n<!-- end -->\nb"
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "RESULTS.md")
    assert 'No figures are recorded here: `make bench ONLY="sweep"`' in renewed(page) and "stale" not in renewed(page)
    sections = [bench.section(name, f"{name} 1.25") for name in ("masks", "sweep")]
    (tmp_path / "RESULTS.md").write_text(bench.HEAD + "".join(sections))
    new = renewed(page)
    assert "sweep 1.25" in new and "cores" in new and "masks" not in new and "##" not in new
    assert renewed(new) == new


def test_every_results_part_names_a_benchmark():
    named = {name for page in pages() for name in re.findall(r"<!-- results of (\w+): begin -->", page.read_text())}
    assert {"sweep", "compact_finetune"} <= named <= {path.stem for path in bench.FOLDER.glob("*.py")}


def test_the_generated_parts_of_the_pages_are_current():
    """Otherwise: python scripts/generated_parts.py."""
    assert {path.name for path in pages()} >= {"commands.md", "extending.md", "transfer_learning.md"}
    assert not [path.name for path in pages() if renewed(path.read_text()) != path.read_text()]


def test_formulas_are_set_and_flags_stay_in_one_piece(site):
    page = (site / "methods/rst.html").read_text()
    assert page.count("<math ") > 5 and "arithmatex" not in page and "$" not in text_of(page.split("<article")[1])
    assert "penalty_every" in page and "penalty\\_every" not in page
    assert '<code class="flag">--penalty_schedule</code>' in page and '<span class="flag">--flagfile</span>' in page


TAG = re.compile(
    "a|article|b|blockquote|br|code|d[dlt]|details|div|em|figure|form|h[1-4]|hr|img|li|mark|m[a-z]+|nav|[ou]l|p|path|pre"
    "|s|small|span|strong|su[bp]|summary|svg|table|tbody|t[dhr]|thead|wbr"
)


def lost(page: str) -> list[str]:
    """Returns what a page has swallowed: text in angle brackets, and lists that became rows of the table above."""
    article = page.split("<article")[-1].split("</article>")[0]
    tags = sorted(tag for tag in set(re.findall(r"<([a-z]\w*)", article)) if not TAG.fullmatch(tag))
    return tags + re.findall(r"<td[^>]*>(- [^<]*)", article)


def test_no_text_is_lost_on_any_page(site):
    found = {path.name: lost(path.read_text()) for path in site.rglob("*.html") if "<article" in path.read_text()}
    assert len(found) > 25 and not {name: what for name, what in found.items() if what}


def test_lost_text_would_be_seen():
    assert lost("<article><p>of <stop(g), g></p><td>- a point</td></article>") == ["stop", "- a point"]


def test_names_break_behind_their_separators_and_numbers_stay_with_their_units():
    def page(text: str) -> str:
        return typesetting.on_page_content(text)

    assert page("<p><code>tests/runs/test_a_long_name_of_a_test.py</code>").count("<wbr>") == 8
    assert page("<p><code>steps_per_execution</code>") == "<p><code>steps_per_execution</code>"
    assert page("<td><code>steps_per_execution</code></td>") == "<td><code>steps_<wbr>per_<wbr>execution</code></td>"
    assert page("<p><code>dlth-train --recipes=a</code>") == (
        '<p><code><span class="flag">dlth-train</span> <span class="flag">--recipes</span>=<wbr>a</code>'
    )
    assert page("<pre><code>a_name_of_more_than_thirty_two_letters</code></pre>").count("<wbr>") == 0
    assert page("<td>95.3 ± 0.3</td><td>[-1.8, 4.1]</td><td>4.5 min</td>").count(" ") == 0


def test_formulas_that_do_not_fit_beside_each_other_can_stand_below_each_other(site):
    formulas = (site / "methods/dense.html").read_text().split('<div class="formulas">')[1].split("</div>")[0]
    assert formulas.count("<math ") == formulas.count("</math>") == 3


def test_every_public_name_is_on_the_page_of_the_api(site):
    page = (site / "api.html").read_text()
    modules = {"callbacks": callbacks, "keras3": keras3, "optimizers": None}
    names = [name for name in dlth.__all__ if name not in modules]
    names += [f"callbacks.{name}" for name in callbacks.__all__] + [f"keras3.{name}" for name in keras3.__all__]
    sections = {text_of(part.split("<a class")[0].split(">", 1)[1]): part for part in page.split("<h3 ")[1:]}
    assert "and has no masks. It equals" in text_of(sections["dlth.compact"])  # one sentence over two lines is one item
    for name in [*names, "optimizers.SGD"]:
        assert len(text_of(sections[f"dlth.{name}"])) > 150, name


def test_every_example_of_the_api_is_code(site):
    page = (site / "api.html").read_text()
    assert "<blockquote>" not in page  # what a doctest outside of "Examples:" becomes
    examples = page.split('<details class="example"')[1:]
    assert len(examples) >= 5
    for example in examples:
        body = example.split("</summary>")[1].split("</details>")[0]
        assert "<code>" in body and "<p>" not in body, text_of(body)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium to lay the pages out")
@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize(
    "name",
    ["index", "choosing", "commands", "keras", "from_pytorch", "recipes/transfer_learning", "methods/index", "api"],
)
def test_a_page_fits_a_phone_and_a_desktop(site, name, width, tmp_path):
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME.format(width=width, page=(site / f"{name}.html").as_uri()))
    words = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--user-data-dir={tmp_path}/profile",
    ]
    words += ["--allow-file-access-from-files", "--dump-dom", frame.as_uri()]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    measured = json.loads(html.unescape(re.search(r'data-measured="(.*?)"', done.stdout)[1]))
    assert measured["needs"] <= measured["has"] == width and all(measured["pictures"])
    assert measured["cut"] == (name == "methods/index" and width == 390)  # the table of numbers, which scrolls
