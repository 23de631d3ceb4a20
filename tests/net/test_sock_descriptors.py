"""`sock_*` and descriptors' numbers that become others': never a wake-up, a byte or an error for the wrong socket.

Between two operations the system still knows a socket's descriptor. Nobody may notice.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import select
import socket
import sys
from typing import Any

import pytest

from support.loops import Engine, Say, same_as_stock, tried, turn

Pair = tuple[socket.socket, socket.socket]


def pair() -> Pair:
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    return left, right


def pair_with(number: int) -> Pair:
    """Two sockets of which the first has that number, which is free."""
    left, right = pair()
    if left.fileno() != number:
        assert right.fileno() != number
        os.dup2(left.fileno(), number)
        other = socket.socket(fileno=number)
        other.setblocking(False)
        left.close()
        left = other
    return left, right


def receive_once(loop: Any, ends: Pair) -> None:
    """An operation that waits, and is over."""
    task = loop.create_task(loop.sock_recv(ends[0], 10))
    turn(loop, 2)
    assert not task.done()
    ends[1].send(b"data")
    assert loop.run_until_complete(task) == b"data"
    turn(loop)


def close(*pairs: Pair) -> None:
    for ends in pairs:
        for end in ends:
            end.close()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at the loop's epoll descriptor")
@pytest.mark.parametrize("what", ["data", "end", "closed", "closed but for a duplicate"])
def test_what_comes_between_two_operations_is_not_told(engine: Engine, what: str) -> None:
    """The poller is not ready, so that the loop sleeps on."""
    if engine.name not in ("ours", "ours-c", "ours-debug"):
        pytest.skip("of a loop that waits natively")
    loop = engine.new()
    ends = pair()
    receive_once(loop, ends)
    with contextlib.ExitStack() as stack:
        if what == "closed but for a duplicate":
            stack.enter_context(ends[0].dup())
        if what == "end":
            ends[1].close()
        else:
            ends[1].send(b"more")
        if what.startswith("closed"):
            ends[0].close()
        assert select.select([loop._poller_fileno()], [], [], 0) == ([], [], [])
        looks = loop._count_looks()
        loop.call_later(0.01, loop.stop)
        loop.run_forever()
        # One that waits; before the timer is due, and when it is.
        assert loop._count_looks() - looks <= 3
    close(ends)


@pytest.mark.parametrize("how", ["closed", "closed but for a duplicate", "detached", "replaced by dup2"])
@pytest.mark.parametrize("waits", ["sock_recv", "add_reader", "transport"])
def test_a_number_that_is_anothers(engine: Engine, how: str, waits: str) -> None:
    """The other waits as if there had been nobody, gets its own data, and nothing of the first's."""
    loop = engine.new()
    first = pair()
    receive_once(loop, first)
    number = first[0].fileno()
    with contextlib.ExitStack() as stack:
        duplicate = first[0].dup() if how == "closed but for a duplicate" else None
        if duplicate:
            stack.enter_context(duplicate)
        if how == "detached":
            first[0].detach()
            os.close(number)
        elif how != "replaced by dup2":
            first[0].close()
        if how == "replaced by dup2":
            given, peer = pair()
            os.dup2(given.fileno(), number)
            given.close()
            other = (first[0], peer)  # the same object, of another file
        else:
            other = pair_with(number)
        assert other[0].fileno() == number
        first[1].send(b"of the first") if duplicate else None
        got: list[bytes] = []
        calls: list[int] = []
        task = transport = None
        if waits == "sock_recv":
            task = loop.create_task(loop.sock_recv(other[0], 100))
            task.add_done_callback(lambda task: got.append(task.result()))
        elif waits == "add_reader":
            loop.add_reader(number, lambda: (calls.append(1), got.append(other[0].recv(100))))
        else:

            class Protocol(asyncio.Protocol):
                def data_received(self, data: bytes) -> None:
                    got.append(data)

            transport, _ = loop.run_until_complete(loop.create_connection(Protocol, sock=other[0]))
        turn(loop, 5)
        assert got == [] and calls == []
        other[1].send(b"of the other")
        while not got:
            turn(loop)
        turn(loop, 3)
        assert got == [b"of the other"]
        if transport is not None:
            transport.close()
        loop.remove_reader(number) if waits == "add_reader" else None
        turn(loop, 2)
        assert number not in loop._selector.get_map()
        close(first, other)


