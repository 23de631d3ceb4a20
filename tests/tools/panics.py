"""Run by test_panics.py on a build that panics on purpose: one panic at each place, and what has become of it.

Prints a JSON object of place to "ok" or to what was wrong; a place is missing if the process died before.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import socket
import sys
import threading
import traceback
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

import rasyncio
from panics_grafts import left_out, of_the_grafts

rasyncio.install()
native: Any = rasyncio._native.ours
Future, Task = native.Future, native.Task
loop: Any = rasyncio.EventLoop()
#: The methods are of another convention, one with the class, from 3.12 on.
PARSED = "" if sys.version_info < (3, 12) else "_parsed"
outcomes: dict[str, str] = {}
unraisable: list[Any] = []
loop.set_exception_handler(lambda *_: None)
sys.unraisablehook = lambda unraised: unraisable.append(unraised.exc_value)


def message(place: str) -> str:
    return f"rasyncio: internal error: on purpose in {place}"


def is_it(error: Any, place: str) -> bool:
    return type(error) is SystemError and str(error) == message(place)


async def nothing() -> int:
    await asyncio.sleep(0)
    return 7


async def work() -> list[int]:
    inner = asyncio.get_running_loop()
    timer = inner.create_future()
    inner.call_later(0.001, timer.set_result, 1)
    thread = inner.create_future()
    await asyncio.to_thread(inner.call_soon_threadsafe, thread.set_result, 2)
    left, right = socket.socketpair()
    left.setblocking(False)
    readable = inner.create_future()
    inner.add_reader(left, lambda: readable.done() or readable.set_result(len(left.recv(9))))
    right.send(b"abc")
    results = [*await asyncio.gather(timer, thread, readable, nothing()), await asyncio.wait_for(nothing(), 5)]
    inner.remove_reader(left)
    left.close(), right.close()
    return results


def is_well() -> bool:
    """Whether the loop in which it has happened works, a new one too, and the collector."""
    gc.collect()
    loop.call_soon(loop.stop)  # and whatever the panic has left in the queue
    loop.run_forever()
    expected = [1, 2, 3, 7, 7]
    with asyncio.Runner(loop_factory=rasyncio.EventLoop) as runner:
        return loop.run_until_complete(work()) == expected and runner.run(work()) == expected


def case(place: str, action: Callable[[], object], how: str = "raises", within: str = "") -> None:
    """Panic at the place during the action, which has to raise, or to report, what the panic has become."""
    name = f"{place} {within}".strip()
    native._panic_at(place)
    error = None
    unraisable.clear()
    try:
        action()
        gc.collect()
    except BaseException as raised:
        error = raised
        told = raised if how == "raises" else None
    else:
        told = {"raises": None, "unraisable": unraisable}[how]
        told = next((each for each in told or () if is_it(each, place)), None)
    if not native._panic_at(""):
        outcomes[name] = "never came there"
    elif not is_it(told, place):
        outcomes[name] = "".join(traceback.format_exception(error)) if error else repr(unraisable)
    else:
        del error, told
        try:
            outcomes[name] = "ok" if is_well() else "not well"
        except BaseException:
            outcomes[name] = traceback.format_exc()


def done(value: object = None) -> Any:
    future = Future(loop=loop)
    future.set_result(value)
    return future


def task() -> Any:
    return Task(nothing(), loop=loop)


class Quiet(asyncio.AbstractEventLoop):
    """A loop that is not ours and gets callables."""

    def get_debug(self) -> bool:
        return False

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        self.last = callback

    def call_exception_handler(self, context: Any) -> None:
        """Say nothing."""


class SubFuture(Future):
    """Made and taken apart through tp_new, tp_init and the generic slots."""


class SubTask(Task):
    """Likewise."""


def run_once(*callbacks: Callable[[], object]) -> None:
    for callback in callbacks:
        loop.call_soon(callback)
    loop.call_soon(loop.stop)
    loop.run_forever()


def run(coroutine: Any) -> Any:
    return loop.run_until_complete(coroutine)


def in_thread(action: Callable[[], object]) -> None:
    """The same in another thread, whose exception is raised here."""
    raised: list[BaseException] = []

    def target() -> None:
        try:
            action()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=target)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]


def cycle_of(made: Any) -> None:
    """Garbage, for the collector to clear."""
    made.itself = made


def awaited(future: Any) -> Any:
    async def waits() -> Any:
        return await future

    return waits()


def set_and_run(future: Any) -> Any:
    """A task that waits for the future, which gets done."""
    waiting = Task(awaited(future), loop=loop)
    loop.call_soon(lambda: loop.call_soon(future.set_result, 1))
    return waiting


def wait_for_running_handle() -> None:
    running, go_on = threading.Event(), threading.Event()
    handle = loop.call_soon_threadsafe(lambda: (running.set(), go_on.wait()))

    def cancel() -> None:
        running.wait()
        try:
            handle.cancel()
        except SystemError as error:
            raised.append(error)
        finally:
            go_on.set()
            loop.call_soon_threadsafe(loop.stop)

    raised: list[BaseException] = []
    thread = threading.Thread(target=cancel)
    thread.start()
    loop.run_forever()
    thread.join()
    raise raised[0]


def lost_exception() -> None:
    future = Future(loop=loop)
    future.set_exception(ValueError("lost"))
    del future


def step_wrapper() -> Any:
    quiet = Quiet()
    made = Task(nothing(), loop=quiet)
    made._log_destroy_pending = False
    made.get_coro().close()
    return quiet.last


def weak_reference_callback() -> None:
    """What its callback raises goes to the hook, as any exception does."""
    future, other = Future(loop=loop), done()
    kept = weakref.ref(future, lambda _: other.cancel())
    del future
    assert kept() is None


def collector_callback() -> None:
    def callback(phase: str, info: object) -> None:
        if phase == "start":
            other.done()

    other = done()
    gc.callbacks.append(callback)
    try:
        gc.collect()
    finally:
        gc.callbacks.remove(callback)


def signal_wake_up() -> None:
    """The signal's handler runs from within the wait."""
    signal.signal(signal.SIGALRM, lambda *_: loop.call_soon_threadsafe(loop.stop))
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    try:
        loop.run_forever()
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


