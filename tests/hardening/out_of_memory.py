"""Programs in which one allocation fails, or a few in a row; see test_out_of_memory.py.

`walk` runs in an interpreter of its own. It fails the first allocation of a scenario, then (with all made anew) the
second, and so on until nothing fails any more, and says what was wrong.
"""

import asyncio
import contextlib
import contextvars
import gc
import logging
import os
import socket
import sys
import warnings
from collections.abc import Callable
from itertools import count
from typing import Any

import out_of_memory_grafts
from support.fakes import QuietLoop

#: How many allocations in a row fail. (All from some point on is no test: up to 3.11 that ends in a fatal error or an
#: endless loop of the interpreter's own.)
WIDTHS = (1, 8)
#: It is over when so many runs in a row went well: a single failure may be made up for.
QUIET = 10
#: The same of what is grafted: native code leaves a call to Python code when it cannot find out whether it may do it.
QUIET_GRAFTS = 40
#: Dead objects that our types keep for the next one are made use of before the allocator is asked.
KEPT = 260

Act = Callable[[], object]


def nothing(*_: object) -> None:
    """Be a callback."""


async def seven() -> int:
    return 7


class Mock(QuietLoop):
    """A loop of Python code that is neither asyncio's nor ours."""

    def __init__(self) -> None:
        self.ready: list[tuple[Any, tuple[Any, ...]]] = []

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> None:
        self.ready.append((callback, args))


def runs(loop: Any, main: Any, result: object = 7) -> Act:
    """The act of running a coroutine that is there already."""

    def act() -> None:
        assert loop.run_until_complete(main) == result

    return act


# --- scenarios: each makes ready what does not belong to it, and returns what is to be done


def make_future(loop: Any) -> Act:
    return lambda: asyncio.Future(loop=loop)


def make_task(loop: Any) -> Act:
    coro = seven()
    return lambda: loop.create_task(coro)


def make_loop(loop: Any) -> Act:
    return lambda: asyncio.new_event_loop().close()


def run_coroutine(loop: Any) -> Act:
    return runs(loop, seven())


def await_futures_and_tasks(loop: Any) -> Act:
    async def main() -> int:
        future = loop.create_future()
        loop.call_soon(future.set_result, 5)
        assert await future == 5
        task = loop.create_task(seven(), name="n")
        task.add_done_callback(nothing)
        task.add_done_callback(nothing)
        await asyncio.sleep(0)
        return await task  # type: ignore[no-any-return]

    return runs(loop, main())


def await_subclasses(loop: Any) -> Act:
    class Future(asyncio.Future):
        pass

    class Task(asyncio.Task):
        pass

    async def main() -> Any:
        future = Future(loop=loop)
        loop.call_soon(future.set_result, 4)
        return await future

    coro = main()

    def act() -> None:
        assert loop.run_until_complete(Task(coro, loop=loop)) == 4

    return act


def cancel_task(loop: Any) -> Act:
    async def main() -> int:
        task = loop.create_task(asyncio.sleep(10))
        await asyncio.sleep(0)
        task.cancel("m")
        try:
            await task
        except asyncio.CancelledError:
            return 7
        return 0

    return runs(loop, main())


def fail_future(loop: Any) -> Act:
    future = loop.create_future()
    for _ in range(3):
        future.add_done_callback(nothing)

    def act() -> None:
        future.set_exception(ValueError)
        try:
            future.result()
        except ValueError:
            repr(future)

    return act


def callbacks(loop: Any) -> Act:
    future = loop.create_future()

    def act() -> None:
        for _ in range(5):
            future.add_done_callback(nothing)
        assert len(future._callbacks) == 5
        future.remove_done_callback(print)
        future.remove_done_callback(nothing)
        future.add_done_callback(nothing, context=contextvars.Context())
        future.cancel("x")
        try:
            future.exception()
        except asyncio.CancelledError:
            """Of course."""

    return act


def iterate_future(loop: Any) -> Act:
    future = loop.create_future()

    def act() -> None:
        iterator = future.__await__()
        next(iterator)
        try:
            iterator.throw(ValueError("x"))
        except ValueError:
            future.set_result((1, 2))
        try:
            future.__await__().send(None)
        except StopIteration:
            """Of course."""
        failed = loop.create_future()
        failed.set_exception(KeyError("x"))
        try:
            next(iter(failed))
        except KeyError:
            """Of course."""

    return act