def test_a_pending_one_whose_number_is_anothers(engine: Engine) -> None:
    """It gets an error or nothing, and the other one its data."""
    loop = engine.new()
    first = pair()
    pending = loop.create_task(loop.sock_recv(first[0], 10))
    turn(loop, 2)
    number = first[0].fileno()
    first[0].close()
    other = pair_with(number)
    other[1].send(b"of the other")
    turn(loop, 5)
    assert not pending.done() or pending.exception()
    pending.cancel()
    turn(loop, 3)
    assert other[0].recv(100) == b"of the other"
    assert number not in loop._selector.get_map()
    close(first, other)


@pytest.mark.parametrize("seed", range(60))
def test_random_sockets(engine_name: str, seed: int) -> None:
    """Sockets that are opened and closed, and wait or have waited, on a few numbers."""

    def scenario(engine: Engine, say: Say) -> None:
        chance = random.Random(seed)
        loop = engine.new()
        sockets: list[Pair] = []
        tasks: list[tuple[int, asyncio.Task[Any]]] = []
        count = 0
        for _ in range(60):
            act = chance.choice(
                ("open", "recv", "recv", "recv", "send", "send", "send", "close", "cancel", "turn", "turn", "map")
            )
            which = chance.randrange(8)
            if act == "open" or not sockets:
                if len(sockets) < 6:
                    sockets.append(pair())
                continue
            left, right = sockets[which % len(sockets)]
            if act == "recv":
                # One at a time, and not of one that a pending one was of: stock's would be in each other's way.
                if not any(task for owner, task in tasks if owner == id(left) and not task.done()):
                    tasks.append((id(left), loop.create_task(loop.sock_recv(left, chance.choice((1, 4, 100))))))
            elif act == "send":
                count += 1
                right.send(b"%d;" % count)
            elif act == "close":
                for owner, task in tasks:
                    if owner == id(left):
                        task.cancel()
                turn(loop, 3)
                sockets.remove((left, right))
                left.close()
                right.close()
            elif act == "cancel" and tasks:
                tasks[which % len(tasks)][1].cancel()
                turn(loop, 2)
            elif act == "map":
                turn(loop, 2)
                say([left.fileno() in loop._selector.get_map() for left, _ in sockets])
            turn(loop, chance.randrange(3))
            if act == "turn":
                turn(loop, 4)
                say(
                    [
                        repr(task.result()) if task.done() and not task.cancelled() else task.cancelled()
                        for _, task in tasks
                    ]
                )
        for _, task in tasks:
            task.cancel()
        turn(loop, 3)
        for left, right in sockets:
            tried(say, lambda left=left: left.recv(1000))  # type: ignore[misc]
            left.close()
            right.close()

    same_as_stock(engine_name, scenario)


def test_thousands_of_sockets_leave_nothing(engine: Engine) -> None:
    loop = engine.new()

    async def main(count: int) -> None:
        for _ in range(count):
            left, right = pair()
            with left, right:
                receiving = asyncio.ensure_future(loop.sock_recv(left, 100))
                await asyncio.sleep(0)
                await loop.sock_sendall(right, b"data")
                assert await receiving == b"data"

    loop.run_until_complete(main(10))
    before = len(os.listdir("/proc/self/fd")) if sys.platform.startswith("linux") else 0
    loop.run_until_complete(main(2000))
    after = len(os.listdir("/proc/self/fd")) if sys.platform.startswith("linux") else 0
    assert before == after
    assert len(loop._selector.get_map()) == 1
