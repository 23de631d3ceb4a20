"""What a program replaces is called on our loop where it is called on asyncio's.

A sweep: every method of asyncio's loop classes, at each place where it can be replaced, and every name that asyncio's
own functions look up in their modules. Each replacement counts its calls, a program that uses a loop for most things
runs on asyncio's loop and on ours, and the two must agree on whether it was called.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import gc
import heapq
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from asyncio import base_events, events, selector_events, unix_events
from collections.abc import Callable, Iterator
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any
from unittest import mock

import pytest

from support.loops import engine_for

BASES = [cls for cls in asyncio.SelectorEventLoop.__mro__ if cls is not object]
NAMES = sorted(
    name
    for name in dir(asyncio.SelectorEventLoop)
    if not name.startswith("__") and callable(getattr(asyncio.SelectorEventLoop, name))
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asyncio's selector is another one there")

# --- programs


async def small_things(loop: Any) -> None:
    """What a loop does without files, processes and threads."""
    future = loop.create_future()
    loop.call_soon(future.set_result, 1)
    await future
    done = loop.create_future()
    loop.call_later(0.001, done.set_result, None)
    loop.call_at(loop.time() + 100, print).cancel()
    loop.call_later(100, print).cancel()
    await done
    assert loop.is_running() and not loop.is_closed() and not loop.get_debug()
    await loop.create_task(asyncio.sleep(0))
    await asyncio.gather(*(asyncio.sleep(0) for _ in range(3)))
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(loop.create_future(), 0.001)
    called = loop.create_future()
    thread = threading.Thread(target=loop.call_soon_threadsafe, args=(called.set_result, None))
    thread.start()
    await called
    thread.join()
    loop.call_soon(lambda: 1 // 0)
    loop.set_exception_handler(lambda *_: None)
    loop.get_exception_handler()
    loop.set_task_factory(loop.get_task_factory())
    await asyncio.sleep(0)


async def sockets(loop: Any) -> None:
    left, right = socket.socketpair()
    for end in (left, right):
        end.setblocking(False)
    read = loop.create_future()
    loop.add_reader(right, read.set_result, None)
    left.send(b"x")
    await read
    loop.remove_reader(right)
    right.recv(10)
    written = loop.create_future()
    loop.add_writer(right, written.set_result, None)
    await written
    loop.remove_writer(right)
    receiving = asyncio.ensure_future(loop.sock_recv(right, 10), loop=loop)
    await asyncio.sleep(0)
    await loop.sock_sendall(left, b"data")
    await receiving
    receiving = asyncio.ensure_future(loop.sock_recv_into(right, bytearray(10)), loop=loop)
    await asyncio.sleep(0)
    await loop.sock_sendall(left, b"data")
    await receiving
    left.close()
    right.close()
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as client:
        listening.setblocking(False)
        client.setblocking(False)
        accepting = asyncio.ensure_future(loop.sock_accept(listening), loop=loop)
        await loop.sock_connect(client, listening.getsockname())
        (await accepting)[0].close()
    with socket.socket(type=socket.SOCK_DGRAM) as first, socket.socket(type=socket.SOCK_DGRAM) as second:
        for end in (first, second):
            end.setblocking(False)
            end.bind(("127.0.0.1", 0))
        receiving = asyncio.ensure_future(loop.sock_recvfrom(second, 10), loop=loop)
        await asyncio.sleep(0)
        await loop.sock_sendto(first, b"x", second.getsockname())
        await receiving
        receiving = asyncio.ensure_future(loop.sock_recvfrom_into(second, bytearray(10)), loop=loop)
        await asyncio.sleep(0)
        await loop.sock_sendto(first, b"x", second.getsockname())
        await receiving


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self, loop: Any) -> None:
        self.received = loop.create_future()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.received.set_result(data)


async def transports(loop: Any) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"line\n")
    await reader.read()
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()
    receiver, protocol = await loop.create_datagram_endpoint(lambda: Datagrams(loop), local_addr=("127.0.0.1", 0))
    sender, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=receiver.get_extra_info("sockname")
    )
    sender.sendto(b"x")
    await protocol.received
    receiver.close()
    sender.close()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "s")
        server = await asyncio.start_unix_server(serve, path)
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"line\n")
        await reader.read()
        writer.close()
        server.close()
    source, sink = os.pipe()
    reading, _ = await loop.connect_read_pipe(asyncio.Protocol, open(source, "rb", 0))  # noqa: SIM115
    writing, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, open(sink, "wb", 0))  # noqa: SIM115
    writing.close()
    reading.close()
    await asyncio.sleep(0)


async def signals_and_threads(loop: Any) -> None:
    came = loop.create_future()
    loop.add_signal_handler(signal.SIGUSR1, came.set_result, None)
    os.kill(os.getpid(), signal.SIGUSR1)
    await came
    loop.remove_signal_handler(signal.SIGUSR1)
    await loop.run_in_executor(None, time.sleep, 0)
    await loop.getaddrinfo("127.0.0.1", 80)
    await loop.getnameinfo(("127.0.0.1", 80))


async def processes(loop: Any) -> None:
    child = await asyncio.create_subprocess_exec("true")
    await child.wait()
    child = await asyncio.create_subprocess_shell("cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    await child.communicate(b"x")


async def generators(loop: Any) -> None:
    async def numbers() -> Any:
        yield 1
        yield 2

    async for _ in numbers():
        break
    await asyncio.sleep(0)


PARTS: tuple[Callable[[Any], Any], ...] = (
    small_things,
    sockets,
    transports,
    signals_and_threads,
    processes,
    generators,
)


def run(loop: Any, parts: tuple[Callable[[Any], Any], ...] = PARTS) -> None:
    """Run the parts, and end the loop as asyncio.run does."""
    asyncio.set_event_loop(loop)
    try:
        for part in parts:
            loop.run_until_complete(part(loop))
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()
        asyncio.set_event_loop(None)


# --- methods


def counting(function: Callable[..., Any], calls: list[str], name: str = "called") -> Callable[..., Any]:
    def replacement(*args: Any, **options: Any) -> Any:
        calls.append(name)
        return function(*args, **options)

    return replacement


@contextlib.contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    had = name in vars(owner)
    before = vars(owner).get(name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if had:
            setattr(owner, name, before)
        else:
            delattr(owner, name)


def calls_of(engine_name: str, level: str, name: str, parts: tuple[Callable[[Any], Any], ...]) -> int:
    """How often the method is called that was replaced on that level: a class's name, "type" or "instance"."""
    calls: list[str] = []
    with engine_for(engine_name) as engine, contextlib.ExitStack() as stack:
        if level == "instance":
            loop = engine.new()
            setattr(loop, name, counting(getattr(loop, name), calls))
        else:
            cls = engine.loop_class if level == "type" else next(cls for cls in BASES if cls.__name__ == level)
            stack.enter_context(replaced(cls, name, counting(getattr(cls, name), calls)))
            loop = engine.new()
        run(loop, parts)
        return len(calls)  # uninstall() asks loops whether they run


