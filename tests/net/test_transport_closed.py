"""What a transport answers once it is on its way to its end, or over: each call, at each point, as asyncio's own."""

from __future__ import annotations

import inspect
import os
import re
import tempfile
from asyncio import selector_events
from collections.abc import Callable
from typing import Any

import pytest

from support.loops import WITH_DEBUG, Engine, Say, same_as_stock, tried, turn
from support.net import HUGE, Ends, Recorder, connected, until


def close(ends: Ends, loop: Any) -> None:
    ends.transport.close()


def abort(ends: Ends, loop: Any) -> None:
    ends.transport.abort()


def close_and_abort(ends: Ends, loop: Any) -> None:
    ends.transport.close()
    ends.transport.abort()


def close_full(ends: Ends, loop: Any) -> None:
    ends.transport.write(bytes(HUGE))
    ends.transport.close()


def end_full(ends: Ends, loop: Any) -> None:
    ends.transport.write(bytes(HUGE))
    ends.transport.write_eof()


def lost(how: Callable[[Ends, Any], None]) -> Callable[[Ends, Any], None]:
    def stage(ends: Ends, loop: Any) -> None:
        how(ends, loop)
        until(loop, lambda: ends.protocol.lost)

    return stage


def peer_closes(ends: Ends, loop: Any) -> None:
    ends.peer.close()


def fails(ends: Ends, loop: Any) -> None:
    ends.transport._fatal_error(ConnectionResetError("by hand"), "by hand")


STAGES: dict[str, Callable[[Ends, Any], None]] = {
    "closed": close,
    "aborted": abort,
    "closed and aborted": close_and_abort,
    "closed with a full buffer": close_full,
    "ended": lambda ends, loop: ends.transport.write_eof(),
    "ended with a full buffer": end_full,
    "lost after close()": lost(close),
    "lost after abort()": lost(abort),
    "lost, for the peer has closed": lost(peer_closes),
    "lost by an error": lost(fails),
    "its socket is detached": lambda ends, loop: os.close(ends.transport._sock.detach()),
    "its socket is closed": lambda ends, loop: ends.transport._sock.close(),
}

#: asyncio's own transport may keep what is empty, which then never comes to an end (gh-155888).
KEEPS_EMPTY = "if data]" not in inspect.getsource(
    selector_events._SelectorSocketTransport.writelines  # type: ignore[attr-defined]
)


def tried_for_a_while(loop: Any, coroutine: Any) -> Any:
    """What it comes to in some turns."""
    task = loop.create_task(coroutine)
    turn(loop, 6)
    if not task.done():
        task.cancel()
        turn(loop, 2)
        return "it takes long"
    return repr(task.exception()) if task.exception() else task.result()


def sendfile(ends: Ends, loop: Any, fallback: bool) -> Any:
    with tempfile.TemporaryFile() as file:
        file.write(b"1234")
        return tried_for_a_while(loop, loop.sendfile(ends.transport, file, 0, 4, fallback=fallback))


