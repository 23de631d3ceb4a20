"""A coroutine that reads waits in the place of those that it would await; who looks finds them, and all is as then."""

from __future__ import annotations

import asyncio
import inspect
import sys
from typing import Any

import pytest

from graft.notes import Notes, of_either, outcome, outcome_of_call, shown, spin
from graft.streams import READS, chain, connected, coroutines_within, fed, state

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11's functions cannot be grafted")

#: Those that have to wait, and with these pieces go on.
WAITING = [name for name in READS if name not in ("read(0)", "readexactly(0)", "readexactly(-1)")]
PIECES = (b"x", b"aa", b"b\nab", b"\n")


def leaf(coroutine: Any) -> Any:
    """The innermost coroutine of those."""
    while inspect.iscoroutine(coroutine.cr_await):
        coroutine = coroutine.cr_await
    return coroutine


@pytest.mark.parametrize("looks", [range(5), [], [0], [1], [2]], ids=str)
@pytest.mark.parametrize("name", WAITING)
def test_who_looks(installed: None, name: str, looks: Any) -> None:
    """After none, one, two pieces and at each step; the result is the same whether anybody has looked or not."""

    async def program(notes: Notes) -> None:
        reader, protocol = fed()
        task = asyncio.ensure_future(outcome(READS[name](reader)))
        await spin(2)
        for number, piece in enumerate(PIECES):
            if number in looks:
                notes.append(chain(task.get_coro()))
            protocol.data_received(piece)
            if number in looks:
                notes.append(chain(task.get_coro()))
            await spin(2)
            notes.append((task.done(), state(reader)))
        protocol.eof_received()
        notes.append((await task, state(reader)))

    in_python, grafted = of_either(program)
    assert grafted == in_python


@pytest.mark.parametrize("pieces", range(3))
@pytest.mark.parametrize("name", WAITING)
def test_what_is_thrown_in(installed: None, name: str, pieces: int) -> None:
    """By `throw`, `close`, `cancel`, a reader's exception, a cancelled waiter, the end; at each number of pieces."""

    async def program(notes: Notes) -> None:
        def throw(coroutine: Any, _: Any) -> None:
            coroutine.throw(KeyError("thrown"))

        def close(coroutine: Any, _: Any) -> None:
            notes.append(coroutine.close())

        def throw_inside(coroutine: Any, _: Any) -> None:
            leaf(coroutine).throw(KeyError("inside"))

        for how in (throw, close, throw_inside):
            reader, protocol = fed()
            wrapped = result(READS[name](reader))
            for piece in (b"", *PIECES[:pieces]):
                protocol.data_received(piece)
                sent = await outcome_of_call(lambda wrapped=wrapped: wrapped.send(None))  # type: ignore[misc]
                notes.append("waits" if asyncio.isfuture(sent) else sent)
            if inspect.getcoroutinestate(wrapped) == "CORO_SUSPENDED":
                notes.append(await outcome(called(how, wrapped, reader)))
            notes.append((how.__name__, inspect.getcoroutinestate(wrapped), state(reader)))

        def cancel(task: Any, _: Any) -> None:
            task.cancel("no more")

        def fail(_: Any, reader: Any) -> None:
            reader.set_exception(OSError("failed"))

        def cancel_waiter(_: Any, reader: Any) -> None:
            if reader._waiter is not None:
                reader._waiter.cancel()

        def wake(_: Any, reader: Any) -> None:
            if reader._waiter is not None:
                reader._waiter.set_result(None)

        def end(_: Any, reader: Any) -> None:
            reader.feed_eof()

        for act in (cancel, fail, cancel_waiter, wake, end):
            reader, protocol = fed()
            task = asyncio.ensure_future(outcome(READS[name](reader)))
            await spin(2)
            for piece in PIECES[:pieces]:
                protocol.data_received(piece)
                await spin(2)
            act(task, reader)
            await spin(3)
            notes.append((act.__name__, task.done(), shown(repr(reader)), state(reader)))
            if not task.done():
                protocol.data_received(b"aab\n" * 3)
                reader.feed_eof()
            notes.append((await task, state(reader)))

    async def result(coroutine: Any) -> Any:
        return await coroutine

    async def called(how: Any, coroutine: Any, reader: Any) -> None:
        how(coroutine, reader)

    in_python, grafted = of_either(program)
    assert grafted == in_python


@pytest.mark.parametrize("looks", [False, True])
@pytest.mark.parametrize("limits", [(3, 5), (2, 2), (1 << 16, 1), (4, 0), (4, 2.5), (4, True)], ids=str)
def test_blocks_whose_size_changes(installed: None, limits: tuple[int, Any], looks: bool) -> None:
    """`read()` asks for the limit anew for each block; the block that it waits for has that of its beginning."""

    async def program(notes: Notes) -> None:
        reader, protocol = fed(limits[0])
        task = asyncio.ensure_future(outcome(reader.read()))
        await spin(2)
        for number, piece in enumerate((b"0123456789", b"abcdefgh", b"", b"the end")):
            reader._limit = limits[number % 2]
            if looks:
                inner = task.get_coro().cr_await.cr_await  # type: ignore[union-attr]
                # With a limit that is no plain number, it is left to Python code, which has lines of its own.
                notes.append((chain(task.get_coro(), lines=False), inner.cr_frame.f_locals.get("n") if inner else None))
            protocol.data_received(piece)
            await spin(2)
            notes.append((task.done(), state(reader)))
            if task.done():
                break
        protocol.eof_received()
        notes.append((await task, state(reader)))

    in_python, grafted = of_either(program)
    assert grafted == in_python


