"""Who waits for much goes on before other files' events, where those are all that is left to run; else in its turn."""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import AsyncExitStack
from typing import Any

import pytest

from graft.notes import Notes, of_either, spin
from rasyncio import _graft

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11's functions cannot be grafted")

#: More than 8 KiB, and less.
MUCH, LITTLE = 9000, 1000


async def three(notes: Notes, size: int, busy: bool = False, stops: bool = False) -> None:
    """Three readers get so much at once; each notes what the others have when it goes on."""
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        readers: list[Any] = []
        ends = []
        for _ in range(3):
            near, far = socket.socketpair()
            stack.enter_context(far)
            reader, writer = await asyncio.open_connection(sock=near)
            stack.callback(writer.close)
            readers.append(reader)
            ends.append(far)

        async def read(number: int) -> None:
            await readers[number].readexactly(size)
            notes.append((number, [len(reader._buffer) for reader in readers]))
            loop.call_soon(notes.append, ("called", number))

        def spinning() -> None:
            if len(notes) < 6:
                loop.call_soon(spinning)

        tasks = [asyncio.ensure_future(read(number)) for number in range(3)]
        await spin(2)
        if busy:
            loop.call_soon(spinning)
        if stops:
            stopper = socket.socketpair()
            for end in stopper:
                stack.enter_context(end)
            stopper[0].send(b"x")
            loop.add_reader(stopper[1], lambda: (loop.remove_reader(stopper[1]), loop.stop()))
        for far in ends:
            far.sendall(b"x" * size)
        await asyncio.gather(*tasks)


def test_before_events_of_files(grafted: None) -> None:
    """The first goes on before the second is received from. It calls something, so what follows waits its turn."""
    notes: Notes = []
    asyncio.run(three(notes, MUCH))
    assert notes[0] == (0, [0, 0, 0])
    assert notes[1:] == [("called", 0), (1, [0, 0, MUCH]), (2, [0, 0, 0]), ("called", 1), ("called", 2)]


def test_little_waits_its_turn(installed: None) -> None:
    in_python, grafted = of_either(lambda notes: three(notes, LITTLE))
    assert grafted == in_python
    assert in_python[0] == (0, [0, LITTLE, LITTLE])


def test_behind_what_is_called(installed: None) -> None:
    in_python, grafted = of_either(lambda notes: three(notes, MUCH, busy=True))
    assert grafted == in_python
    assert in_python[0] == (0, [0, MUCH, MUCH])


def test_not_when_the_loop_stops(installed: None) -> None:
    """What has come to be ready in an iteration in which the loop was stopped runs when it runs again."""
    both = []
    for wanted in (False, True):
        _graft.attach(wanted)
        notes: Notes = []
        loop = asyncio.new_event_loop()
        task = loop.create_task(three(notes, MUCH, stops=True))
        loop.run_forever()
        both.append(list(notes))
        loop.run_until_complete(task)
        loop.close()
        assert len(notes) >= 3
    assert both == [[], []]