@functools.cache
def parts_that_call(name: str) -> tuple[Callable[[Any], Any], ...]:
    """The first part of the program that calls the method on asyncio's loop; all of it if none does."""
    for part in PARTS:
        if calls_of("stock", "type", name, (part,)):
            return (part,)
    return PARTS


@functools.cache
def called_on_stock(level: str, name: str) -> bool:
    return calls_of("stock", level, name, parts_that_call(name)) > 0


def levels_of(name: str) -> list[str]:
    return ["instance", "type", *(cls.__name__ for cls in BASES if name in vars(cls))]


@pytest.mark.parametrize("engine_name", ["ours", "ours-select"])
@pytest.mark.parametrize("name", NAMES)
def test_method(name: str, engine_name: str) -> None:
    """Replaced on the instance, on its type, on each class of asyncio's that defines it."""
    found = {level: calls_of(engine_name, level, name, parts_that_call(name)) > 0 for level in levels_of(name)}
    assert found == {level: called_on_stock(level, name) for level in found}


def test_the_program_calls_most_methods() -> None:
    """Or the sweep would say little."""
    called = [name for name in NAMES if called_on_stock("type", name)]
    assert len(called) > 0.7 * len(NAMES), sorted(set(NAMES) - set(called))


#: Called as often as there are iterations, or as the time asks for.
AS_OFTEN_AS_IT_TAKES = {
    "_add_callback",
    "_process_events",
    "_process_self_data",
    "_read_from_self",
    "_run_once",
    "time",
}


