"""Readers and writers: add, replace and remove, on sockets, pipes, bad and closed descriptors, at any moment."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support.loops import Engine, Say, same_as_stock, tried, turn

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="says what epoll and Linux do")


def nothing(*args: object) -> None:
    """Do nothing."""


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    with left, right:
        yield left, right


Pair = tuple[socket.socket, socket.socket]


@contextlib.contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            with contextlib.suppress(OSError):
                os.close(end)


def until(loop: Any, condition: Callable[[], object], seconds: float = 10) -> None:
    """Run the loop until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        loop.call_later(0.001, loop.stop)
        loop.run_forever()


# --- add and remove


def test_reader(eventloop: Any, pair: Pair) -> None:
    left, right = pair
    got: list[bytes] = []
    assert eventloop.add_reader(left, lambda: got.append(left.recv(100))) is None
    turn(eventloop, 3)
    assert got == []
    right.send(b"one")
    until(eventloop, lambda: got)
    right.send(b"two")
    until(eventloop, lambda: len(got) == 2)
    assert got == [b"one", b"two"]
    assert eventloop.remove_reader(left) is True
    right.send(b"three")
    turn(eventloop, 5)
    assert got == [b"one", b"two"]
    assert eventloop.remove_reader(left) is False


def test_writer(eventloop: Any, pair: Pair) -> None:
    left, _ = pair
    called: list[int] = []
    assert eventloop.add_writer(left, called.append, 1) is None
    until(eventloop, lambda: called)
    assert eventloop.remove_writer(left) is True
    count = len(called)
    turn(eventloop, 3)
    assert len(called) == count
    assert eventloop.remove_writer(left) is False


@pytest.mark.parametrize("kind", ["object", "number", "fileno"])
def test_ways_to_name_a_descriptor(eventloop: Any, pair: Pair, kind: str) -> None:
    left, right = pair

    class HasFileno:
        def fileno(self) -> int:
            return left.fileno()

    name = {"object": left, "number": left.fileno(), "fileno": HasFileno()}[kind]
    called: list[int] = []
    eventloop.add_reader(name, lambda: called.append(len(left.recv(10))))
    right.send(b"x")
    until(eventloop, lambda: called)
    assert eventloop.remove_reader(left.fileno()) is True


def test_first_in_the_iteration_after_the_poll(engine_name: str) -> None:
    """What is ready comes before what was read, which comes before due timers."""

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        left, right = socket.socketpair()
        with left, right:
            loop.add_reader(left, lambda: (say("reader"), left.recv(10)))
            right.send(b"x")
            loop.call_at(0, say, "timer")
            loop.call_soon(say, "ready")
            turn(loop)
            say("second iteration")
            turn(loop)
            loop.remove_reader(left)

    assert same_as_stock(engine_name, scenario) == ["ready", "reader", "timer", "second iteration"]


def test_level_triggered(eventloop: Any, pair: Pair) -> None:
    """While data is unread the reader is called in each iteration."""
    left, right = pair
    got: list[bytes] = []
    eventloop.add_reader(left, lambda: got.append(left.recv(1)))
    right.send(b"abcdef")
    until(eventloop, lambda: len(got) == 6)
    turn(eventloop, 5)
    assert b"".join(got) == b"abcdef" and len(got) == 6
    eventloop.remove_reader(left)


def test_reader_that_does_not_read(eventloop: Any, pair: Pair) -> None:
    left, right = pair
    called: list[int] = []
    right.send(b"x")
    eventloop.add_reader(left, called.append, 1)
    until(eventloop, lambda: len(called) >= 20)
    eventloop.remove_reader(left)