def report_of_a_handle() -> None:
    try:
        run_once(lambda: 1 / 0)
    finally:
        assert sys.exc_info()[0] is SystemError, "the handled exception is the panic's"


class Kept(asyncio.Protocol):
    """A connection's, a pipe's or a datagram socket's: what has come."""

    def __init__(self) -> None:
        self.data = bytearray()

    def data_received(self, data: bytes) -> None:
        self.data += data

    def datagram_received(self, data: bytes, address: object) -> None:
        self.data += data

    def error_received(self, error: Exception) -> None:
        """Of no interest."""


class Connection:
    """A transport, and a plain socket at its other end."""

    def __init__(self) -> None:
        mine, self.peer = socket.socketpair()
        mine.setblocking(False)
        self.transport, self.protocol = run(loop.create_unix_connection(Kept, sock=mine))

    def moves(self) -> None:
        """Bytes go both ways still, none lost and none twice."""
        self.peer.setblocking(False)
        self.peer.send(b"to it")
        self.transport.write(b"from it")
        for _ in range(5):
            run_once()
        assert self.peer.recv(100) == b"from it" and self.protocol.data == b"to it", self.protocol.data
        self.close()

    def close(self) -> None:
        self.transport.abort()
        run_once()
        run_once()
        self.peer.close()


def on_connection(place: str, action: Callable[[Any], object], **where: Any) -> None:
    """Panic in what is done to a transport; its connection goes on."""
    connection = Connection()
    case(place, lambda: action(connection.transport), **where)
    name = f"{place} {where.get('within', '')}".strip()
    try:
        connection.moves()
    except BaseException:
        outcomes[name] = outcomes.get(name, "") + traceback.format_exc()


def in_a_callback(place: str, within: str, begin: Callable[[Connection], object]) -> None:
    """Panic while the loop serves a connection: its run ends, and can be started again."""
    connection = Connection()

    def action() -> None:
        begin(connection)
        run_once()
        run_once()

    case(place, action, within=within)
    connection.close()


def fill_and_make_room(connection: Connection) -> None:
    connection.transport.write(bytes(3_000_000))
    assert connection.transport.get_write_buffer_size(), "all of it was taken"
    connection.peer.recv(1_000_000)


def read_pipe() -> Any:
    reading, writing = os.pipe()
    transport, protocol = run(loop.connect_read_pipe(Kept, open(reading, "rb", 0)))  # noqa: SIM115  # the transport closes it
    os.write(writing, b"abc")
    os.close(writing)
    return transport, protocol


