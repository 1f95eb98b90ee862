"""The search of the site, in a browser: flags are found as they are written, and calls by their last name."""

from __future__ import annotations

import html
import json
import re
import subprocess
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tests.analysis.test_browser import CHROMIUM
from tests.test_site import site as site

FOUND_ON = {  # query -> pages that must be among the first ten
    "--hold_steps": {"commands.html", "api.html", "from_pytorch.html"},
    "onnx": {"deploy.html", "recipes/onnx.html", "choosing.html"},
    "RSTPenalty": {"api.html", "keras3.html", "recipes/transfer_learning.html"},
    "no_such_word": set(),
}
SECONDS = 6  # for the search's worker; the page is complete once /slow.png has been answered
PAGE = """<!DOCTYPE html><body>{frames}<img src="/slow.png"><script>addEventListener("load", () => {{
  const links = frame => [...frame.contentDocument.querySelectorAll("a.md-search-result__link")].map(link => link.href);
  document.body.dataset.found = JSON.stringify([...document.querySelectorAll("iframe")].map(links));
}})</script>"""


class Handler(SimpleHTTPRequestHandler):
    """Serves the site, a page with one frame for each query, and a picture that takes its time."""

    def do_GET(self) -> None:
        if self.path == "/frames.html":
            frames = "".join(f'<iframe src="/index.html?q={query}"></iframe>' for query in FOUND_ON)
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(PAGE.format(frames=frames).encode())
        elif self.path == "/slow.png":
            time.sleep(SECONDS)
            self.send_error(404)
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        """Logs nothing."""


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium to search")
@pytest.mark.slow
def test_flags_and_calls_are_found(site, tmp_path):
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(site))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/"
        words = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile"]
        done = subprocess.run(
            [*words, "--dump-dom", f"{address}frames.html"], capture_output=True, text=True, timeout=120, check=True
        )
        server.shutdown()
    found = json.loads(html.unescape(re.search(r'data-found="(.*?)"', done.stdout)[1]))
    for (query, pages), links in zip(FOUND_ON.items(), found, strict=True):
        names = {link.removeprefix(address).split("?")[0].split("#")[0] for link in links}
        assert pages <= names and bool(pages) == bool(names), (query, names)