def look_at_task(loop: Any) -> Act:
    task = asyncio.Task(seven(), loop=Mock())  # type: ignore[arg-type]
    task._log_destroy_pending = False  # type: ignore[attr-defined]

    def act() -> None:
        repr(task), task.get_name(), task.set_name(5), task.get_stack(), task.cancelling(), task.uncancel()

    return act


def call_soon(loop: Any) -> Act:
    def act() -> None:
        for argument in range(5):
            loop.call_soon(nothing, argument)
        loop.call_soon(nothing, 1, 2)
        repr(loop.call_soon_threadsafe(nothing, 1))
        list(loop._ready)
        loop.call_soon_threadsafe(loop.stop)
        loop.run_forever()

    return act


def callbacks_that_raise(loop: Any) -> Act:
    def bad() -> None:
        raise ZeroDivisionError

    def act() -> None:
        loop.call_soon(bad)
        loop.call_soon_threadsafe(bad)
        loop.call_soon(loop.stop)
        loop.run_forever()

    return act


def timers(loop: Any) -> Act:
    def act() -> None:
        for argument in range(5):
            loop.call_later(0, nothing, argument, 2, 3)
        loop.call_at(1.5, nothing).cancel()
        loop.call_later(1000, nothing).cancel()
        loop.call_later(0, loop.stop)
        loop.run_forever()

    return act


def sleep(loop: Any) -> Act:
    return runs(loop, asyncio.sleep(0.0001, 7))


def readers(loop: Any) -> Act:
    ours, theirs = socket.socketpair()

    def act() -> None:
        with ours, theirs:
            try:
                loop._add_reader(ours.fileno(), nothing)
                loop._add_writer(ours.fileno(), nothing)
                loop.call_soon(loop.stop)
                loop.run_forever()
            finally:
                loop._remove_reader(ours.fileno())
                loop._remove_writer(ours.fileno())

    return act


class Echo(asyncio.Protocol):
    transport: Any = None

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)
        self.transport.write(memoryview(data))
        self.transport.writelines([b"a", bytearray(b"b")])


def connection(loop: Any) -> Act:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    protocol = Echo()

    def act() -> None:
        with ours, theirs:
            try:
                transport = protocol.transport = loop._make_socket_transport(ours, protocol)
                for size in (1, 5000, 100_000):
                    theirs.send(bytes(size))
                    if not transport.is_closing():
                        transport._read_ready()
                transport.write(bytes(1_000_000))
                transport.pause_reading()
                transport.resume_reading()
                loop.call_soon(loop.stop)
                loop.run_forever()
            finally:
                if protocol.transport is not None:
                    protocol.transport.abort()
                protocol.transport = transport = None

    return act


class Closing(asyncio.Protocol):
    def __init__(self, transports: list[Any]) -> None:
        self.transports = transports

    def connection_made(self, transport: Any) -> None:
        self.transports.append(transport)

    def data_received(self, data: bytes) -> None:
        transport = self.transports[-1]
        transport.get_extra_info("sockname")
        transport.write(data)
        transport.close()


