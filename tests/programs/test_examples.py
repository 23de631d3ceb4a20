"""The programs of examples/, started as their own first lines say, on CPython's asyncio and on ours."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from support.children import PATIENCE
from support.postgres import postgres
from support.serving import chromium, free_port, serving

__all__ = ["postgres"]  # the fixture

EXAMPLES = Path(__file__).parents[2] / "examples"
#: What RASYNCIO says, and the module of the loop that it gives.
WAYS = {"0": "asyncio.unix_events", "uvloop": "rasyncio._loop"}


def ask(url: str, body: object = None, *, follow: bool = True) -> tuple[int, Any]:
    """The answer's status, and what it says as JSON (or where it leads)."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *arguments: object) -> None:
            return None

    opener = urllib.request.build_opener(*([] if follow else [Stay]))
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with opener.open(request, timeout=30 * PATIENCE) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers.get("Location") or json.load(error)


def check_links(address: str) -> None:
    """What people do with short links."""
    target = "https://example.org/somewhere"
    status, link = ask(f"{address}/links", {"target": target})
    assert (status, link["target"], link["followed"]) == (201, target, 0)
    for _ in range(3):
        assert ask(f"{address}/{link['name']}", follow=False) == (307, target)
    assert ask(f"{address}/links/{link['name']}") == (200, {**link, "followed": 3})
    targets = [f"https://example.org/{number}" for number in range(20)]
    status, many = ask(f"{address}/links/many", [{"target": each} for each in targets])
    assert status == 201 and [each["target"] for each in many] == targets
    assert ask(f"{address}/links/nobody") == (404, {"detail": "there is no such link"})
    assert ask(f"{address}/links", {"target": "no address"})[0] == 422


@pytest.mark.timeout(120)
@pytest.mark.parametrize("way", WAYS)
def test_service_on_sqlite(way: str, tmp_path: Path) -> None:
    pytest.importorskip("aiosqlite")
    pytest.importorskip("sqlalchemy", reason="it has no wheel for this Python")
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--loop", "auto", "--port", str(port), "--app-dir"]
    variables = {"RASYNCIO": way}
    if way == "0":
        command[command.index("auto")] = "asyncio"
    with serving([*command, str(EXAMPLES / "fastapi_service"), "app:app"], port, tmp_path, variables) as address:
        _, health = ask(f"{address}/health")
        assert (health["loop"], health["database"]) == (WAYS[way], "sqlite")
        check_links(address)
    assert (tmp_path / "links.db").exists()


@pytest.mark.timeout(120)
def test_service_on_postgres(tmp_path: Path, postgres: str) -> None:
    pytest.importorskip("asyncpg", reason="it has no wheel for this Python")
    pytest.importorskip("sqlalchemy", reason="it has no wheel for this Python")
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--port", str(port), "--app-dir", str(EXAMPLES / "fastapi_service")]
    url = f"postgresql+asyncpg://tester@/postgres?host={postgres}"
    variables = {"RASYNCIO": "uvloop", "DATABASE_URL": url}
    with serving([*command, "app:app"], port, tmp_path, variables) as address:
        _, health = ask(f"{address}/health")
        assert (health["loop"], health["database"]) == ("rasyncio._loop", "postgresql")
        check_links(address)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_chat_in_a_browser(scheme: str, tmp_path: Path) -> None:
    """Two members talk; one goes; nothing on the page is wider than a phone, and nothing is an error."""
    port = free_port()
    command = [sys.executable, "-m", "rasyncio", str(EXAMPLES / "chat" / "chat.py"), "--port", str(port)]
    errors: list[str] = []
    with serving(command, port, tmp_path, {}) as address, chromium() as browser:
        pages = {}
        for name, width in (("Ann", 1280), ("Bob", 390)):
            context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
            page = pages[name] = context.new_page()
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
            page.goto(f"{address}/?name={name}")
            page.get_by_text(f"{name} came").wait_for()
        pages["Ann"].get_by_text("2 are here").wait_for()
        words = "<b>hello</b> " + "W" * 200
        pages["Ann"].get_by_label("Message").fill(words)
        pages["Ann"].get_by_role("button", name="Send").click()
        for page in pages.values():
            page.get_by_text(words).wait_for()
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
            if folder := os.environ.get("RASYNCIO_PICTURES"):
                page.screenshot(path=f"{folder}/chat-{scheme}-{page.viewport_size['width']}.png")
        pages["Bob"].context.close()
        pages["Ann"].get_by_text("Bob went").wait_for()
        pages["Ann"].get_by_text("you are alone").wait_for()
    assert errors == []