@pytest.mark.parametrize("act", ["set", "fail", "pause", "end", "replace", "take", "view"])
@pytest.mark.parametrize("pieces", range(3))
def test_what_comes_between_blocks(installed: None, act: str, pieces: int) -> None:
    async def program(notes: Notes) -> None:
        calls: Notes = []
        reader, protocol = fed(4, calls)
        task = asyncio.ensure_future(outcome(reader.read()))
        await spin(2)
        for piece in (b"123456", b"x", b"abcdefghij")[:pieces]:
            protocol.data_received(piece)
            await spin(2)
        view = None
        protocol.data_received(b"ABCDEF")
        if act == "set":
            reader.set_exception(OSError("behind"))
        elif act == "fail":
            reader._exception = OSError("silent")
        elif act == "pause":
            protocol.data_received(b"GHIJKLMNOPQ")
        elif act == "end":
            protocol.eof_received()
        elif act == "replace":
            reader._buffer = bytearray(b"another one")
        elif act == "take":
            notes.append(await outcome(asyncio.ensure_future(reader.read(6))))
        elif act == "view":
            view = memoryview(reader._buffer)
        await spin(3)
        notes.append((task.done(), state(reader), list(calls)))
        if view is not None:
            view.release()
        if not reader._eof:
            protocol.eof_received()
        notes.append((await task, state(reader), list(calls)))

    in_python, grafted = of_either(program)
    assert grafted == in_python


@pytest.mark.parametrize("looks", [False, True])
@pytest.mark.parametrize("act", ["resume", "throw", "close", "throw inside", "cancel", "lose", "fail", "cancel waiter"])
def test_drain(installed: None, act: str, looks: bool) -> None:
    """It waits in the place of the protocol's function; all is as if that were there."""

    async def program(notes: Notes) -> None:
        async with connected() as (_, writer, __, ___):
            protocol = writer.transport.get_protocol()
            protocol.pause_writing()
            task = asyncio.ensure_future(outcome(writer.drain()))
            loose = writer.drain()
            waiters = protocol._drain_waiters
            await spin(2)
            notes.append(asyncio.isfuture(loose.send(None)))
            if looks:
                notes.extend([chain(task.get_coro()), chain(loose), len(waiters)])
            if act == "throw":
                notes.append(await outcome_of_call(lambda: loose.throw(KeyError("thrown"))))
            elif act == "close":
                notes.append(await outcome_of_call(loose.close))
            elif act == "throw inside":
                notes.append(await outcome_of_call(lambda: leaf(loose).throw(KeyError("inside"))))
            elif act == "cancel":
                notes.append(task.cancel("no more"))
            elif act == "lose":
                protocol.connection_lost(OSError("lost"))
            elif act == "fail":
                waiters[1].set_exception(OSError("failed"))
            elif act == "cancel waiter":
                waiters[1].cancel("the waiter")
            else:
                protocol.resume_writing()
            await spin(2)
            notes.append((task.done(), len(waiters), inspect.getcoroutinestate(loose)))
            if inspect.getcoroutinestate(loose) == "CORO_SUSPENDED":
                if protocol._paused:
                    protocol.resume_writing()
                notes.append(await outcome_of_call(lambda: loose.send(None)))
            if protocol._paused:
                protocol.resume_writing()
            notes.append((await task, len(waiters)))

    in_python, grafted = of_either(program)
    assert grafted == in_python


def test_a_drain_that_waits_makes_nothing_unless_somebody_looks(grafted: None) -> None:
    async def main() -> tuple[Notes, Notes]:
        async with connected() as (_, writer, __, ___):
            writer.transport.get_protocol().pause_writing()
            drain = writer.drain()
            drain.send(None)
            return coroutines_within(drain)

    before, after = asyncio.run(main())
    assert not any(before)
    assert any(after)


@pytest.mark.parametrize("name", ["readline()", "readuntil()", "readexactly(8)", "read(3)", "read()", "anext()"])
def test_nothing_is_made_unless_somebody_looks(grafted: None, name: str) -> None:
    async def main() -> tuple[Notes, Notes]:
        reader, _ = fed()
        coroutine = READS[name](reader)
        coroutine.send(None)  # type: ignore[attr-defined]
        return coroutines_within(coroutine)

    before, after = asyncio.run(main())
    assert not any(before)
    assert any(after)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="call graphs are new in 3.14")
def test_a_call_graph(installed: None) -> None:
    async def program(notes: Notes) -> None:
        for name in WAITING:
            reader, protocol = fed()
            task = asyncio.ensure_future(outcome(READS[name](reader)))
            await spin(2)
            notes.append(shown(asyncio.format_call_graph(task) or ""))  # type: ignore[attr-defined]
            protocol.eof_received()
            notes.append(await task)

    in_python, grafted = of_either(program)
    assert grafted == in_python
    assert "_wait_for_data" in in_python[0]