def server(loop: Any) -> Act:
    """Connections accepted, answered and closed."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.setblocking(False)
    listening.listen()
    transports: list[Any] = []
    peers = [socket.create_connection(listening.getsockname()) for _ in range(2)]
    made = asyncio.base_events.Server(loop, [listening], lambda: Closing(transports), None, 10, None, None)  # type: ignore[call-arg,unused-ignore]

    def act() -> None:
        with listening, peers[0], peers[1]:
            try:
                made._start_serving()
                for peer in peers:
                    peer.send(b"data")
                for _ in range(6):
                    loop.call_soon(loop.stop)
                    loop.run_forever()
                dict(loop._transports)
            finally:
                loop._remove_reader(listening.fileno())
                for transport in transports:
                    transport.abort()
                transports.clear()
                transport = peer = None
                if not loop.is_running():  # asyncio's own may have failed on its way out
                    loop.call_soon(loop.stop)
                    loop.run_forever()

    return act


class EchoOfDatagrams(asyncio.DatagramProtocol):
    transport: Any = None

    def datagram_received(self, data: bytes, address: Any) -> None:
        self.transport.sendto(data, address)
        self.transport.sendto(memoryview(data), address)
        self.transport.sendto(bytearray(data))

    def error_received(self, error: Exception) -> None:
        pass


def datagrams(loop: Any) -> Act:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    bound, peer = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    bound.bind(("127.0.0.1", 0))
    peer.bind(("127.0.0.1", 0))
    ours.setblocking(False)
    bound.setblocking(False)

    def act() -> None:
        transports = []
        stop = None
        with ours, theirs, bound, peer:
            try:
                for sock in (ours, bound):
                    protocol = EchoOfDatagrams()
                    protocol.transport = loop._make_datagram_transport(sock, protocol)
                    transports.append(protocol.transport)
                for _ in range(3):
                    theirs.send(b"data")
                    peer.sendto(b"data", bound.getsockname())
                transports[1].sendto(b"data", peer.getsockname())
                # asyncio's transport ends with the first of these.
                while not (transports[0].get_write_buffer_size() or transports[0].is_closing()):
                    transports[0].sendto(bytes(50_000))
                stop = loop.call_later(0.001, loop.stop)
                loop.run_forever()
            finally:
                if stop is not None:
                    stop.cancel()
                for transport in transports:
                    transport.abort()
                transport = protocol = None

    return act


def pipes(loop: Any) -> Act:
    (requests, asking), (answering, answers) = os.pipe(), os.pipe()
    os.set_blocking(answering, False)
    source, sink = open(requests, "rb", 0), open(answers, "wb", 0)  # noqa: SIM115
    protocol = Echo()

    def act() -> None:
        reading = writing = None
        try:
            with source, sink:
                writing = protocol.transport = loop._make_write_pipe_transport(sink, asyncio.BaseProtocol())
                reading = loop._make_read_pipe_transport(source, protocol)
                for size in (1, 5000, 60_000):
                    os.write(asking, bytes(size))
                    if not reading.is_closing():
                        reading._read_ready()
                for _ in range(2):
                    with contextlib.suppress(BlockingIOError):
                        os.read(answering, 60_000)
                    if writing._buffer:
                        writing._write_ready()
                reading.pause_reading()
                reading.resume_reading()
                loop.call_soon(loop.stop)
                loop.run_forever()
        finally:
            for transport in (reading, writing):
                if transport is not None:
                    transport.close()
            protocol.transport = reading = writing = transport = None
            os.close(asking)
            os.close(answering)

    return act


def debug_mode(loop: Any) -> Act:
    coro = seven()
    loop.slow_callback_duration = 1000

    def act() -> None:
        loop.set_debug(True)
        assert loop.run_until_complete(coro) == 7

    return act


def foreign_loop(loop: Any) -> Act:
    mock: Any = Mock()

    async def main() -> Any:
        future = asyncio.Future(loop=mock)
        mock.call_soon(future.set_result, 4)
        return await future

    coro = main()

    def act() -> None:
        task = asyncio.Task(coro, loop=mock)
        asyncio._set_running_loop(mock)
        while mock.ready:
            callback, args = mock.ready.pop(0)
            callback(*args)
        task.cancel()

    return act


def groups(loop: Any) -> Act:
    """A TaskGroup waits for ever for a task that it could not give its callback."""

    async def main() -> int:
        assert await asyncio.gather(seven(), seven(), asyncio.sleep(0, 7)) == [7, 7, 7]
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            group.create_task(seven())
            group.create_task(asyncio.sleep(0))
        if sys.version_info >= (3, 14):  # before, it makes something for each of the hoarded tasks
            assert asyncio.current_task() in asyncio.all_tasks()
        return 7

    return runs(loop, main())


def eager_start(loop: Any) -> Act:
    async def main() -> int:
        task = asyncio.Task(asyncio.sleep(0, 7), loop=loop, eager_start=True)  # type: ignore[call-arg,unused-ignore]
        asyncio.Task(seven(), loop=loop, eager_start=True)  # type: ignore[call-arg,unused-ignore]
        return await task

    return runs(loop, main())


SCENARIOS: list[Callable[[Any], Act]] = [
    make_future,
    make_task,
    make_loop,
    run_coroutine,
    await_futures_and_tasks,
    await_subclasses,
    cancel_task,
    fail_future,
    callbacks,
    iterate_future,
    look_at_task,
    call_soon,
    callbacks_that_raise,
    timers,
    sleep,
    readers,
    connection,
    server,
    datagrams,
    pipes,
    debug_mode,
    foreign_loop,
    groups,
]
if sys.version_info >= (3, 12):
    SCENARIOS.append(eager_start)
SCENARIOS += out_of_memory_grafts.SCENARIOS


# --- the walk


class Run:
    """One run of a scenario, with or without a failure."""

    def __init__(self, scenario: Callable[[Any], Act]) -> None:
        self.scenario = scenario
        self.reported: list[BaseException | None] = []
        self.loop: Any = asyncio.new_event_loop()
        self.loop.set_exception_handler(lambda _loop, report: self.reported.append(report.get("exception")))

    def hoard(self) -> list[object]:
        """Use up what the types have kept of dead objects."""
        coro = seven()
        tasks = [self.loop.create_task(coro) for _ in range(KEPT)]
        for task in tasks:
            task._log_destroy_pending = False
        futures = [self.loop.create_future() for _ in range(KEPT)]
        handles = [
            make(*arguments, nothing)
            for make, arguments in (
                (self.loop.call_soon, ()),
                (self.loop.call_soon_threadsafe, ()),
                (self.loop.call_later, (1000,)),
            )
            for _ in range(40)
        ]
        self.loop._ready.clear()
        coro.close()
        return [out_of_memory_grafts.hoard(), tasks, futures, [future.__await__() for future in futures], handles]

    def failing(self, first: int, width: int) -> BaseException | None:
        """Run it, failing `width` allocations from the `first` one on (none if that is 0); returns what it raised."""
        import _testcapi  # not every interpreter has it

        act = self.scenario(self.loop)
        sys.unraisablehook = lambda args: self.reported.append(args.exc_value)
        hoard = self.hoard()
        self.guard = self.loop.call_later(0.05, self.loop.stop)  # of what waits for a step that got lost
        if first:
            _testcapi.set_nomemory(first - 1, first - 1 + width)
        try:
            act()
        except BaseException as error:
            _testcapi.remove_mem_hooks()
            return error
        finally:
            _testcapi.remove_mem_hooks()
            asyncio._set_running_loop(None)
            del hoard
        return None

    def problem(self, error: BaseException | None, width: int) -> str | None:
        """What is wrong with that outcome."""
        systems = [other for other in [error, *self.reported] if isinstance(other, SystemError)]
        if sys.version_info < (3, 12):  # the interpreter itself loses exceptions and says so, also on its own module
            systems = [other for other in systems if "rasyncio" in str(other)]
            error = None if isinstance(error, SystemError) else error
        if systems:
            return f"{systems!r}"
        if error is None or isinstance(error, (MemoryError, ExceptionGroup)):
            return None
        if str(error) == "Event loop stopped before Future completed.":
            # A step that could not be scheduled or entered is lost, as it is in CPython, but not silently.
            said = width > 1 or any(isinstance(other, MemoryError) for other in self.reported)
            waits = self.scenario is groups or self.scenario in out_of_memory_grafts.SCENARIOS
            return None if said or waits else "a step was lost silently"
        return f"{error!r}"

    def close(self) -> None:
        """The loop must be as good as new."""
        self.guard.cancel()
        self.loop.set_debug(False)
        self.loop._stopping = False
        self.loop._thread_id = None  # where run_forever failed before its `try`
        for _ in range(3):  # the call of `stop` may still be there
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()
        assert self.loop.run_until_complete(asyncio.sleep(0, 5)) == 5
        self.loop.close()


def walk(skipped: list[str]) -> None:
    """Walk through all scenarios; a line for each problem, and one with the number of failures for each scenario."""
    warnings.simplefilter("ignore")
    logging.disable()
    gc.disable()
    gc.freeze()
    for scenario in SCENARIOS:
        name = scenario.__name__
        if name in skipped:
            continue
        failures = 0
        enough = QUIET_GRAFTS if scenario in out_of_memory_grafts.SCENARIOS else QUIET
        for width in WIDTHS:
            quiet = 0
            for first in count():  # 0: without a failure, which also makes what is made once
                os.write(2, f"{name} {first} {width}\n".encode())  # of use if it crashes
                run = Run(scenario)
                error = run.failing(first, width)
                if problem := run.problem(error, width):
                    print(f"problem in {name}, allocation {first}, {width} in a row: {problem}")
                if error is not None and (first == 0 or quiet >= enough):
                    print(f"problem in {name} without a failing allocation: {error!r}")
                run.close()
                if error is not None:
                    failures += 1
                went_well = error is None and not any(isinstance(other, MemoryError) for other in run.reported)
                quiet = quiet + 1 if went_well else 0
                if quiet > enough:
                    break
                if first % 10 == 0:
                    gc.collect()
        print(f"{name} {failures}", flush=True)
