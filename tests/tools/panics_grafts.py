"""The places of what is grafted, for panics.py: native code behind functions of asyncio's, and its coroutines."""

from __future__ import annotations

import asyncio
from asyncio.selector_events import BaseSelectorEventLoop
from collections.abc import Callable
from typing import Any

Case = Callable[..., None]

#: It panics before it looks at the arguments.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "group::create_task::create_task": asyncio.create_task,
    "group::gather::gather": asyncio.gather,
    "group::task_group::create::create_task": asyncio.TaskGroup.create_task,
    "group::task_group::done::on_task_done": asyncio.TaskGroup._on_task_done,
    "group::task_group::enter::enter": asyncio.TaskGroup.__aenter__,
    "group::task_group::leave::exit": asyncio.TaskGroup.__aexit__,
    "net::server::connection::accept_connection": BaseSelectorEventLoop._accept_connection2,  # type: ignore[attr-defined]
    "streams::lines::next": asyncio.StreamReader.__anext__,
    "streams::lines::readline": asyncio.StreamReader.readline,
    "streams::protocol::data_received": asyncio.StreamReaderProtocol.data_received,
    "streams::protocol::drain_helper": asyncio.streams.FlowControlMixin._drain_helper,  # type: ignore[attr-defined]
    "streams::protocol::eof_received": asyncio.StreamReaderProtocol.eof_received,
    "streams::read::read": asyncio.StreamReader.read,
    "streams::read::readexactly": asyncio.StreamReader.readexactly,
    "streams::reader::feed_data": asyncio.StreamReader.feed_data,
    "streams::reader::feed_eof": asyncio.StreamReader.feed_eof,
    "streams::until::readuntil": asyncio.StreamReader.readuntil,
    "streams::wait::wait_for_data": asyncio.StreamReader._wait_for_data,  # type: ignore[attr-defined]
    "streams::writer::drain": asyncio.StreamWriter.drain,
    "streams::writer::write": asyncio.StreamWriter.write,
    "streams::writer::writelines": asyncio.StreamWriter.writelines,
    "sync::condition::notify": asyncio.Condition.notify,
    "sync::condition::notify_all": asyncio.Condition.notify_all,
    "sync::condition::wait": asyncio.Condition.wait,
    "sync::condition::wait_for": asyncio.Condition.wait_for,
    "sync::event::set": asyncio.Event.set,
    "sync::event::wait": asyncio.Event.wait,
    "sync::lock::acquire": asyncio.Lock.acquire,
    "sync::lock::locked": asyncio.Lock.locked,
    "sync::lock::release": asyncio.Lock.release,
    "sync::manager::enter": asyncio.Lock.__aenter__,
    "sync::manager::exit": asyncio.Lock.__aexit__,
    "sync::queue::get": asyncio.Queue.get,
    "sync::queue::get_nowait": asyncio.Queue.get_nowait,
    "sync::queue::join": asyncio.Queue.join,
    "sync::queue::put": asyncio.Queue.put,
    "sync::queue::put_nowait": asyncio.Queue.put_nowait,
    "sync::queue::task_done": asyncio.Queue.task_done,
    "sync::semaphore::acquire": asyncio.Semaphore.acquire,
    "sync::semaphore::locked": asyncio.Semaphore.locked,
    "sync::semaphore::release": asyncio.Semaphore.release,
    "sync::semaphore::release_bounded": asyncio.BoundedSemaphore.release,
    "time::sleep::sleep": asyncio.sleep,
}


def closed(act: Callable[[Any], object]) -> Callable[[], None]:
    """Done to a coroutine, which is closed then."""

    def action() -> None:
        coroutine = asyncio.sleep(0)
        try:
            act(coroutine)
        finally:
            coroutine.close()

    return action


def begun(act: Callable[[Any], object]) -> Callable[[], None]:
    """The same of one that waits."""

    def action() -> None:
        coroutine = asyncio.sleep(0)
        coroutine.send(None)
        try:
            act(coroutine)
        finally:
            coroutine.close()

    return action


async def uses() -> None:
    """What has native coroutines await others."""
    changed, tokens, items = asyncio.Condition(), asyncio.Semaphore(1), asyncio.PriorityQueue[int]()
    async with changed, tokens:
        items.put_nowait(1)
        await items.get()
        await changed.wait_for(lambda: True)


def of_the_grafts(case: Case, run: Callable[[Any], Any]) -> None:
    """A panic at each place."""
    for place, function in FUNCTIONS.items():
        case(f"_asyncio::{place}", function)
    case("Coroutine::send", closed(lambda coroutine: coroutine.send(None)))
    case("Coroutine::throw", closed(lambda coroutine: coroutine.throw(ValueError())))
    case("Coroutine::close", lambda: asyncio.sleep(0).close())
    case("Coroutine::next", closed(next))
    case("Coroutine::repr", closed(repr))
    case("Coroutine::cr_await", closed(lambda coroutine: coroutine.cr_await))
    case("Coroutine::cr_frame", closed(lambda coroutine: coroutine.cr_frame))
    case("Coroutine::await_method", closed(lambda coroutine: coroutine.__await__()))
    case("Coroutine::dealloc", closed(lambda coroutine: None), "unraisable")
    case("Coroutine::am_send", lambda: run(uses()))
    case("body of a coroutine", lambda: run(uses()))
    case("body of a coroutine", begun(lambda coroutine: coroutine.send(None)), within="that goes on")
    case("body of a coroutine", begun(lambda coroutine: coroutine.throw(ValueError())), within="that is thrown into")
