"""Layout of the pages in a browser."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dlth_tf.analysis.pages.run_page import write_run_report
from dlth_tf.analysis.report import write_report
from tests.analysis.conftest import WriteSweep, seeds, write_run
from tests.analysis.pages.test_run_page import CONV
from tests.analysis.test_run_record import NEW

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium to lay the page out")
METHODS = ("scratch", "lth", "a_method_with_a_rather_long_name", "rst")
WRAPPER = """<!DOCTYPE html><html style="color-scheme: light dark"><body>
<iframe id="page" style="width: {width}px; height: 900px; border: 0" srcdoc="{page}"></iframe>
<script>addEventListener("load", () => {{
  const page = document.getElementById("page").contentDocument;
  const root = page.documentElement, body = getComputedStyle(page.body);
  document.body.dataset.measured = JSON.stringify({{
    needs: root.scrollWidth, has: root.clientWidth, back: body.backgroundColor, text: body.color,
    pictures: [...page.images].map(image => image.naturalWidth * image.alt.length),
    scrolling: [...page.querySelectorAll(".scroll")].some(box => box.scrollWidth > box.clientWidth) }}) }})</script>"""


def measured(page: str, folder: Path, width: int, *flags: str) -> dict[str, Any]:
    """Returns measurements of the page in a frame of that width; a Chromium window cannot be as narrow as a phone."""
    frame = folder / "frame.html"
    frame.write_text(WRAPPER.format(width=width, page=html.escape(page)))
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--user-data-dir={folder}/profile",
        *flags,
    ]
    done = subprocess.run(
        [*command, "--dump-dom", frame.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    return json.loads(html.unescape(re.search(r'data-measured="(.*?)"', done.stdout).group(1)))


@pytest.fixture
def sweep_page(write_sweep: WriteSweep) -> str:
    runs = [run for s in (0.9, 0.95, 0.98, 0.99) for method in METHODS for run in seeds(method, s, 0.9, 0.91, 0.1)]
    report = write_report(write_sweep(runs, methods=METHODS, missing=[("rst", 0.999, 0)], configs=True))
    return (report.root / "report.html").read_text()


def test_a_sweep_s_page_fits_a_phone_and_only_its_tables_scroll(sweep_page: str, tmp_path: Path) -> None:
    layout = measured(sweep_page, tmp_path, 390)
    assert layout["needs"] <= layout["has"] == 390 and layout["scrolling"]
    assert len(layout["pictures"]) == 2 and all(layout["pictures"])


@pytest.mark.slow
def test_a_sweep_s_page_fits_a_desktop_in_the_dark(sweep_page: str, tmp_path: Path) -> None:
    layout = measured(sweep_page, tmp_path, 1280, "--blink-settings=preferredColorScheme=0")
    assert layout["needs"] <= layout["has"] == 1280 and not layout["scrolling"]
    assert _brightness(layout["back"]) < 60 < 180 < _brightness(layout["text"])


def test_a_run_s_page_fits_a_phone_in_the_light(tmp_path: Path) -> None:
    report = write_run_report(write_run(tmp_path / "run", NEW, CONV))
    layout = measured(report.page.read_text(), tmp_path, 390)
    assert layout["needs"] <= layout["has"] == 390 and len(layout["pictures"]) == 2 and all(layout["pictures"])
    assert _brightness(layout["text"]) < 60 < 180 < _brightness(layout["back"])


def test_a_page_that_is_too_wide_would_be_found(tmp_path: Path) -> None:
    layout = measured("<!DOCTYPE html><body><p style='width: 900px'>too wide", tmp_path, 390)
    assert layout["needs"] > layout["has"]


def _brightness(color: str) -> float:
    return sum(map(int, re.findall(r"\d+", color)[:3])) / 3
