"""Wherever reading from a stream calls Python code, or lets it run, that does something to the reader.

What then comes is what comes with asyncio's own bodies, and nothing crashes: where a coroutine waits in the place of
those that it would await, and where a transport receives into the reader's buffer.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from graft.notes import Notes, nameless, outcome, outcome_of_call, shown, spin, told
from graft.streams import READS, Wire, chain, fed, state
from rasyncio import _graft

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11's functions cannot be grafted")

#: The second time it is likely to come: the system writes it into the buffer.
MUCH = 5000


class World:
    """What a place and an action know of each other."""

    def __init__(self, read: str, action: str) -> None:
        self.read, self.action = READS[read], action
        self.notes: Notes = []
        self.reader: Any = None
        self.protocol: Any = None
        self.task: Any = None
        self.coroutine: Any = None
        self.views: list[memoryview] = []
        self.replaced: list[tuple[Any, str, Any]] = []
        self.count = 0

    def here(self, *_: object) -> None:
        """Acts, the first time."""
        self.count += 1
        if self.count == 1:
            try:
                self.notes.append(shown(repr(ACTIONS[self.action](self))))
            except BaseException as error:
                self.notes.append((type(error).__name__, str(error)))

    async def begin(self) -> None:
        """Somebody reads."""
        self.coroutine = self.read(self.reader)
        self.task = asyncio.ensure_future(outcome(self.coroutine))
        await spin(2)

    def waiter(self) -> Any:
        """The future that is waited for, if there is one."""
        return getattr(self.reader, "_waiter", None)


class Acting(Wire):
    """A transport that acts where a reader asks something of it."""

    def __init__(self, world: World, where: str) -> None:
        super().__init__([])
        self.world, self.where = world, where

    def pause_reading(self) -> None:
        if self.where == "pause":
            self.world.here()

    def resume_reading(self) -> None:
        if self.where == "resume":
            self.world.here()


def asked(where: str) -> Callable[[World], Awaitable[None]]:
    """The transport is told that there is too much, and that there is room again."""

    async def place(world: World) -> None:
        world.reader, world.protocol = fed(4)
        world.protocol.connection_made(Acting(world, where))
        await world.begin()
        for piece in (b"xa", b"ab\nabxabxabxab", b"ab\n"):
            world.protocol.data_received(piece)
            await spin(2)
        await world.begin() if world.task.done() else None
        await spin(2)

    return place


async def waiter_dies(world: World) -> None:
    world.reader, world.protocol = fed()
    await world.begin()
    reference = weakref.ref(world.waiter(), world.here) if world.waiter() is not None else None
    for piece in (b"x", b"aa", b"b\nab"):
        world.protocol.data_received(piece)
        await spin(2)
    del reference


async def waiter_is_done(world: World) -> None:
    """Between the data and who waits for them."""
    world.reader, world.protocol = fed()
    await world.begin()
    if world.waiter() is not None:
        world.waiter().add_done_callback(world.here)
    for piece in (b"x", b"aa", b"b\nab"):
        world.protocol.data_received(piece)
        await spin(2)


async def waits(world: World) -> None:
    world.reader, world.protocol = fed()
    await world.begin()
    world.protocol.data_received(b"x")
    await spin(2)
    world.here()
    for piece in (b"aa", b"b\nab"):
        await outcome_of_call(lambda piece=piece: world.protocol.data_received(piece))  # type: ignore[misc]
        await spin(2)


def received(size: int, when: str) -> Callable[[World], Awaitable[None]]:
    """By a transport, into the buffer; it acts before more comes, or between the data and who waits for them."""

    async def place(world: World) -> None:
        near, far = socket.socketpair()
        with far:
            world.reader, writer = await asyncio.open_connection(sock=near, limit=4 * MUCH)
            world.protocol = writer.transport.get_protocol()
            for number in range(3):
                if not world.task or world.task.done():
                    await world.begin()
                if number == 1 and when == "before":
                    world.here()
                elif number == 1 and world.waiter() is not None:
                    world.waiter().add_done_callback(world.here)
                far.send(b"xab\n" + b"x" * (size - 8) + b"aab\n")
                await spin(8)
            far.shutdown(socket.SHUT_WR)
            await spin(8)
            world.notes.append(writer.transport.is_closing())
            writer.transport.abort()
            await spin(3)

    return place


PLACES: dict[str, Callable[[World], Awaitable[None]]] = {
    "pause": asked("pause"),
    "resume": asked("resume"),
    "waiter dies": waiter_dies,
    "waiter is done": waiter_is_done,
    "waits": waits,
    "little is received": received(100, "before"),
    "much is received": received(MUCH, "before"),
    "little was received": received(100, "behind"),
    "much was received": received(MUCH, "behind"),
}


class Bytes(bytearray):
    """Not exactly one."""


class Derived(asyncio.StreamReader):
    """Native code knows nothing of it."""


def export(world: World) -> int:
    world.views.append(memoryview(world.reader._buffer))
    return len(world.views[0])


def look(world: World) -> Any:
    return chain(world.coroutine, lines=False), state(world.reader)


def replace(world: World) -> None:
    """All that reads, and what is passed over, with what does the same."""
    for cls in (asyncio.StreamReader, asyncio.StreamReaderProtocol):
        for name, plain in list(vars(cls).items()):
            if callable(plain) and not name.startswith("__"):
                world.replaced.append((cls, name, plain))
                setattr(cls, name, lambda *arguments, plain=plain, **keywords: plain(*arguments, **keywords))


def feed(world: World) -> None:
    world.protocol.data_received(b"by hand\n")


def unplug(world: World) -> None:
    world.protocol._stream_reader_wr = None


def another_reader(world: World) -> None:
    world.reader = asyncio.StreamReader()
    world.protocol._stream_reader_wr = weakref.ref(world.reader)


def another_protocol(world: World) -> None:
    reader, protocol = fed()
    world.views.append(reader)
    if hasattr(world.reader._transport, "set_protocol") and not isinstance(world.reader._transport, Wire):
        world.reader._transport.set_protocol(protocol)


ACTIONS: dict[str, Callable[[World], object]] = {
    "look": look,
    "another buffer": lambda world: setattr(world.reader, "_buffer", bytearray(b"another\n")),
    "derived buffer": lambda world: setattr(world.reader, "_buffer", Bytes(b"derived\n")),
    "clear": lambda world: world.reader._buffer.clear(),
    "delete": lambda world: world.reader._buffer.__delitem__(slice(0, 1)),
    "export": export,
    "feed": feed,
    "feed by hand": lambda world: world.reader.feed_data(b"fed\n"),
    "extend": lambda world: world.reader._buffer.extend(b"extended\n" * 700),
    "end": lambda world: world.reader.feed_eof(),
    "fail": lambda world: world.reader.set_exception(OSError("set")),
    "lose": lambda world: world.protocol.connection_lost(OSError("lost")),
    "cancel": lambda world: world.task.cancel("cancelled"),
    "cancel waiter": lambda world: world.waiter() and world.waiter().cancel(),
    "forget waiter": lambda world: setattr(world.reader, "_waiter", None),
    "read, too": lambda world: asyncio.ensure_future(outcome(world.reader.read(2))) and None,
    "send": lambda world: world.coroutine.send(None),
    "throw": lambda world: world.coroutine.throw(ValueError("thrown")),
    "close": lambda world: world.coroutine.close(),
    "limit": lambda world: setattr(world.reader, "_limit", 2),
    "attributes": lambda world: vars(world.reader).clear(),
    "hide": lambda world: setattr(world.reader, "_maybe_resume_transport", lambda: world.notes.append("own")),
    "class": lambda world: setattr(world.reader, "__class__", Derived),
    "replace": replace,
    "unplug": unplug,
    "another reader": another_reader,
    "another protocol": another_protocol,
    "detach": lambda world: _graft.attach(False),
    "debug": lambda world: asyncio.get_running_loop().set_debug(True),
    "profile": lambda world: sys.setprofile(lambda *_: None),
    "collect": lambda world: (gc.collect(), None)[1],
}


async def happens(world: World, place: str) -> None:
    loop = asyncio.get_running_loop()
    reported: Notes = []
    loop.set_exception_handler(
        lambda _, context: (
            "retrieved" in context["message"] or reported.append((context["message"], told(context["exception"])))
        )  # type: ignore[arg-type]
    )
    reader = None
    try:
        world.notes.append(await outcome(PLACES[place](world)))
        sys.setprofile(None)
        loop.set_debug(False)
        for view in world.views:
            if isinstance(view, memoryview):
                view.release()
        reader = world.reader
        world.notes.append(await outcome_of_call(lambda: state(reader)))
        world.notes.append(await outcome_of_call(world.protocol.eof_received))
        await spin(3)
        world.task.cancel()
        world.notes.append(await outcome(world.task))
        world.notes.append(await outcome_of_call(lambda: state(reader)))
    finally:
        for cls, name, plain in reversed(world.replaced):
            setattr(cls, name, plain)
    world.notes.append(reported)


def run(place: str, read: str, action: str, wanted: bool) -> Notes:
    """What is seen of it."""
    _graft.attach(wanted)
    world = World(read, action)
    try:
        asyncio.run(happens(world, place))
    finally:
        sys.setprofile(None)
    return nameless(world.notes)  # type: ignore[no-any-return]


def without_lines(notes: Any) -> Any:
    """Of exceptions what they are, and not where they came through (docs/grafting.md)."""
    if isinstance(notes, tuple) and len(notes) == 3 and isinstance(notes[2], list):
        return notes[:2]
    return [without_lines(each) for each in notes] if isinstance(notes, (list, tuple)) else notes


#: What can only go on in Python, or fails in another way than usual, goes through other lines (docs/grafting.md).
OTHER_LINES = {"attributes", "fail", "lose", "replace"}


@pytest.mark.parametrize("read", ["readexactly(8)", "anext()"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("action", ACTIONS)
def test_it_does_what_the_body_does(installed: None, place: str, read: str, action: str) -> None:
    in_python, grafted = run(place, read, action, False), run(place, read, action, True)
    if action in OTHER_LINES:
        assert without_lines(grafted) == without_lines(in_python)
    else:
        assert grafted == in_python