def write_pipe() -> Any:
    reading, writing = os.pipe()
    transport, _ = run(loop.connect_write_pipe(asyncio.BaseProtocol, open(writing, "wb", 0)))  # noqa: SIM115
    pipes.append(reading)
    return transport


pipes: list[int] = []


def datagrams() -> Any:
    return run(loop.create_datagram_endpoint(Kept, local_addr=("127.0.0.1", 0)))[0]  # type: ignore[type-var]


def dropped(make: Callable[[], Any]) -> None:
    """Made, closed by the loop, and let go of."""
    transport = make()
    transport.close()
    run_once(), run_once(), run_once()


def connection_that_is_dropped() -> None:
    connection = Connection()
    connection.close()


def served() -> None:
    """A connection is accepted."""
    server = run(loop.create_server(Kept, "127.0.0.1", 0))
    try:
        with socket.create_connection(server.sockets[0].getsockname()):
            for _ in range(6):
                run_once()
    finally:
        server.close()
        for _ in range(6):
            run_once()


def received() -> None:
    """By `sock_recv`, which has to wait."""
    one, other = socket.socketpair()
    one.setblocking(False)
    with one, other:
        loop.call_later(0.001, other.send, b"abc")
        assert run(loop.sock_recv(one, 100)) == b"abc"


def of_the_network() -> None:
    """Transports of each kind, servers, and `sock_*`."""
    on_connection("TransportObject::write", lambda transport: transport.write(b"lost"))
    on_connection("TransportObject::writelines", lambda transport: transport.writelines([b"lost"]))
    on_connection("send queue", lambda transport: transport.write(b"lost"))
    on_connection("TransportObject::pause_reading", lambda transport: transport.pause_reading())
    on_connection("TransportObject::set_protocol", lambda transport: transport.set_protocol(Kept()))
    on_connection("TransportObject::get_extra_info", lambda transport: transport.get_extra_info("peername"))
    on_connection("TransportObject::get_write_buffer_size", lambda transport: transport.get_write_buffer_size())
    on_connection("TransportObject::close", lambda transport: transport.close())
    on_connection("TransportObject::get_sock", lambda transport: transport._sock)
    on_connection("TransportObject::set_attribute", lambda transport: setattr(transport, "anything", 1))
    in_a_callback("run of an entry", "of a reader", lambda connection: connection.peer.send(b"abc"))
    in_a_callback("memory for reads", "of a reader", lambda connection: connection.peer.send(b"abc"))
    in_a_callback("run of an entry", "of a writer", fill_and_make_room)
    in_a_callback("run of an entry", "of a closed connection", lambda connection: connection.transport.close())
    case("LoopObject::make_socket_transport", Connection)
    case("TransportObject::dealloc", connection_that_is_dropped, "unraisable")
    case("ReadPipeObject::pause_reading", lambda: read_pipe()[0].pause_reading())
    case("run of an entry", lambda: (read_pipe(), run_once(), run_once()), within="of a pipe")
    case("WritePipeObject::write", lambda: write_pipe().write(b"abc"))
    case("WritePipeObject::dealloc", lambda: dropped(write_pipe), "unraisable")
    case("DatagramObject::sendto", lambda: datagrams().sendto(b"abc", ("127.0.0.1", 9)))
    case("DatagramObject::dealloc", lambda: dropped(datagrams), "unraisable")
    case("run of an entry", served, within="of a server")
    case("LoopObject::try_recv", received)
    case("OperationObject::dealloc", received, "unraisable")