@pytest.mark.parametrize("level", ["instance", "type", "base"])
@pytest.mark.parametrize("name", [name for name in NAMES if name not in AS_OFTEN_AS_IT_TAKES])
def test_as_often(name: str, level: str) -> None:
    if level == "base":
        level = next(cls.__name__ for cls in BASES if name in vars(cls))
    gc.collect()  # loops of other tests ask themselves whether they are closed when they die
    found = {engine: calls_of(engine, level, name, (small_things,)) for engine in ("stock", "ours")}
    assert found["ours"] == found["stock"]


# --- names in modules


class Proxy:
    """A module, which notes what is asked of it."""

    def __init__(self, module: ModuleType, asked: set[str]) -> None:
        self._module = module
        self._asked = asked

    def __getattr__(self, name: str) -> Any:
        self._asked.add(name)
        return getattr(self._module, name)


def replacement_of(value: Any, asked: set[str]) -> Any:
    if isinstance(value, ModuleType):
        return Proxy(value, asked)
    if isinstance(value, type):

        class Mine(value):  # type: ignore[misc]
            def __init__(self, *args: Any, **options: Any) -> None:
                asked.add("made")
                super().__init__(*args, **options)

        return Mine

    def replacement(*args: Any, **options: Any) -> Any:
        asked.add("called")
        return value(*args, **options)

    return replacement


def asked_of(engine_name: str, module: ModuleType, name: str, when: str) -> set[str]:
    """What is asked of the name, replaced before the loop is made or while it is there."""
    asked: set[str] = set()
    with engine_for(engine_name) as engine:
        loop = engine.new() if when == "after" else None
        with mock.patch.object(module, name, replacement_of(vars(module)[name], asked)):
            run(loop or engine.new(), (small_things, sockets, transports, signals_and_threads))
    return asked


HANDLES = [name for name in ("Handle", "TimerHandle", "_ThreadSafeHandle") if hasattr(events, name)]
IN_MODULES: list[tuple[ModuleType, str]] = [
    *((events, name) for name in HANDLES),
    *(
        (module, name)
        for module in (base_events, selector_events, unix_events, events)
        for name, value in vars(module).items()
        if isinstance(value, ModuleType | FunctionType | BuiltinFunctionType) and not name.startswith("__")
    ),
    *((heapq, name) for name in ("heappush", "heappop", "heapify")),
    (time, "monotonic"),
    (contextvars, "copy_context"),
    (selectors, "DefaultSelector"),
    (selectors, "EpollSelector"),
]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("module", "name"), IN_MODULES, ids=[f"{module.__name__}.{name}" for module, name in IN_MODULES]
)
def test_name_in_module(module: ModuleType, name: str, when: str) -> None:
    assert asked_of("ours", module, name, when) == asked_of("stock", module, name, when)


