"""The page of `python -m rasyncio top --web PORT`: a server on 127.0.0.1, in the process of the viewer.

One thread follows the program; what it found is handed to whoever asks. The page loads nothing from elsewhere, and
shows the program's text as text. A request by another name than this machine's is refused, so that no page of another
site can read it.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ._address import LOOPBACK
from ._client import Unreachable
from ._view import View

_TYPES = {"html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
_FILES = {"/": "page.html", "/page.css": "page.css", "/page.js": "page.js", "/charts.js": "charts.js"}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none';"
        " form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
#: In seconds: for a request to come.
_PATIENCE = 10.0


#: A reader that wants the tree of a task which is not known yet waits so long for it.
_TREE_PATIENCE = 1.0
#: A tree that nobody wants for so many seconds is not asked for any more; nor are more than so many.
_WANTED_FOR = 10.0
_TREES_MAX = 8


class Follower:
    """Follows the program in a thread of its own, until it ends. That alone asks the program, so nobody else waits."""

    def __init__(self, view: View, every: float) -> None:
        self._view = view  # the thread's
        self._every = every
        self._change = threading.Condition()  # for what follows
        self._wanted: dict[str, float] = {}  # tasks, and when somebody wanted the tree last
        self._trees: dict[str, dict[str, Any] | None] = {}
        self._ended: str | None = None
        self._stops = False
        self._told = self._seen()
        self._thread = threading.Thread(target=self._follow, name="follower", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Follow no longer."""
        with self._change:
            self._stops = True
            self._change.notify_all()
        self._thread.join()

    def told(self, task: str | None) -> dict[str, Any]:
        """All that the page shows, with the tree of that task, or of the first."""
        with self._change:
            if task is not None and self._ended is None:
                self._wanted[task] = time.monotonic()
                if task not in self._trees:
                    self._change.notify_all()
                    self._change.wait_for(lambda: task in self._trees or self._ended is not None, _TREE_PATIENCE)
            tree = self._trees.get(task) if task is not None else None
            chosen = {"chosen": task, "tree": tree} if tree is not None else {}
            return {**self._told, **chosen, "every": self._every, "silence": self._view.silence, "ended": self._ended}

    def _seen(self) -> dict[str, Any]:
        view = self._view
        return {
            "snapshot": {**view.snapshot, "loops": None},
            "rates": view.rates,
            "history": list(view.history),
            "chosen": view.chosen,
            "tree": view.tree,
        }

    def _follow(self) -> None:
        due = time.monotonic() + self._every
        while True:
            with self._change:
                self._change.wait_for(self._is_needed, max(due - time.monotonic(), 0.0))
                if self._stops:
                    return
                wanted = self._wanted_now()
            try:
                if time.monotonic() >= due:
                    due = time.monotonic() + self._every
                    self._view.look()
                trees = {task: self._view.tree_of(task) for task in wanted}
            except Unreachable as error:
                with self._change:
                    self._ended = str(error)
                    self._change.notify_all()
                return
            with self._change:
                self._trees = trees
                self._told = self._seen()
                self._change.notify_all()

    def _wanted_now(self) -> list[str]:
        """The tasks whose trees somebody wants still, forgetting the others."""
        now = time.monotonic()
        wanted = {task: when for task, when in self._wanted.items() if now - when < _WANTED_FOR}
        newest = sorted(wanted, key=lambda task: wanted[task])[-_TREES_MAX:]
        self._wanted = {task: wanted[task] for task in newest}
        return newest

    def _is_needed(self) -> bool:
        return self._stops or any(task not in self._trees for task in self._wanted)


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    timeout = _PATIENCE
    protocol_version = "HTTP/1.1"
    server_version = "rasyncio"
    sys_version = ""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if not re.fullmatch(r"(?:127\.0\.0\.1|localhost)(?::\d{1,5})?", self.headers.get("Host", LOOPBACK)):
            self._answer(403, "text/plain", b"say http://127.0.0.1\n")
            return
        url = urlsplit(self.path)
        if url.path == "/data":
            wanted = parse_qs(url.query).get("task", [""])[0]
            task = wanted if re.fullmatch(r"[0-9a-f]{1,16}", wanted) else None
            self._answer(200, "application/json", json.dumps(self.server.follower.told(task)).encode())
        elif url.path in _FILES:
            name = _FILES[url.path]
            self._answer(200, _TYPES[name.rpartition(".")[2]], files(__package__).joinpath("page", name).read_bytes())
        else:
            self._answer(404, "text/plain", b"there is only one page: /\n")

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """A page that looks each second is not worth a line."""


class PageServer(ThreadingHTTPServer):
    """Serves the page of what is followed."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, follower: Follower, port: int) -> None:
        self.follower = follower
        super().__init__((LOOPBACK, port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that goes away, or is slow, is not worth a traceback."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def serve_page(view: View, port: int, every: float) -> None:
    """Serve the page until Ctrl-C. Raises Unreachable where the port cannot be had."""
    follower = Follower(view, every)
    try:
        try:
            server = PageServer(follower, port)
        except (OSError, OverflowError) as error:
            raise Unreachable(f"no page can be served at port {port}: {error}: choose another one") from None
        with server:
            print(f"http://{LOOPBACK}:{server.server_address[1]}/  (Ctrl-C ends it)", flush=True)
            threading.Thread(target=server.serve_forever, name="page", daemon=True).start()
            while True:
                time.sleep(3600)
    finally:
        follower.stop()
