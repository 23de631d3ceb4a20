"""The page of `python -m rasyncio top --web`: what a person reads and clicks in a browser, and who else may read it."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.children import PATIENCE
from support.serving import chromium
from support.viewers import running, top

# A browser takes its time on a busy machine.
pytestmark = pytest.mark.timeout(300)

PROGRAM = """\
import asyncio, time, rasyncio
async def sleeps():
    await asyncio.sleep(1000)
async def waits_for(other):
    await other
async def report():
    while True:
        await asyncio.sleep(0.2)
        write_it()
def write_it():
    time.sleep(0.1)
async def main():
    sleeper = asyncio.create_task(sleeps(), name="sleeper")
    waiting = asyncio.create_task(waits_for(sleeper), name="<b>waiting</b>")
    print("ready", flush=True)
    await report()
rasyncio.run(main())
"""


@contextlib.contextmanager
def page_of(target: object, *arguments: str) -> Iterator[str]:
    """The URL of a page about the program."""
    command = [sys.executable, "-m", "rasyncio", "top", str(target), "--web", "0", "--every", "0.1", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as viewer:
        try:
            assert viewer.stdout is not None
            line = viewer.stdout.readline()
            found = re.match(r"(http://127\.0\.0\.1:\d+/)  \(Ctrl-C ends it\)", line)
            assert found is not None, line + viewer.stdout.read()
            yield found[1]
        finally:
            viewer.kill()


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with running(PROGRAM, RASYNCIO_STATS=str(tmp_path / "s"), RASYNCIO_WATCH="0.03"), page_of(tmp_path / "s") as url:
        yield url


def fetched(url: str, **headers: str) -> Any:
    return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60 * PATIENCE)


def refused(url: str, **headers: str) -> int:
    with pytest.raises(urllib.error.HTTPError) as error:
        fetched(url, **headers)
    with error.value:
        return error.value.code


def test_what_is_served_and_to_whom(url: str) -> None:
    for path in ("", "page.css", "page.js", "charts.js"):
        with fetched(url + path) as answer:
            text = answer.read().decode()
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            assert "unsafe" not in answer.headers["Content-Security-Policy"]
            assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), "nothing is loaded from elsewhere"
            assert "innerHTML" not in text
    with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=60 * PATIENCE) as answer:
        assert (answer.status, answer.read()) == (200, b"") and int(answer.headers["Content-Length"]) > 0
    with fetched(f"{url}data") as answer:
        assert answer.headers["Content-Type"] == "application/json"
        said = json.load(answer)
    assert said["ended"] is None and said["tree"]["name"]
    with fetched(f"{url}data?task=abc") as answer:
        assert json.load(answer)["chosen"] in {each["id"] for each in said["snapshot"]["tasks"]["listed"]}
    for path in ("missing", "../top", "page.html", "data/../x"):
        assert refused(url + path) == 404
    # As a page of a site whose name leads here would ask.
    assert refused(f"{url}data", Host="evil.example") == 403
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(f"{url}data", data=b"x", timeout=60)
    with error.value:
        assert error.value.code == 501


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with running(RASYNCIO_STATS=str(tmp_path / "s")), socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for wrong in (port, 99999):
            done = top(tmp_path / "s", "--web", wrong)
            assert (done.returncode, done.stdout) == (1, "")
            assert done.stderr.startswith(f"rasyncio: no page can be served at port {wrong}: ")
            assert done.stderr.endswith(": choose another one\n") and done.stderr.count("\n") == 1


def test_it_stays_when_the_program_has_ended(tmp_path: Path) -> None:
    with running(RASYNCIO_STATS=str(tmp_path / "s")) as program, page_of(tmp_path / "s") as url:
        program.kill()
        program.wait()
        ended = None
        while ended is None:
            with fetched(f"{url}data?task=1") as answer:
                ended = json.load(answer)["ended"]
        assert ended == "the program has ended, or serves no longer"


@pytest.mark.xdist_group("a browser")
def test_in_a_browser(url: str, tmp_path: Path) -> None:
    with chromium() as browser:
        from playwright.sync_api import expect  # where there is none, the test is skipped

        page = browser.new_page(viewport={"width": 1200, "height": 1600}, color_scheme="light")
        errors: list[object] = []
        page.on("pageerror", lambda error: errors.append(error))
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        page.on("request", lambda asked: None if asked.url.startswith((url, "data:")) else errors.append(asked.url))
        # Not by wait_for_function(): the page forbids the eval() by which that looks a second time.
        wait = 60_000 * PATIENCE
        page.set_default_timeout(wait)
        page.goto(url)
        expect(page.locator(".task")).to_have_count(3, timeout=wait)
        expect(page.locator(".chart svg path.line")).to_have_count(4, timeout=wait)
        page.wait_for_selector(".step")
        text = page.inner_text("body")
        for wanted in ("MainThread", "longest", "Longest lag", "lag p99", "<b>waiting</b>", "write_it", "waits_for"):
            assert wanted in text
        assert page.locator("b").count() == 0, "what the program says is no markup"

        # Another task's tree.
        page.click(".task:has-text('sleeper')")
        page.wait_for_selector("#tree .chosen .name:text-is('sleeper')")
        assert "<b>waiting</b>" in page.inner_text("#tree")
        page.fill("#filter", "WAITING")
        expect(page.locator(".task")).to_have_count(1, timeout=wait)

        # The stack of a slow step; it stays open when the page is shown anew.
        assert page.locator(".step[open]").count() == 0
        page.click(".step:has-text('write_it') summary")
        page.wait_for_selector(".step[open]")
        page.wait_for_timeout(500)
        assert "in write_it" in page.inner_text(".step[open] pre")

        # What is under the pointer.
        page.hover(".chart svg", position={"x": 400, "y": 40})
        expect(page.locator(".chart h2 span").first).to_have_text(
            re.compile(r"^\d+ s ago: \d+ %"), use_inner_text=True, timeout=wait
        )

        # In the light and in the dark, and nowhere wider than the window.
        colours = []
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            for width in (1200, 420):
                page.set_viewport_size({"width": width, "height": 900})
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert colours[0] != colours[1]
        assert errors == []
