"""The places of what is grafted, for panics.py: native code behind functions of asyncio's, and its coroutines."""

from __future__ import annotations

import _asyncio
import asyncio
import concurrent.futures
import importlib
import logging
import operator
import socket
import threading
from asyncio.base_events import BaseEventLoop
from asyncio.selector_events import BaseSelectorEventLoop
from asyncio.timeouts import Timeout
from collections.abc import Callable
from typing import Any

Case = Callable[..., None]
Source = concurrent.futures.Future

#: It panics before it looks at the arguments.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "chain::chain_future::chain_future": asyncio.futures._chain_future,  # type: ignore[attr-defined]
    "chain::copy_state::copy_future_state": asyncio.futures._copy_future_state,  # type: ignore[attr-defined]
    "chain::run_in_executor::run_in_executor": BaseEventLoop.run_in_executor,
    "chain::wrap_future::wrap_future": asyncio.wrap_future,
    "group::cancel_gathering::cancel": asyncio.tasks._GatheringFuture.cancel,  # type: ignore[attr-defined]
    "group::create_task::create_task": asyncio.create_task,
    "group::ensure_future::ensure_future": asyncio.ensure_future,
    "group::gather::gather": asyncio.gather,
    "group::shield::shield": asyncio.shield,
    "group::task_group::create::create_task": asyncio.TaskGroup.create_task,
    "group::task_group::done::on_task_done": asyncio.TaskGroup._on_task_done,
    "group::task_group::enter::enter": asyncio.TaskGroup.__aenter__,
    "group::task_group::leave::exit": asyncio.TaskGroup.__aexit__,
    "group::wait::wait": asyncio.wait,
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
    "time::timeout::enter::aenter": Timeout.__aenter__,
    "time::timeout::leave::aexit": Timeout.__aexit__,
    "time::timeout::timeout": asyncio.timeout,
    "time::timeout::timeout_at": asyncio.timeout_at,
    "time::wait_for::wait_for": asyncio.wait_for,
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


async def driven_by_another() -> None:
    """By CPython's own task: the interpreter prefers `next` where there is nothing to send."""
    await _asyncio.Task(asyncio.sleep(0), loop=asyncio.get_running_loop())


class Own(asyncio.Queue[int]):
    """With an order of its own."""

    def _put(self, item: int) -> None:
        self._queue.append(item)  # type: ignore[attr-defined]

    def _get(self) -> int:
        return self._queue.pop()  # type: ignore[attr-defined,no-any-return]


async def uses_subclasses() -> None:
    """Native coroutines of what a program has derived."""
    items = Own(1)
    async with type("Derived", (asyncio.Lock,), {})():
        await items.put(1)
        assert await items.get() == 1


async def reads(reader: asyncio.StreamReader) -> None:
    """Waits in the place of those that it would await."""
    line = asyncio.ensure_future(reader.readline())
    await asyncio.sleep(0)
    reader.feed_data(b"line\n")
    assert await line == b"line\n"


def folded(run: Callable[[Any], Any]) -> None:
    """The panic is what the coroutine that reads ends with; the line stays."""

    async def main() -> None:
        reader = asyncio.StreamReader()
        try:
            await reads(reader)
        finally:
            assert await reader.readline() == b"line\n"

    run(main())


def received(run: Callable[[Any], Any]) -> None:
    """A transport receives for a reader, some kilobytes for the second time: nothing of that is lost or told twice."""

    async def main() -> None:
        here, there = socket.socketpair()
        with there:
            reader, writer = await asyncio.open_connection(sock=here)
            for size in (5000, 6000):
                there.send(bytes(size))
                assert len(await reader.readexactly(size)) == size
            writer.close()

    async def begins() -> asyncio.Task[None]:
        return asyncio.ensure_future(main())

    task = run(begins())
    try:
        run(task)
    finally:
        run(task)


class Raises(logging.Handler):
    """What `concurrent.futures` says of a callback is kept, to be raised."""

    def __init__(self) -> None:
        super().__init__()
        self.raised: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1]:
            self.raised.append(record.exc_info[1])


def ended_in_a_thread(run: Callable[[Any], Any]) -> None:
    """A future is completed in a thread, whose callback fails there. The other one of the loop stays as it is."""
    logger, kept = logging.getLogger("concurrent.futures"), Raises()

    async def main() -> None:
        source: Source[int] = Source()
        wrapped = asyncio.wrap_future(source)
        thread = threading.Thread(target=source.set_result, args=(1,))
        thread.start()
        thread.join()
        await asyncio.sleep(0)
        assert source.result() == 1 and not wrapped.done()

    logger.addHandler(kept)
    logger.propagate = False
    try:
        run(main())
    finally:
        logger.removeHandler(kept)
        logger.propagate = True
    for each in kept.raised:
        raise each


def on_inner_function(run: Callable[[Any], Any], find: Callable[[Any, Any], Any], *given: Any) -> Callable[[], None]:
    """One of the functions that two futures have, called by hand."""

    async def main() -> None:
        source: Source[int] = Source()
        wrapped = asyncio.wrap_future(source)
        find(source, wrapped)(*given)

    return lambda: run(main())


def checks(source: Any, wrapped: Any) -> Any:
    return wrapped._callbacks[0][0]


def sets(source: Any, wrapped: Any) -> Any:
    return source._done_callbacks[0]


def setter(source: Any, wrapped: Any) -> Any:
    function = sets(source, wrapped)
    return function.__closure__[function.__code__.co_freevars.index("_set_state")].cell_contents


def all_functions() -> dict[str, Callable[..., Any]]:
    """With the one that `install()` makes."""
    return FUNCTIONS | {"group::eager::factory": asyncio.eager_task_factory}  # type: ignore[attr-defined,unused-ignore]


def left_out(all_grafts: list[tuple[str, str]]) -> list[str]:
    """The grafts whose functions are not above."""
    functions = {id(function) for function in all_functions().values()}
    found = {(module, path): operator.attrgetter(path)(importlib.import_module(module)) for module, path in all_grafts}
    return [f"{module}.{path}" for (module, path), function in found.items() if id(function) not in functions]


def of_the_grafts(case: Case, run: Callable[[Any], Any]) -> None:
    """A panic at each place."""
    chained = "_asyncio::chain::chain_future"
    case(f"{chained}::call_check_cancel", on_inner_function(run, checks, 1))
    case(f"{chained}::call_set_state", on_inner_function(run, sets, 1))
    case(f"{chained}::call_set_state", lambda: ended_in_a_thread(run), within="in a thread")
    case(f"{chained}::set_state", on_inner_function(run, setter, 1, 2))
    case("body of a folded coroutine", lambda: folded(run))
    case("memory for reads", lambda: received(run), within="of a stream")
    case("body of a coroutine", lambda: run(uses_subclasses()), within="of a subclass")
    for place, function in all_functions().items():
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
    case("Coroutine::am_send", lambda: run(driven_by_another()))
    case("body of a coroutine", lambda: run(uses()))
    case("body of a coroutine", begun(lambda coroutine: coroutine.send(None)), within="that goes on")
    case("body of a coroutine", begun(lambda coroutine: coroutine.throw(ValueError())), within="that is thrown into")