def main() -> None:
    # tp_new, tp_init, calls of the types
    case("FutureObject::initialize of a call", lambda: Future(loop=loop))
    case("FutureObject::initialize", lambda: SubFuture(loop=loop))
    case("TaskObject::making::initialize", lambda: SubTask(None, loop=loop))
    case("TaskObject::making::initialize of a call", lambda: Task(None, loop=loop))
    case("LoopObject::new", rasyncio.EventLoop)
    # methods of each convention
    case("FutureObject::done", lambda: done().done())
    case(f"FutureObject::set_result{PARSED}", lambda: Future(loop=loop).set_result(1))
    case("FutureObject::add_done_callback", lambda: done().add_done_callback(print))
    case("IteratorObject::throw", lambda: iter(done()).throw(ValueError()))
    case("IteratorObject::send", lambda: iter(done()).send(None))
    case("LoopObject::call_soon", lambda: loop.call_soon(print))
    case("LoopObject::call_later", lambda: loop.call_later(1, print))
    case("LoopObject::add_reader", lambda: loop._add_reader(0, print))
    case("LoopObject::create_future", lambda: loop.create_future())
    case("HandleObject::patched::cancel", lambda: loop.call_soon(int).cancel())
    case("Object::get_running_loop_or_none", lambda: native._get_running_loop())
    case("Object::set_running_loop", lambda: native._set_running_loop(None))
    # attributes
    case("FutureObject::get_state", lambda: done()._state)
    case("FutureObject::set_blocking", lambda: setattr(done(), "_asyncio_future_blocking", False))
    case("StepWrapper::get_self", lambda: step_wrapper().__self__)
    case("HandleObject::get_callback", lambda: loop.call_soon(int)._callback)
    case("HandleObject::set_callback", lambda: setattr(loop.call_soon(int), "_callback", float))
    case("LoopObject::set_attribute", lambda: setattr(loop, "anything", 1))
    # repr, iter, await, iternext, am_send, tp_call
    case("FutureObject::repr", lambda: repr(done()))
    case("TaskObject::repr", lambda: repr(step_wrapper().__self__))
    case("FutureObject::iter::new", lambda: iter(done()))
    case("IteratorObject::identity", lambda: iter(iter(done())))
    case("IteratorObject::next", lambda: next(iter(done())))
    case("IteratorObject::am_send", lambda: run(Task(iter(done()), loop=loop)))
    case("StepWrapper::run", lambda: step_wrapper()())
    # what cannot raise: tp_dealloc, tp_finalize, tp_clear
    case("FutureObject::dealloc", lambda: done(), "unraisable")
    case("TaskObject::dealloc", lambda: run(task()), "unraisable")
    case("IteratorObject::dealloc", lambda: iter(done()), "unraisable")
    case("StepWrapper::dealloc", step_wrapper, "unraisable")
    case("PlainHandle::dealloc", lambda: run_once(int), "unraisable")
    case("LoopObject::dealloc", lambda: rasyncio.EventLoop().close(), "unraisable")
    case("FutureObject::finalize", lost_exception, "unraisable")
    case("TaskObject::object::finalize", lambda: run(SubTask(nothing(), loop=loop)), "unraisable")
    case("FutureObject::clear", lambda: cycle_of(done()), "unraisable")
    case("TaskObject::clear", lambda: cycle_of(step_wrapper().__self__), "unraisable")
    case("LoopObject::clear", lambda: cycle_of((made := rasyncio.EventLoop(), made.close())[0]), "unraisable")
    # weak references' and the collector's callbacks
    case("FutureObject::cancel", weak_reference_callback, "unraisable", "in a weak reference's callback")
    case("FutureObject::done", collector_callback, "unraisable", "in a callback of the collector")
    # steps and wake-ups: the task ends with it, or the loop's run does
    case("step", lambda: run(nothing()))
    case("end of a coroutine", lambda: run(nothing()))
    case("wake-up", lambda: run(set_and_run(Future(loop=loop))))
    case("run of an entry", lambda: run_once(lambda: done().add_done_callback(int)) or run_once())
    case("run of a handle", lambda: run_once(int))
    case("report of a handle", report_of_a_handle)
    case("LoopObject::run_until_stopped", run_once)
    # while something is borrowed or locked, and while the thread is detached
    case("ready queue", lambda: loop.call_soon(int))
    case("timer heap", lambda: run(asyncio.sleep(0.001)))
    case("files", lambda: loop.add_reader((pipe := os.pipe())[0], int) or [os.close(fd) for fd in pipe])
    case("poller", lambda: run(asyncio.sleep(0.001)))
    if sys.version_info >= (3, 14):
        case("wait for a handle", wait_for_running_handle)
    of_the_network()
    if sys.version_info >= (3, 12):
        of_the_grafts(case, run)
        outcomes["all grafts"] = f"left out: {left}" if (left := left_out(native._grafts())) else "ok"
    # another thread, and a signal
    case(
        "LoopObject::call_soon_threadsafe",
        lambda: in_thread(lambda: loop.call_soon_threadsafe(int)),
        within="in a thread",
    )
    case("LoopObject::call_soon_threadsafe", signal_wake_up, within="in a signal handler")


if __name__ == "__main__":
    Coroutine.register(type(iter(done())))  # what a task drives through am_send
    try:
        main()
        loop.close()
    finally:
        print(json.dumps(outcomes, indent=1), flush=True)
