"""What can be asked of a process that serves its stats, and the answers.

A request is a line: `snapshot`, or `tree ID` for the await tree of a task; the answer is a line of JSON. What cannot be
answered gets `{"error": ...}`. `GET /metrics` is answered as HTTP, for Prometheus; then the connection is closed.
Nothing that is asked changes anything.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from ._address import LOOPBACK
from ._await_tree import await_tree
from ._prometheus import CONTENT_TYPE, prometheus
from ._snapshot import snapshot

#: In bytes; of HTTP, all the lines together.
REQUEST_MAX = 8192
ANSWER_MAX = 4 * 2**20
_LINE_MAX = 256

_TREE = re.compile(r"tree ([0-9a-f]{1,16})")
_HOST = re.compile(rf"(?:{re.escape(LOOPBACK)}|localhost)(?::\d{{1,5}})?", re.IGNORECASE)


class Malformed(Exception):
    """What came is no request. Its text says why."""


class Request(NamedTuple):
    """What is asked for; equal ones have equal answers at one time."""

    what: str  # "snapshot", "tree", "metrics"; "none": what HTTP has not
    task: str = ""
    status: str = ""  # of HTTP

    @property
    def is_http(self) -> bool:
        return bool(self.status)


def taken(buffer: bytearray, *, by_port: bool) -> Request | None:
    """Take a request out of what has come; None if it is not complete. Raises Malformed."""
    head = bytes(buffer[:4])
    if head == b"GET " or (len(head) < 4 and b"GET ".startswith(head)):
        return _taken_http(buffer, by_port)
    end = buffer.find(b"\n", 0, _LINE_MAX)
    if end < 0:
        if len(buffer) >= _LINE_MAX:
            raise Malformed(f"a request is a line of less than {_LINE_MAX} bytes")
        return None
    line = buffer[:end].decode("ascii", "replace").rstrip("\r")
    del buffer[: end + 1]
    if line == "snapshot":
        return Request("snapshot")
    if tree := _TREE.fullmatch(line):
        return Request("tree", tree[1])
    raise Malformed("a request is 'snapshot', 'tree ID' or 'GET /metrics HTTP/1.1'")


def _taken_http(buffer: bytearray, by_port: bool) -> Request | None:
    end = re.search(rb"\r?\n\r?\n", buffer[:REQUEST_MAX])
    if end is None:
        if len(buffer) >= REQUEST_MAX:
            raise Malformed(f"a request of HTTP has less than {REQUEST_MAX} bytes")
        return None
    first, *headers = buffer[: end.start()].decode("latin-1").splitlines() or [""]
    del buffer[: end.end()]
    hosts = [value.strip() for name, _, value in (line.partition(":") for line in headers) if name.lower() == "host"]
    # A page of another site must not read it by a name of its own that leads here.
    if by_port and not all(_HOST.fullmatch(host) for host in hosts):
        return Request("none", status="403 Forbidden")
    if re.fullmatch(r"GET /metrics(?:\?\S*)? HTTP/1\.[01]", first):
        return Request("metrics", status="200 OK")
    return Request("none", status="404 Not Found")


def answer(request: Request) -> bytes:
    """Answer the request; what goes wrong is told as an answer."""
    try:
        if request.is_http:
            return _http(request)
        told = snapshot() if request.what == "snapshot" else {"tree": await_tree(request.task)}
        line = json.dumps(told, separators=(",", ":")).encode() + b"\n"
        return line if len(line) <= ANSWER_MAX else refusal("the answer would be too long")
    except Exception as error:  # a reader must not end what serves
        return refusal(f"{type(error).__name__}: {error}"[:200])


def refusal(why: str) -> bytes:
    """Answer that there is no answer."""
    return json.dumps({"error": why}).encode() + b"\n"


def _http(request: Request) -> bytes:
    body = (prometheus() if request.what == "metrics" else f"{request.status}: only /metrics is here\n").encode()
    head = (
        f"HTTP/1.1 {request.status}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\n"
        "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