CALLS: dict[str, Callable[[Ends, Any], Any]] = {
    "write": lambda ends, loop: ends.transport.write(b"a"),
    "write nothing": lambda ends, loop: ends.transport.write(b""),
    "write a view": lambda ends, loop: ends.transport.write(memoryview(b"ab")),
    "write a bytearray": lambda ends, loop: ends.transport.write(bytearray(b"ab")),
    "write text": lambda ends, loop: ends.transport.write("text"),
    "write often": lambda ends, loop: [ends.transport.write(b"a") for _ in range(9)] and ends.transport._conn_lost,
    "writelines": lambda ends, loop: ends.transport.writelines([b"a", b"b"]),
    "writelines of nothing": lambda ends, loop: ends.transport.writelines([]),
    "writelines of empty ones": lambda ends, loop: ends.transport.writelines([b"", bytearray()]),
    "writelines of a generator": lambda ends, loop: ends.transport.writelines(each for each in (b"a", b"b")),
    "writelines of an empty generator": lambda ends, loop: ends.transport.writelines(each for each in ()),
    "writelines of text": lambda ends, loop: ends.transport.writelines(["text"]),
    "write_eof": lambda ends, loop: ends.transport.write_eof(),
    "can_write_eof": lambda ends, loop: ends.transport.can_write_eof(),
    "sendfile": lambda ends, loop: sendfile(ends, loop, True),
    "sendfile without fallback": lambda ends, loop: sendfile(ends, loop, False),
    "pause_reading": lambda ends, loop: [ends.transport.pause_reading(), ends.transport.is_reading()],
    "resume_reading": lambda ends, loop: [ends.transport.resume_reading(), ends.transport.is_reading()],
    "pause and resume": lambda ends, loop: [ends.transport.pause_reading(), ends.transport.resume_reading()],
    "limits": lambda ends, loop: [
        ends.transport.set_write_buffer_limits(10, 5),
        ends.transport.get_write_buffer_limits(),
    ],
    "no limits": lambda ends, loop: ends.transport.set_write_buffer_limits(0),
    "wrong limits": lambda ends, loop: ends.transport.set_write_buffer_limits(1, 2),
    "sizes": lambda ends, loop: ends.transport.get_write_buffer_size() > 0,
    "set_protocol": lambda ends, loop: [
        ends.transport.set_protocol(ends.protocol),
        ends.transport.get_protocol() is ends.protocol,
    ],
    "set_protocol none": lambda ends, loop: [ends.transport.set_protocol(None), ends.transport.get_protocol()],
    "get_protocol": lambda ends, loop: type(ends.transport.get_protocol()).__name__,
    "names": lambda ends, loop: [
        ends.transport.get_extra_info(name) for name in ("peername", "sockname", "sslcontext", "none")
    ],
    "socket": lambda ends, loop: ends.transport.get_extra_info("socket").fileno() >= 0,
    "repr": lambda ends, loop: repr(ends.transport).replace("bufsize=0", "").split("bufsize")[0],
    "close": lambda ends, loop: ends.transport.close(),
    "abort": lambda ends, loop: ends.transport.abort(),
    "force close": lambda ends, loop: ends.transport._force_close(None),
    "fatal error": lambda ends, loop: ends.transport._fatal_error(OSError("by hand")),
    "read ready": lambda ends, loop: ends.transport._read_ready(),
    "write ready": lambda ends, loop: ends.transport._write_ready(),
    "callbacks": lambda ends, loop: [
        getattr(getattr(ends.transport, name), "__name__", None) for name in ("_read_ready_cb", "_write_ready")
    ],
    "waiter": lambda ends, loop: ends.transport._make_empty_waiter().done(),
    "start_tls": lambda ends, loop: tried_for_a_while(loop, loop.start_tls(ends.transport, ends.protocol, None)),
}


def scenario(engine: Engine, say_it: Say, stage: str) -> None:
    def say(what: object) -> None:
        # A selector names the descriptor that it does not know.
        say_it(re.sub(r"KeyError(\(|: )\d+", r"KeyError\1N", what if isinstance(what, str) else repr(what)))

    for call, act in CALLS.items():
        if KEEPS_EMPTY and call == "writelines of empty ones":
            continue
        say(f"--- {call}")
        loop = engine.new()
        loop.set_exception_handler(lambda loop, context: say([context["message"], repr(context.get("exception"))]))
        ends = connected(loop, protocol=Recorder())
        tried(say, lambda ends=ends, loop=loop: STAGES[stage](ends, loop))
        for _ in range(2):
            tried(say, lambda act=act, ends=ends, loop=loop: act(ends, loop))
            say(repr(ends.transport).split("bufsize")[0])
            tried(say, lambda loop=loop: turn(loop, 2))
            say(ends.protocol.events)
        if ends.peer.fileno() >= 0:
            say(what_came(ends, loop))
        if ends.transport._sock is not None:  # else some versions fail (gh-156512)
            tried(say, ends.transport.abort)
        ends.peer.close()
        turn(loop, 3)
        say(ends.protocol.events)
        loop.close()


def what_came(ends: Ends, loop: Any) -> list[Any]:
    """How much, and the last bytes of it."""
    data, idle, end = bytearray(), 0, ""
    while not end and idle < 4:
        try:
            piece = ends.peer.recv(1 << 20)
            data += piece
            idle, end = 0, "" if piece else "the end"
        except BlockingIOError:
            idle += 1
        except OSError as error:
            end = repr(error)
        turn(loop)
    return [len(data), bytes(data[-9:]), end]


@pytest.mark.parametrize("engine_name", [name for name in WITH_DEBUG if name not in ("stock", "ours-select")])
@pytest.mark.parametrize("stage", STAGES)
def test_calls(engine_name: str, stage: str) -> None:
    """Not with a selector of Python's: select() refuses a descriptor that is not open, whose loop it is."""
    same_as_stock(engine_name, scenario, stage)
