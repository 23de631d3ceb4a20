"""The documentation's site, page by page in Chromium: light and dark, on a desk and on a phone.

`RASYNCIO_TEST_SCREENSHOTS=DIRECTORY` keeps what was seen there, to be looked at.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from support.serving import chromium

pytestmark = [pytest.mark.xdist_group("site"), pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
PAGES = sorted("" if page.stem == "index" else page.stem + "/" for page in (ROOT / "docs").glob("*.md"))
SCHEMES = {"light": "default", "dark": "slate"}
WIDTHS = {"desk": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}
KEPT = os.environ.get("RASYNCIO_TEST_SCREENSHOTS")

#: What is asked of a page: to load all of its pictures now, those that failed, and what has the name of another thing.
ALL_PICTURES = "document.querySelectorAll('img[loading=lazy]').forEach(img => { img.loading = 'eager' })"
BROKEN = "[...document.images].filter(img => img.offsetParent && !img.naturalWidth).map(img => img.src)"
TWICE = "[...document.querySelectorAll('[id]')].map(e => e.id).filter((id, at, all) => all.indexOf(id) !== at)"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The site, built and served."""
    pytest.importorskip("mkdocs", reason="make docs installs what builds the site")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "-q", "--site-dir", str(folder)]
    built = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("page", PAGES)
def test_page(address: str, browser: Any, page: str, scheme: str) -> None:
    """Nothing comes from elsewhere, no picture is missing, no error is logged, and nothing is wider than the window."""
    shown = browser.new_page(color_scheme=scheme)
    asked: list[str] = []
    errors: list[str] = []
    shown.on("request", lambda request: asked.append(request.url))
    shown.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    shown.on("pageerror", lambda error: errors.append(str(error)))
    assert shown.goto(address + page).status == 200
    shown.locator(f"body[data-md-color-scheme={SCHEMES[scheme]}]").wait_for()
    for width, size in WIDTHS.items():
        shown.set_viewport_size(size)
        shown.evaluate(ALL_PICTURES)
        shown.wait_for_load_state("networkidle")
        if KEPT:
            name = f"{page.strip('/') or 'index'}-{width}-{scheme}.png"
            shown.screenshot(path=str(Path(KEPT) / name), full_page=True)
        assert shown.evaluate(BROKEN) == [], width
        assert shown.evaluate("document.documentElement.scrollWidth") <= size["width"], width
    assert shown.evaluate(TWICE) == []
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    assert errors == []
    shown.close()