def test_once_in_an_iteration(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        left, right = socket.socketpair()
        with left, right:
            right.send(b"x")
            loop.add_reader(left, say, "called")
            for _ in range(4):
                turn(loop)
                say("iteration")
            loop.remove_reader(left)

    same_as_stock(engine_name, scenario)


def test_replace(eventloop: Any, pair: Pair) -> None:
    left, right = pair
    called: list[int] = []
    eventloop.add_reader(left, called.append, 1)
    eventloop.add_reader(left, called.append, 2)
    right.send(b"x")
    until(eventloop, lambda: called)
    assert set(called) == {2}
    assert eventloop.remove_reader(left) is True
    assert eventloop.remove_reader(left) is False


def test_replace_after_the_event(eventloop: Any, pair: Pair) -> None:
    """The old callback was to run in this iteration; it does not, and the new one does in a later one."""
    left, right = pair
    called: list[str] = []

    def replace(old: str) -> None:
        called.append(old)
        eventloop.add_reader(left, called.append, "new")
        eventloop.add_reader(right, called.append, "new")

    eventloop.add_reader(left, replace, "first")
    eventloop.add_reader(right, replace, "second")
    left.send(b"x")
    right.send(b"x")
    turn(eventloop)
    assert called in (["first"], ["second"])
    until(eventloop, lambda: called.count("new") >= 2)
    eventloop.remove_reader(left)
    eventloop.remove_reader(right)


def test_reader_and_writer_of_one_descriptor(eventloop: Any, pair: Pair) -> None:
    left, right = pair
    called: list[str] = []
    eventloop.add_reader(left, lambda: (called.append("r"), left.recv(10)))
    eventloop.add_writer(left, called.append, "w")
    right.send(b"x")
    until(eventloop, lambda: "r" in called and called.count("w") >= 3)
    assert called.count("r") == 1
    assert eventloop.remove_reader(left) is True
    right.send(b"x")
    called.clear()
    until(eventloop, lambda: len(called) >= 3)
    assert set(called) == {"w"}
    eventloop.add_reader(left, lambda: (called.append("r"), left.recv(10)))
    assert eventloop.remove_writer(left) is True
    called.clear()
    until(eventloop, lambda: called)
    assert called == ["r"]
    assert eventloop.remove_reader(left) is True
    assert eventloop.remove_writer(left) is False


def test_reader_runs_before_the_writer(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        left, right = socket.socketpair()
        with left, right:
            loop.add_writer(left, say, "writer")
            loop.add_reader(left, say, "reader")
            right.send(b"x")
            turn(loop)
            turn(loop)
            loop.remove_reader(left)
            loop.remove_writer(left)

    assert same_as_stock(engine_name, scenario)[:2] == ["reader", "writer"]


def test_callback_that_removes_itself(eventloop: Any, pair: Pair) -> None:
    left, right = pair
    called: list[object] = []
    eventloop.add_reader(left, lambda: called.append(eventloop.remove_reader(left)))
    right.send(b"x")
    until(eventloop, lambda: called)
    turn(eventloop, 3)
    assert called == [True]


def test_callback_that_removes_the_other(eventloop: Any, pair: Pair) -> None:
    """The other's event was seen in the same poll; it must not be called any more."""
    left, right = pair
    called: list[str] = []
    eventloop.add_reader(left, lambda: (called.append("left"), eventloop.remove_reader(right)))
    eventloop.add_reader(right, lambda: (called.append("right"), eventloop.remove_reader(left)))
    left.send(b"x")
    right.send(b"x")
    turn(eventloop)
    assert called in (["left"], ["right"])
    eventloop.remove_reader(left)
    eventloop.remove_reader(right)


def test_reader_that_removes_the_writer(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        left, right = socket.socketpair()
        with left, right:
            loop.add_reader(left, lambda: (say("reader"), say(loop.remove_writer(left))))
            loop.add_writer(left, say, "writer")
            right.send(b"x")
            turn(loop)
            say("iteration")
            turn(loop)
            loop.remove_reader(left)

    assert "writer" not in same_as_stock(engine_name, scenario)


def test_callback_that_adds_others(eventloop: Any, pair: Pair) -> None:
    left, right = pair
    called: list[str] = []

    def writable() -> None:
        eventloop.remove_writer(left)
        called.append("writable")
        right.send(b"x")
        eventloop.add_reader(left, readable)

    def readable() -> None:
        called.append("readable")
        left.recv(10)
        eventloop.remove_reader(left)

    eventloop.add_writer(left, writable)
    until(eventloop, lambda: len(called) == 2)
    turn(eventloop, 2)
    assert called == ["writable", "readable"]


def test_callback_that_fails(engine_name: str) -> None:
    """It is reported, and called again, as the data is still there."""

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        loop.set_exception_handler(lambda _loop, context: say((sorted(context), context["message"])))
        left, right = socket.socketpair()
        with left, right:
            right.send(b"x")
            loop.add_reader(left, divmod, 1, 0)
            for _ in range(3):
                turn(loop)
            loop.remove_reader(left)
        turn(loop)

    assert len(same_as_stock(engine_name, scenario)) >= 2


def test_callback_context(eventloop: Any, pair: Pair) -> None:
    """Where `add_reader` was called, not where the loop runs."""
    import contextvars

    left, right = pair
    variable = contextvars.ContextVar("variable", default="outside")
    seen: list[str] = []
    context = contextvars.Context()
    context.run(variable.set, "inside")
    context.run(eventloop.add_reader, left, lambda: (seen.append(variable.get()), left.recv(1)))
    right.send(b"x")
    until(eventloop, lambda: seen)
    assert seen == ["inside"]
    eventloop.remove_reader(left)


def test_from_another_thread_with_threadsafe(eventloop: Any, pair: Pair) -> None:
    import threading

    left, right = pair
    right.send(b"x")
    called: list[bytes] = []

    def reader() -> None:
        called.append(left.recv(10))
        eventloop.stop()

    thread = threading.Thread(target=eventloop.call_soon_threadsafe, args=(eventloop.add_reader, left, reader))
    eventloop.call_later(0.01, thread.start)
    eventloop.run_forever()
    thread.join()
    assert called == [b"x"]
    eventloop.remove_reader(left)


# --- what becomes of the descriptor


def test_end_of_file(eventloop: Any, pair: Pair) -> None:
    left, right = pair
    got: list[bytes] = []
    eventloop.add_reader(left, lambda: got.append(left.recv(10)))
    right.close()
    until(eventloop, lambda: got)
    assert set(got) == {b""}
    eventloop.remove_reader(left)


def test_end_of_file_wakes_a_writer(eventloop: Any) -> None:
    """A pipe whose reader is gone is an error event, which is told to the writer, full or not."""
    with pipe() as (read, write):
        os.set_blocking(write, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(write, b"x" * 65536)
        called: list[int] = []
        eventloop.add_writer(write, called.append, 1)
        turn(eventloop, 3)
        assert called == []
        os.close(read)
        until(eventloop, lambda: called)
        eventloop.remove_writer(write)


def test_hang_up_wakes_a_reader_of_a_pipe(eventloop: Any) -> None:
    with pipe() as (read, write):
        got: list[bytes] = []
        eventloop.add_reader(read, lambda: got.append(os.read(read, 10)))
        turn(eventloop, 2)
        assert got == []
        os.close(write)
        until(eventloop, lambda: got)
        assert set(got) == {b""}
        eventloop.remove_reader(read)


def test_hang_up_with_reader_and_writer(engine_name: str) -> None:
    """Both are told."""

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        left, right = socket.socketpair()
        with left:
            said: set[str] = set()
            loop.add_reader(left, said.add, "reader")
            loop.add_writer(left, said.add, "writer")
            right.close()
            until(loop, lambda: len(said) == 2)
            say(loop.remove_reader(left))
            say(loop.remove_writer(left))

    same_as_stock(engine_name, scenario)


def test_refused_connection(eventloop: Any) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = listener.getsockname()
    with socket.socket() as client:
        client.setblocking(False)
        with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
            client.connect(address)
        called: list[int] = []
        eventloop.add_writer(client, called.append, 1)
        until(eventloop, lambda: called)
        eventloop.remove_writer(client)


@linux
def test_urgent_data_does_not_spin(eventloop: Any) -> None:
    """Out-of-band data is no reason to wake up: only reading and writing are waited for."""
    with socket.socket() as listener, socket.socket() as client:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client.connect(listener.getsockname())
        server, _ = listener.accept()
        with server:
            called: list[int] = []
            eventloop.add_reader(server, called.append, 1)
            client.send(b"!", socket.MSG_OOB)
            time.sleep(0.05)
            before = time.process_time()
            eventloop.call_later(0.3, eventloop.stop)
            eventloop.run_forever()
            used = time.process_time() - before
            eventloop.remove_reader(server)
    assert called == []
    assert used < 0.15


def test_descriptor_used_again(eventloop: Any) -> None:
    """Removed, closed, and the number opened anew."""
    called: list[str] = []
    with pipe() as (read, write):
        eventloop.add_reader(read, called.append, "old")
        assert eventloop.remove_reader(read) is True
        os.close(read)
        os.close(write)
        with pipe() as (other_read, other_write):
            assert {other_read, other_write} == {read, write}
            eventloop.add_reader(other_read, lambda: (called.append("new"), os.read(other_read, 10)))
            os.write(other_write, b"x")
            until(eventloop, lambda: called)
            assert eventloop.remove_reader(other_read) is True
    assert called == ["new"]


@linux
@pytest.mark.parametrize("kinds", [("reader",), ("writer",), ("reader", "writer"), ("writer", "reader")], ids=repr)
def test_descriptor_closed_before_it_is_removed(engine_name: str, kinds: tuple[str, ...]) -> None:
    """epoll forgets a closed descriptor by itself; the removal of the last callback does not fail."""

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        left, right = socket.socketpair()
        number = left.fileno()
        with right:
            for kind in kinds:
                getattr(loop, f"add_{kind}")(number, nothing)
            left.close()
            turn(loop, 2)
            for _ in range(2):
                for kind in kinds:
                    tried(say, lambda kind=kind: getattr(loop, f"remove_{kind}")(number))

    if engine_name == "ours-select":
        pytest.skip("select() fails on a closed descriptor")
    same_as_stock(engine_name, scenario)


@linux
def test_descriptor_closed_and_opened_before_it_is_removed(engine: Engine) -> None:
    """A well-known mistake: the loop still holds the old entry. Adding again must work, as must the removal."""
    if engine.name == "ours-select":
        pytest.skip("select() keeps no state in the kernel")
    loop = engine.new()
    called: list[str] = []
    with pipe() as (read, write):
        loop.add_reader(read, called.append, "old")
        os.close(read)
        os.close(write)
        with pipe() as (other_read, other_write):
            assert (other_read, other_write) == (read, write)
            os.write(other_write, b"x")
            with contextlib.suppress(FileNotFoundError):  # what the stock loop says to the modification
                loop.add_reader(other_read, called.append, "new")
            turn(loop, 2)
            with contextlib.suppress(FileNotFoundError):
                loop.remove_reader(other_read)
            assert "old" not in called
            loop.add_reader(other_read, called.append, "newest")
            until(loop, lambda: "newest" in called)
            assert loop.remove_reader(other_read) is True


def test_closed_loop(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        left, right = socket.socketpair()
        with left, right:
            loop = engine.new()
            loop.add_reader(left, nothing)
            loop.close()
            for name in ("add_reader", "add_writer"):
                tried(say, lambda name=name: getattr(loop, name)(left, nothing))
            for name in ("remove_reader", "remove_writer"):
                tried(say, lambda name=name: getattr(loop, name)(left))

    assert same_as_stock(engine_name, scenario) == ["RuntimeError: Event loop is closed"] * 2 + ["False"] * 2


# --- bad descriptors


class BadFileno:
    def __init__(self, result: object) -> None:
        self.result = result

    def __repr__(self) -> str:
        return "<bad fileno>"

    def fileno(self) -> object:
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


BAD: dict[str, object] = {
    "negative": -1,
    "very negative": -12345,
    "none": None,
    "text": "text",
    "float": 1.5,
    "object": object,
    "huge": 2**70,
    "larger than int": 2**31,
    "fileno negative": BadFileno(-1),
    "fileno none": BadFileno(None),
    "fileno text": BadFileno("text"),
    "fileno number as text": BadFileno("-2"),
    "fileno fails": BadFileno(LookupError("no file")),
    "fileno value error": BadFileno(ValueError("closed file")),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_bad_descriptor(engine_name: str, bad: object) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        for name, arguments in (
            ("add_reader", (nothing,)),
            ("add_writer", (nothing,)),
            ("remove_reader", ()),
            ("remove_writer", ()),
        ):
            tried(say, lambda name=name, arguments=arguments: getattr(loop, name)(bad, *arguments))
        turn(loop)
        say("usable")

    if engine_name == "ours-select" and isinstance(bad, int) and bad > 0:
        pytest.skip("select() takes small numbers only, and says so when it waits")
    same_as_stock(engine_name, scenario)


@linux
def test_closed_descriptor(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        left, right = socket.socketpair()
        number = left.fileno()
        left.close()
        right.close()
        for name in ("add_reader", "add_writer"):
            for thing in (left, number):
                tried(say, lambda name=name, thing=thing: getattr(loop, name)(thing, nothing))
        for name in ("remove_reader", "remove_writer"):
            for thing in (left, number):
                tried(say, lambda name=name, thing=thing: getattr(loop, name)(thing))
        turn(loop)

    if engine_name == "ours-select":
        pytest.skip("select() notices when it waits")
    lines = [line.split(" ", 1)[0] for line in same_as_stock(engine_name, scenario)]
    assert "OSError:" in lines


@linux
def test_regular_file(engine_name: str) -> None:
    """epoll refuses these."""

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        with tempfile.TemporaryFile() as file:
            tried(say, lambda: loop.add_reader(file, nothing))
            tried(say, lambda: loop.add_writer(file, nothing))
            tried(say, lambda: loop.remove_reader(file))
            tried(say, lambda: loop.remove_writer(file))
        turn(loop)

    if engine_name == "ours-select":
        pytest.skip("for select() they are always ready")
    assert same_as_stock(engine_name, scenario)[0] == "PermissionError: [Errno 1] Operation not permitted"


def test_bad_arguments(eventloop: Any, pair: Pair) -> None:
    left, _ = pair
    for name in ("add_reader", "add_writer"):
        for arguments in ((), (left,)):
            with pytest.raises(TypeError):
                getattr(eventloop, name)(*arguments)
        with pytest.raises(TypeError):
            getattr(eventloop, name)(left, nothing, context=None)
    for name in ("remove_reader", "remove_writer"):
        for arguments in ((), (left, left)):
            with pytest.raises(TypeError):
                getattr(eventloop, name)(*arguments)


def test_callback_that_is_none(engine_name: str) -> None:
    """It is found out when it is called, as for the other methods."""

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        loop.set_exception_handler(lambda _loop, context: say((context["message"], context["exception"])))
        left, right = socket.socketpair()
        with left, right:
            tried(say, lambda: loop.add_writer(left, 5))
            turn(loop)
            loop.remove_writer(left)

    same_as_stock(engine_name, scenario)


def test_descriptor_of_a_transport(engine: Engine) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        with right:
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=left)
            for thing in (left, left.fileno()):
                for call in (
                    lambda thing=thing: loop.add_reader(thing, nothing),
                    lambda thing=thing: loop.add_writer(thing, nothing),
                    lambda thing=thing: loop.remove_reader(thing),
                    lambda thing=thing: loop.remove_writer(thing),
                ):
                    with pytest.raises(RuntimeError) as caught:
                        call()
                    assert str(caught.value) == f"File descriptor {thing!r} is used by transport {transport!r}"
            transport.close()
            await asyncio.sleep(0)

    engine.run(main())


# --- many


def test_many_descriptors(engine: Engine) -> None:
    loop = engine.new()
    with contextlib.ExitStack() as stack:
        pairs = [socket.socketpair() for _ in range(150)]
        for left, right in pairs:
            stack.enter_context(left)
            stack.enter_context(right)
        got: set[int] = set()
        for number, (left, _) in enumerate(pairs):
            loop.add_reader(left, lambda number=number, left=left: (got.add(number), left.recv(10)))
        for _, right in pairs:
            right.send(b"x")
        until(loop, lambda: len(got) == len(pairs))
        got.clear()
        for _, right in pairs[::3]:
            right.send(b"x")
        until(loop, lambda: len(got) == len(pairs[::3]))
        assert got == set(range(0, len(pairs), 3))
        for left, _ in pairs:
            assert loop.remove_reader(left) is True


def test_random_operations(engine_name: str) -> None:
    """Adding, removing and replacing at random; what each call returns, and who is called, as on the stock loop."""

    def scenario(engine: Engine, say: Say) -> None:
        import random

        chance = random.Random(7)
        loop = engine.new()
        pairs = [socket.socketpair() for _ in range(4)]
        called: set[tuple[str, int]] = set()
        for _ in range(300):
            number = chance.randrange(4)
            left, right = pairs[number]
            match chance.randrange(6):
                case 0:
                    say(f"{number} add_reader {loop.add_reader(left, called.add, ('r', number))}")
                case 1:
                    say(f"{number} add_writer {loop.add_writer(left, called.add, ('w', number))}")
                case 2:
                    say(f"{number} remove_reader {loop.remove_reader(left)}")
                case 3:
                    say(f"{number} remove_writer {loop.remove_writer(left)}")
                case 4:
                    right.send(b"x")
                case 5:
                    left.setblocking(False)
                    with contextlib.suppress(BlockingIOError):
                        left.recv(100)
            called.clear()
            turn(loop, 2)
            say(sorted(called))
        for left, right in pairs:
            loop.remove_reader(left)
            loop.remove_writer(left)
            left.close()
            right.close()

    same_as_stock(engine_name, scenario)


def test_loop_shows_its_descriptors_to_nobody_else(engine: Engine) -> None:
    """Closing one loop leaves another's readers alone."""
    first, second = engine.new(), engine.new()
    left, right = socket.socketpair()
    with left, right:
        called: list[int] = []
        first.add_reader(left, nothing)
        second.add_reader(left, lambda: called.append(len(left.recv(10))))
        first.close()
        right.send(b"x")
        until(second, lambda: called)
        second.remove_reader(left)