@pytest.mark.parametrize("name", ["select", "register", "unregister", "modify", "get_map", "get_key", "close"])
@pytest.mark.parametrize(
    "level", ["instance", "EpollSelector", "_PollLikeSelector", "_BaseSelectorImpl", "BaseSelector"]
)
def test_selector_method(level: str, name: str) -> None:
    """Replaced on the loop's selector, or on one of its classes, while the loop is there."""

    def called(engine_name: str) -> bool:
        calls: list[str] = []
        with engine_for(engine_name) as engine, contextlib.ExitStack() as stack:
            loop = engine.new()
            if level == "instance":
                setattr(loop._selector, name, counting(getattr(loop._selector, name), calls))
            else:
                cls = next(cls for cls in selectors.EpollSelector.__mro__ if cls.__name__ == level)
                if name not in vars(cls):
                    return False
                function = counting(getattr(cls, name), calls)
                stack.enter_context(replaced(cls, name, function))
            run(loop, (small_things, sockets))
        return bool(calls)

    assert called("ours") == called("stock")


@pytest.mark.parametrize("cls", HANDLES)
@pytest.mark.parametrize("name", ["__init__", "_run", "cancel", "cancelled", "__lt__", "when", "__repr__"])
def test_handle_method(cls: str, name: str) -> None:
    """Replaced while a loop is there, with handles of before."""
    handle_class = getattr(events, cls)
    if name not in vars(handle_class):
        pytest.skip("the class has none of its own")

    def said(engine_name: str) -> list[bool]:
        calls: list[str] = []
        with engine_for(engine_name) as engine:
            loop = engine.new()
            early = [loop.call_soon(int), loop.call_later(0.001, int), loop.call_soon_threadsafe(int)]
            with replaced(handle_class, name, counting(getattr(handle_class, name), calls)):
                [handle.cancelled() for handle in early]
                repr(early)
                early[0].cancel()
                before = bool(calls)
                run(loop, (small_things,))
                return [before, bool(calls)]

    ours, stock = said("ours"), said("stock")
    assert ours == stock


# --- the same by hand


def test_clock_of_mock_patch(engine_name: str) -> None:
    with engine_for(engine_name) as engine:
        loop = engine.new()
        with mock.patch("time.monotonic", lambda: 7.0):  # noqa: PT008
            assert loop.time() == 7.0
            assert loop.call_later(3, print).when() == 10.0
        assert loop.time() != 7.0


def test_clock_that_jumps(engine_name: str) -> None:
    """Timers are due by the clock that they see."""
    with engine_for(engine_name) as engine:
        loop = engine.new()
        now = 1000.0
        with mock.patch("time.monotonic", lambda: now):  # noqa: PT008
            loop.call_later(3600, loop.stop)

            def jump() -> None:
                nonlocal now
                now += 3600

            loop.call_soon(jump)
            loop.run_forever()
            assert loop.time() == 4600.0


def test_selector_that_makes_time(engine_name: str) -> None:
    """The virtual clock of many test suites: a select() that does not wait."""
    with engine_for(engine_name) as engine:
        loop = engine.new()
        now = 0.0
        select = loop._selector.select

        def virtual(timeout: float | None) -> Any:
            nonlocal now
            now += timeout or 0
            return select(0)

        loop._selector.select = virtual
        loop.time = lambda: now
        loop.run_until_complete(asyncio.sleep(3600))
        assert 3600 <= now < 3601
        del loop._selector.select, loop.time
        loop.run_until_complete(asyncio.sleep(0))


def test_selector_as_a_whole(engine_name: str) -> None:
    class Wrapper:
        def __init__(self, inner: Any) -> None:
            self.inner = inner
            self.waits = 0

        def select(self, timeout: float | None) -> Any:
            self.waits += 1
            return self.inner.select(timeout)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

    with engine_for(engine_name) as engine:
        loop = engine.new()
        loop._selector = wrapper = Wrapper(loop._selector)
        run(loop)
        assert wrapper.waits > 5


