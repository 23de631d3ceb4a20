"""Random programs do the same on CPython's Future, Task and loop and on ours: a fixed number of them, always the same.

`make fuzz` runs others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from differential.comparison import comparable, difference
from differential.engines import PRELUDES, WITH_NETWORK, WITH_TLS, Engines, engines
from differential.fuzz import KINDS, ROUND, one_round
from differential.network import HUGE
from differential.programs import Program

# The engines run for all tests of the file.
pytestmark = pytest.mark.xdist_group("differential")

#: So many programs, and so often.
ROUNDS = {
    "tasks": (ROUND, 4),
    "network": (ROUND // 4, 8),
    "tls": (ROUND // 4, 4),
    "datagrams": (ROUND // 4, 4),
    "pipes": (ROUND // 4, 4),
}


@pytest.fixture(scope="module")
def running() -> Iterator[Engines]:
    with engines() as running:
        yield running


@pytest.mark.parametrize(("kind", "number"), [(kind, number) for kind in KINDS for number in range(ROUNDS[kind][1])])
def test_random_programs_do_the_same_everywhere(running: Engines, kind: str, number: int) -> None:
    one_round(running, kind, number, ROUNDS[kind][0])


def program(*steps: list[object]) -> Program:
    setup = {"futures": 1, "debug": False, "factory": "", "handler": "", "overrides": [], "reentry": []}
    return {"setup": setup, "steps": list(steps)}


def test_a_trace_tells_what_happened(running: Engines) -> None:
    body = [["try", [["await", 0]], ["CancelledError"], [["raise", "ValueError", False]], []]]
    steps = program(["task", "create_task", body, "mine", None, False], ["turn"], ["cancel", 1, "please"], ["turn"])
    traces = running.traces(steps)
    assert list(traces) == list(PRELUDES)
    for trace in traces.values():
        text = "\n".join(trace)
        assert "body 0: [task t0, 'unset']" in trace
        assert "caught: CancelledError('please')#0" in text
        assert "handler: Task exception was never retrieved exception=ValueError('new', 1)#1<context=Canc" in text


QUIET = {"buffered": False, "eof": None, "buffer": "bytearray", "does": {}}


def of_connections(*steps: list[object]) -> Program:
    return {"setup": {**program()["setup"], "network": True}, "steps": list(steps)}


def test_a_trace_tells_what_connections_did(running: Engines) -> None:
    echo = {**QUIET, "does": {"data_received": [["write", -1, ["bytes", 7]]]}}
    steps = of_connections(
        ["connect", "tcp4", "client", echo, QUIET],
        ["peer_send", 0, 1000],
        ["turn"],
        ["peer_drain", 0],
        ["write", 0, ["bytes", HUGE]],
        ["peer_drain", 0],
        ["peer_end", 0, "reset"],
        ["turn"],
        ["turn"],
    )
    traces = running.traces(steps)
    assert list(traces) == list(WITH_NETWORK)
    for trace in traces.values():
        text = "\n".join(trace)
        parts = ["c0.0 data_received: 1000 bytes ", "write", "peer_drain ['7 bytes ", "c0.0 pause_writing: "]
        parts += ["c0.0 resume_writing: ", f"peer_drain ['{HUGE} bytes ", "c0.0 connection_lost: ConnectionResetError("]
        assert re.search(".*".join(map(re.escape, [*parts, "descriptors left 0"])), text, re.DOTALL), text


def test_a_trace_tells_what_tls_did(running: Engines) -> None:
    protocol = {"buffer": 0, "eof": True, "does": {"data_received": [["write", "bytes", 7]]}}
    steps: list[list[object]] = [
        ["peer_send", [5000, 7], ["cut", 500]],
        ["peer_read"],
        ["writelines", [5000, 600_000]],
        ["peer_read"],
        ["peer_send", [1024], ["flip", 900, 3]],
    ]
    setup = {"tls": "TLSv1_3", "server_side": False, "protocol": protocol}
    traces = running.traces({"setup": setup, "steps": steps})
    assert list(traces) == list(WITH_TLS)
    for trace in traces.values():
        text = "\n".join(trace)
        parts = ["connection_made: ", "data_received: 'bytes', 5007, ", "> write: None", "> peer_read: [7, "]
        parts += ["> peer_read: [605000, ", "connection_lost: SSLError(1, '[SSL: "]
        assert re.search(".*".join(map(re.escape, parts)), text, re.DOTALL), text


def test_a_trace_tells_what_datagrams_did(running: Engines) -> None:
    does = {"datagram_received": [["sendto", "bytes", 7, "other"], ["abort"]]}
    setup = {"datagrams": "unix", "connected": False, "does": does}
    # More than a Unix socket's peer keeps.
    steps: list[list[object]] = [
        ["burst", 30, 500, "peer"],
        ["look"],
        ["peer_receive"],
        ["peer_send", [1, 2]],
        ["look"],
    ]
    traces = running.traces({"setup": setup, "steps": steps})
    assert list(traces) == list(WITH_NETWORK)
    for trace in traces.values():
        text = "\n".join(trace)
        parts = ["connection_made: ", "> look: [False, ", ", [(500, 'peer'), ", "> peer_receive: [['peer', 500, "]
        parts += [
            "datagram_received: 'bytes', 1, ",
            ", 'peer'",
            "> sendto: None",
            "> abort: None",
            "connection_lost: None",
        ]
        assert re.search(".*".join(map(re.escape, [*parts, "['other', 7, "])), text, re.DOTALL), text
        assert text.count("datagram_received: ") == 1, "the second came after abort()"


def test_a_trace_tells_what_pipes_did(running: Engines) -> None:
    echo = {"data_received": [["write", "bytes", 7]]}
    steps: list[list[object]] = [
        ["peer_write", 500],
        ["peer_read"],
        ["write", "bytearray", 300_000],
        ["look"],
        ["peer_close", "writer"],
        ["peer_close", "reader"],
    ]
    traces = running.traces({"setup": {"pipes": "pipe", "reader": echo, "writer": {}}, "steps": steps})
    assert list(traces) == list(WITH_NETWORK)
    for trace in traces.values():
        text = "\n".join(trace)
        parts = ["data_received: 'reader', 'bytes', 500, ", "> peer_read: [7, ", "pause_writing: 'writer'"]
        parts += ["> look: [False, True, False, True]", "connection_lost: 'writer', BrokenPipeError("]
        assert re.search(".*".join(map(re.escape, [*parts, "eof_received: 'reader'"])), text, re.DOTALL), text


def test_a_byte_of_another_place_is_seen(running: Engines) -> None:
    sent = [
        running.traces(of_connections(["connect", "unix", "client", QUIET, QUIET], *writes, ["peer_drain", 0]))["c"]
        for writes in ([["write", 0, ["bytes", 7]]], [["write", 0, ["str", 7]], ["write", 0, ["bytes", 7]]])
    ]
    lines = [[line for line in trace if line.startswith("peer_drain ['7 bytes")] for trace in sent]
    assert [len(each) for each in lines] == [1, 1] and lines[0] != lines[1]


@pytest.mark.parametrize("engine", list(PRELUDES))
def test_a_difference_is_seen(running: Engines, monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    steps = program(["turn"])
    traces = running.traces(steps)
    assert difference(running, steps) == "" and comparable(steps, traces["c"])
    traces[engine] = [*traces[engine], "one line more"]
    monkeypatch.setattr(running, "traces", lambda _: traces)
    assert "one line more" in difference(running, steps)


def test_a_crash_and_a_failing_interpreter_are_differences(running: Engines) -> None:
    assert "KeyError: 'debug'" in difference(running, {**program(), "setup": {"handler": "", "reentry": []}})
    crashing = running._engines[-1]
    crashing.send(program())
    crashing.receive()
    assert crashing._process is not None
    crashing._process.kill()
    crashing._process.wait()
    with pytest.raises(BrokenPipeError):
        crashing.send(program())
    assert crashing.receive() == ["crashes: exit status -9"]
    assert difference(running, program()) == "", "it is started again"