@pytest.mark.parametrize("way", WAYS)
def test_crawler(way: str) -> None:
    """A site with a page that never comes, one that is missing, and links that lead elsewhere or in a circle."""
    pages = {
        "/": '<a href="/a">a</a> <a href="/b#part">b</a> <a href="http://elsewhere.invalid/">no</a>',
        "/a": '<a href="/">back</a> <a href="slow">slow</a> <a href="/missing">missing</a>',
        "/b": '<a href="/a">a</a>' + "".join(f'<a href="/leaf/{number}">leaf</a>' for number in range(30)),
        **{f"/leaf/{number}": "a leaf" for number in range(30)},
    }

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.readline():
            while await reader.readline() not in (b"\r\n", b""):
                pass
            path = request.split()[1].decode()
            if path == "/slow":
                await asyncio.sleep(3600)
            body = pages.get(path, "").encode()
            status = b"200 OK" if path in pages else b"404 Not Found"
            length = str(len(body)).encode()
            writer.write(
                b"HTTP/1.1 %s\r\nContent-Type: text/html\r\nContent-Length: %s\r\n\r\n%s" % (status, length, body)
            )
        writer.close()

    async def crawl() -> str:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        start = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *[str(EXAMPLES / "crawler" / "crawler.py"), start, "--seconds", "2"],
            env={**os.environ, "RASYNCIO": way},
            stdout=subprocess.PIPE,
        )
        said, _ = await process.communicate()
        assert process.returncode == 0
        server.close()
        return said.decode().replace(start, "/")

    lines = asyncio.run(crawl()).splitlines()
    characters = sum(map(len, pages.values()))
    assert lines[0] == f"{len(pages)} pages, {characters:,} characters, on {WAYS[way]}"
    assert lines[1:3] == ["  /missing: 404 Not Found", "  /slow: nothing within 2 s"]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("comm", ["tcp", "asyncio_tcp"])
def test_cluster(comm: str, tmp_path: Path) -> None:
    """Scheduler and workers on ours; the job checks its results, and that it met no other loop."""
    pytest.importorskip("distributed", reason="it has no wheel for this Python")
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- cluster:start -->\nold\n<!-- cluster:end -->\nafter\n")
    command = [sys.executable, str(EXAMPLES / "cluster" / "cluster.py"), "--tasks", "300", "--records", "1000"]
    subprocess.run(
        [*command, "--loop", "rasyncio", "--comm", comm, "--update", str(page)],
        check=True,
        timeout=200 * PATIENCE,
        env={name: value for name, value in os.environ.items() if name != "RASYNCIO"},
    )
    text = page.read_text()
    assert text.startswith("before\n<!-- cluster:start -->\n| cluster |") and text.endswith("end -->\nafter\n")
    assert f"\n| {comm}, rasyncio | " in text and "old" not in text


@pytest.mark.timeout(240)
def test_actors(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="it has no wheel for this Python")
    variables = {"RASYNCIO": "uvloop", "HOME": str(tmp_path), "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "cluster" / "actors.py"), "--calls", "300"],
        cwd=tmp_path,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=200 * PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("600 calls on rasyncio._loop.EventLoop: ")