def test_own_files_by_the_selector(engine_name: str) -> None:
    """What a program registers itself comes to `_process_events`."""
    with engine_for(engine_name) as engine:
        seen: list[Any] = []

        class Loop(engine.loop_class):  # type: ignore[misc,name-defined]
            def _process_events(self, event_list: Any) -> None:
                own = [(key, events) for key, events in event_list if key.data == "mine"]
                seen.extend((key.fileobj, key.events, events) for key, events in own)
                super()._process_events([event for event in event_list if event not in own])

        loop = engine.new(Loop)
        left, right = socket.socketpair()
        with left, right:
            key = loop._selector.register(right, selectors.EVENT_READ, "mine")
            assert loop._selector.get_key(right) == key == loop._selector.get_map()[right]
            left.send(b"x")
            loop.run_until_complete(asyncio.sleep(0.001))
            assert seen and set(seen) == {(right, selectors.EVENT_READ, selectors.EVENT_READ)}
            assert loop._selector.modify(right, selectors.EVENT_WRITE, "mine").events == selectors.EVENT_WRITE
            seen.clear()
            loop.run_until_complete(asyncio.sleep(0.001))
            assert set(seen) == {(right, selectors.EVENT_WRITE, selectors.EVENT_WRITE)}
            assert loop._selector.unregister(right).fd == right.fileno()
            assert right not in loop._selector.get_map()
            with pytest.raises(KeyError):
                loop._selector.get_key(right)


def test_instance_dict(engine_name: str) -> None:
    """What is put into it directly hides methods too, now and later."""
    with engine_for(engine_name) as engine:
        loop = engine.new()
        calls: list[str] = []
        own = vars(loop)
        loop.run_until_complete(asyncio.sleep(0))
        own["call_soon"] = counting(loop.call_soon, calls)
        loop.run_until_complete(asyncio.sleep(0))
        assert calls
        del own["call_soon"]
        calls.clear()
        loop.run_until_complete(asyncio.sleep(0))
        assert not calls


def test_class_assigned(engine_name: str) -> None:
    with engine_for(engine_name) as engine:
        calls: list[str] = []

        class Loop(engine.loop_class):  # type: ignore[misc,name-defined]
            def call_soon(self, *args: Any, **options: Any) -> Any:
                calls.append("called")
                return super().call_soon(*args, **options)

        loop = engine.new(type("Plain", (engine.loop_class,), {}))
        loop.run_until_complete(asyncio.sleep(0))
        loop.__class__ = Loop
        loop.run_until_complete(asyncio.sleep(0))
        assert calls


def test_in_the_middle(engine_name: str) -> None:
    """Whatever is replaced while an iteration runs, nothing is lost or out of order."""
    with engine_for(engine_name) as engine:
        loop = engine.new()
        ran: list[int] = []
        expected = list(range(60))

        def replace(number: int) -> None:
            ran.append(number)
            kind = number % 6
            if kind == 0:
                stack.enter_context(mock.patch("time.monotonic", time.monotonic.__call__))
            elif kind == 1:
                loop._ready.rotate(0)
            elif kind == 2:
                stack.enter_context(mock.patch.object(asyncio.Handle, "_run", asyncio.Handle._run, create=True))
            elif kind == 3:
                stack.close()
            elif kind == 4:
                heapq.heapify(loop._scheduled)
            else:
                stack.enter_context(mock.patch.object(loop._selector, "select", loop._selector.select))

        with contextlib.ExitStack() as stack:
            for number in range(30):
                loop.call_soon(replace, number)
            for number in range(30, 60):
                loop.call_later(number / 1e5, replace, number)
            loop.call_later(0.02, loop.stop)
            loop.run_forever()
        assert ran == expected


def test_queues_are_a_deque_and_a_list(engine_name: str) -> None:
    with engine_for(engine_name) as engine:
        loop = engine.new()
        ran: list[int] = []
        handles = [loop.call_soon(ran.append, number) for number in range(4)]
        loop._ready.rotate(1)
        loop._ready.appendleft(loop._ready.pop())
        timers = [loop.call_at(loop.time() - number, ran.append, -number) for number in range(1, 4)]
        assert loop._scheduled[0] is timers[-1]
        heapq.heappush(loop._scheduled, asyncio.TimerHandle(loop.time() - 10, ran.append, (-10,), loop))
        loop._ready.remove(handles[1])
        loop.call_soon(ran.append, 4)
        loop.run_until_complete(asyncio.sleep(0.001))
        assert ran == [2, 3, 0, 4, -10, -3, -2, -1]


