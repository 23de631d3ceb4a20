"""Who waits for data goes on behind the events of other files that the system has told of at once."""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import AsyncExitStack

import pytest

from graft.notes import Notes, of_either

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11's functions cannot be grafted")

MUCH = 16 * 1024


async def sent_before(notes: Notes) -> None:
    """What is sent to one connection before something is sent to another has come when that has.

    The poller tells of the other one first: of what it has told of last it tells first, whatever came in between.
    """

    class Control(asyncio.Protocol):
        count = 0

        def data_received(self, data: bytes) -> None:
            self.count += len(data)

    async with AsyncExitStack() as stack:
        (near, far), (other, control) = socket.socketpair(), socket.socketpair()
        for end in (far, control):
            stack.enter_context(end)
        reader, writer = await asyncio.open_connection(sock=near, limit=4 * MUCH)
        stack.callback(writer.close)
        transport, protocol = await asyncio.get_running_loop().create_connection(Control, sock=other)
        stack.callback(transport.close)
        for number in range(1, 6):
            far.sendall(b"x" * MUCH)
            await reader.readexactly(MUCH)
            control.send(b"x")
            far.sendall(b"x" * MUCH)
            await reader.readexactly(MUCH)
            notes.append(protocol.count - number)
            while protocol.count < number:
                await asyncio.sleep(0)


def test_what_was_sent_before_has_come(installed: None) -> None:
    in_python, grafted = of_either(sent_before)
    assert grafted == in_python == [0] * 5
