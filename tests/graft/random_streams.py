"""Random programs of one reader: what is fed to it, who reads, who is cancelled, what is patched meanwhile."""

from __future__ import annotations

import asyncio
import random
import socket
import sys
from typing import Any

from graft.notes import Notes, outcome, shown, spin
from graft.streams import Wire, chain, state

LETTERS = b"ab\n"
SEPARATORS: list[Any] = [b"\n", b"a", b"ab", b"aab", b"\n\n", b"ba\n"]
if sys.version_info >= (3, 13):
    SEPARATORS += [(b"ab", b"\n"), (b"bbb", b"aa"), (b"a", b"aab"), [b"a"], ()]
PATCHES = ("_wait_for_data", "_maybe_resume_transport", "_wakeup_waiter", "feed_data", "read", "readuntil", "readline")

Action = tuple[str, Any]


def program(seed: int) -> tuple[int, bool, list[Action]]:
    """The limit of a reader, whether its transport is the loop's own, and what is done to it."""
    draw = random.Random(seed)
    actions: list[Action] = []
    for _ in range(draw.randrange(3, 40)):
        kind = draw.choices(
            [
                "feed",
                "read",
                "spin",
                "cancel",
                "look",
                "eof",
                "error",
                "patch",
                "hide",
                "pause",
                "drain",
                "view",
                "waiter",
                "chain",
            ],
            [30, 30, 20, 8, 5, 2, 2, 2, 1, 3, 4, 1, 1, 6],
        )[0]
        value: Any = draw.randrange(4)
        if kind == "view" and not (3, 13) <= sys.version_info < (3, 15):
            continue  # what fails then is a line of another text
        if kind == "feed":
            value = bytes(draw.choices(LETTERS, k=draw.randrange(9)))
        elif kind == "read":
            value = draw.choice(["read", "read", "readexactly", "readuntil", "readuntil", "readline", "anext", "all"])
            value = value, draw.choice(SEPARATORS) if value == "readuntil" else draw.randrange(12)
        elif kind in ("patch", "hide"):
            value = draw.choice(PATCHES)
        actions.append((kind, value))
    return draw.choice([1, 4, 10, 1 << 16]), draw.choice([False, True]), actions


def begin(reader: Any, kind: str, value: Any) -> Any:
    """A coroutine that reads."""
    if kind == "all":
        return reader.read()
    return anext(reader) if kind == "anext" else getattr(reader, kind)(*(() if kind == "readline" else (value,)))


async def run(seed: int, notes: Notes) -> None:
    """Run the program of that seed, and note all that can be seen."""
    limit, is_own, actions = program(seed)
    loop = asyncio.get_running_loop()
    reader: Any = asyncio.StreamReader(limit=limit, loop=loop)
    protocol: Any = asyncio.StreamReaderProtocol(reader, loop=loop)
    wire = Wire(notes)
    near, far = socket.socketpair()
    if is_own:
        transport: Any = (await loop.create_connection(lambda: protocol, sock=near))[0]
    else:
        transport = wire
        protocol.connection_made(wire)
    writer: Any = asyncio.StreamWriter(transport, protocol, reader, loop)
    tasks: list[asyncio.Task[Any]] = []
    patched: dict[str, Any] = {}
    view = None

    def noted(name: str, plain: Any) -> Any:
        def method(*arguments: Any) -> Any:
            notes.append(name)
            return plain(*arguments)

        return method

    async def reads(number: int, kind: str, value: Any) -> None:
        notes.append((number, await outcome(begin(reader, kind, value))))

    async def drains(number: int) -> None:
        notes.append((number, await outcome(writer.drain())))

    try:
        for kind, value in actions:
            try:
                if kind == "feed":
                    protocol.data_received(value)
                elif kind == "read":
                    tasks.append(asyncio.ensure_future(reads(len(tasks), *value)))
                elif kind == "drain":
                    tasks.append(asyncio.ensure_future(drains(len(tasks))))
                elif kind == "spin":
                    await spin(value)
                elif kind == "cancel" and tasks:
                    notes.append(tasks[-1 - value % len(tasks)].cancel(f"cancelled {value}"))
                elif kind == "look":
                    notes.append((state(reader), shown(repr(reader._waiter)), len(protocol._drain_waiters)))
                elif kind == "chain" and tasks:
                    # What was left to Python code midway has lines of its own.
                    notes.append(chain(tasks[-1 - value % len(tasks)].get_coro(), lines=False))
                elif kind == "eof":
                    notes.append(protocol.eof_received())
                elif kind == "error":
                    reader.set_exception(OSError("set"))
                elif kind == "patch" and value not in patched:
                    patched[value] = getattr(asyncio.StreamReader, value)
                    setattr(asyncio.StreamReader, value, noted(value, patched[value]))
                elif kind == "hide":
                    setattr(reader, value, noted(f"own {value}", getattr(reader, value)))
                elif kind == "pause":
                    (protocol.resume_writing if protocol._paused else protocol.pause_writing)()
                elif kind == "view":
                    view = memoryview(reader._buffer) if view is None else view.release()
                elif kind == "waiter" and reader._waiter is not None:
                    reader._waiter.set_result(None)
            except (AssertionError, BufferError, asyncio.InvalidStateError) as error:
                notes.append((kind, type(error).__name__, str(error)))
        if view is not None:
            view.release()
        await spin(3)
        notes.append(state(reader))
    finally:
        for name, plain in patched.items():
            setattr(asyncio.StreamReader, name, plain)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        wire.closing = True
        wire.calls = []  # when the writer dies is nobody's affair
        transport.abort()
        await spin(2)
        for end in (near, far):
            end.close()