def test_autospec(engine_name: str) -> None:
    with engine_for(engine_name) as engine:
        loop = engine.new()
        call_soon = asyncio.BaseEventLoop.call_soon
        with mock.patch.object(asyncio.BaseEventLoop, "call_soon", autospec=True, side_effect=call_soon) as spy:
            loop.run_until_complete(asyncio.sleep(0))
        assert spy.called
        with mock.patch.object(loop, "create_task", autospec=True, side_effect=loop.create_task) as spy:
            loop.run_until_complete(asyncio.sleep(0))
        assert spy.called


def test_replaced_by_another_thread_while_it_waits(engine_name: str) -> None:
    """The wait ends by whatever the replaced `call_soon_threadsafe` does."""
    with engine_for(engine_name) as engine:
        loop = engine.new()
        calls: list[str] = []

        def other() -> None:
            time.sleep(0.02)
            base = asyncio.BaseEventLoop
            with replaced(base, "call_soon_threadsafe", counting(base.call_soon_threadsafe, calls)):
                loop.call_soon_threadsafe(loop.stop)

        thread = threading.Thread(target=other)
        thread.start()
        loop.run_forever()
        thread.join()
        assert calls == ["called"]


def test_monitor_that_looks_now_and_then(engine_name: str) -> None:
    """A look at the queues changes nothing; who keeps them sees what is in them."""
    with engine_for(engine_name) as engine:
        loop = engine.new()
        loop.call_later(100, print)
        kept = loop._scheduled
        ready = loop._ready
        loop.call_later(50, print)
        loop.call_soon(print)
        assert (len(kept), len(ready)) == (2, 1)
        ready.clear()
        loop.run_until_complete(asyncio.sleep(0))
        assert len(kept) == 2
        del kept, ready
        loop.run_until_complete(asyncio.sleep(0.001))
        assert len(loop._scheduled) == 2


def test_no_selector_but_the_program_s(engine_name: str) -> None:
    """A default selector that is put in asyncio's place before the loop is made."""

    class Mine(selectors.SelectSelector):
        pass

    with engine_for(engine_name) as engine, mock.patch("selectors.DefaultSelector", Mine):
        loop = engine.new()
        assert type(loop._selector) is (selectors.SelectSelector if engine_name == "ours-select" else Mine)
        loop.run_until_complete(small_things(loop))


def test_patched_before_rasyncio_was_imported(tmp_path: Path) -> None:
    code = """
    import asyncio, time
    from unittest import mock
    clock = mock.patch("time.monotonic", return_value=7.0)
    with clock, mock.patch.object(asyncio.BaseEventLoop, "call_soon", print):
        import rasyncio
        loop = rasyncio.EventLoop()
        loop.call_soon("seen")
        print(loop.time())
    print(loop.time() != 7.0, loop.run_until_complete(asyncio.sleep(0, "after")))
    loop.close()
    """
    from support.children import check_python

    seen = check_python(code).splitlines()
    assert seen[0].endswith("seen") and seen[1:] == ["7.0", "True after"]


@pytest.mark.parametrize("name", ["_clock_resolution", "_debug", "_thread_id", "_ready", "_scheduled", "_selector"])
def test_attribute_that_is_replaced_for_a_while(engine_name: str, name: str) -> None:
    """`mock.patch.object` deletes the attribute, and puts it back if it is gone."""
    with engine_for(engine_name) as engine:
        loop = engine.new()
        before = getattr(loop, name)
        with mock.patch.object(loop, name, before):
            pass
        assert getattr(loop, name) == before
        delattr(loop, name)
        with pytest.raises(AttributeError, match=name):
            getattr(loop, name)
        with pytest.raises(AttributeError):
            delattr(loop, name)
        setattr(loop, name, before)
        loop.run_until_complete(asyncio.sleep(0))
