"""Pipes, those of subprocesses, and terminals: everything that was written comes, both ways, and ends are seen."""

from __future__ import annotations

import asyncio
import os
import pty
import sys
import tty
from typing import Any

import pytest

from support.loops import Engine, Say, same_as_stock, tried, turn
from support.net import Recorder, until
from support.pipes import Reader, Writer

MEGABYTES = 3_000_000


def test_reading(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        end = Reader(loop)
        say([type(end.transport).__name__, isinstance(end.transport, asyncio.ReadTransport)])
        say([end.transport.is_reading(), end.transport.is_closing(), sorted(end.transport._extra)])
        os.write(end.writing, b"first")
        until(loop, lambda: end.protocol.data == b"first")
        end.transport.pause_reading()
        os.write(end.writing, b"second")
        turn(loop, 3)
        say([bytes(end.protocol.data), end.transport.is_reading()])
        end.transport.resume_reading()
        until(loop, lambda: end.protocol.data == b"firstsecond")
        os.close(end.writing)
        until(loop, lambda: end.protocol.lost)
        say(end.protocol.events)
        say([end.transport.is_closing(), repr(end.transport)])

    same_as_stock(engine_name, scenario)


def test_writing(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        end = Writer(loop)
        say([type(end.transport).__name__, isinstance(end.transport, asyncio.WriteTransport)])
        for data in (b"bytes", bytearray(b"array"), memoryview(b"view"), b""):
            end.transport.write(data)
        for data in ("str", None, 5):
            tried(say, lambda data=data: end.transport.write(data))  # type: ignore[misc]
        end.transport.writelines([b"1", b"2"])
        say(end.read(len("bytesarrayview12")))
        end.transport.set_write_buffer_limits(high=1000)
        end.transport.write(bytes(MEGABYTES))
        say([end.transport.get_write_buffer_size() > 0, end.transport.get_write_buffer_limits()])
        end.transport.write(b"end")
        end.transport.write_eof()
        say([end.transport.can_write_eof(), end.transport.is_closing()])
        data = end.read(MEGABYTES + 3)
        say([len(data), data[-4:]])
        until(loop, lambda: end.protocol.lost)
        say(os.read(end.reading, 10))
        say(end.protocol.events)
        os.close(end.reading)

    same_as_stock(engine_name, scenario)


def test_a_reader_that_has_gone(engine_name: str) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        for write in (False, True):
            end = Writer(loop)
            os.close(end.reading)
            if write:
                end.transport.write(b"to nobody")
            until(loop, lambda end=end: end.protocol.lost)  # type: ignore[misc]
            say(end.protocol.events)

    same_as_stock(engine_name, scenario)


@pytest.mark.parametrize("end", ["close", "abort"])
def test_closed_with_a_full_buffer(engine: Engine, end: str) -> None:
    loop = engine.new()
    pipe = Writer(loop)
    pipe.transport.write(bytes(MEGABYTES) + b"end")
    getattr(pipe.transport, end)()
    if end == "close":
        assert pipe.read(MEGABYTES + 3) == bytes(MEGABYTES) + b"end"
    until(loop, lambda: pipe.protocol.lost)
    os.close(pipe.reading)


@pytest.mark.parametrize("stop", [None, "stop", "raise"])
def test_written_directly_before_the_end(engine: Engine, stop: str | None) -> None:
    loop = engine.new()
    end = Writer(loop)

    def act() -> None:
        end.transport.write(b"first, ")
        end.transport.write(b"second")
        if stop == "stop":
            loop.stop()
        if stop == "raise":
            raise SystemExit

    loop.call_soon(act)
    try:
        turn(loop)
    except SystemExit:
        assert stop == "raise"
    assert os.read(end.reading, 100) == b"first, second"
    turn(loop)
    end.transport.abort()
    until(loop, lambda: end.protocol.lost)
    os.close(end.reading)


def test_numbers_that_are_used_again_at_once(engine: Engine) -> None:
    loop = engine.new()
    for make in (Reader, Writer):
        end = make(loop)
        number = end.transport._fileno
        end.transport.close()
        until(loop, lambda end=end: end.protocol.lost)  # type: ignore[misc]
        reading, writing = os.pipe()
        assert number in (reading, writing)
        os.write(writing, b"mine")
        end.transport.close()
        turn(loop, 3)
        assert os.read(reading, 10) == b"mine"
        for each in (reading, writing, end.reading if make is Writer else end.writing):
            os.close(each)


CAT = """
import sys
while data := sys.stdin.buffer.raw.read(100_000):
    sys.stdout.buffer.write(data)
sys.stderr.write("done")
"""


def test_megabytes_through_a_child(engine: Engine) -> None:
    """In and out at the same time, and nothing of it is lost at the end."""
    data = b"".join(b"%d," % number for number in range(MEGABYTES // 6))

    async def main() -> None:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CAT, stdin=-1, stdout=-1, stderr=-1, limit=1 << 16
        )
        out, error = await child.communicate(data)
        assert (out, error, child.returncode) == (data, b"done", 0)

    engine.run(main())


def test_a_child_that_does_not_read(engine: Engine) -> None:
    """What is written to it is bounded; that it ends is told."""

    async def main() -> None:
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=-1, stdout=-1)
        assert child.stdin is not None and child.stdout is not None

        async def write_on() -> None:
            while True:
                child.stdin.write(b"line\n" * 20_000)  # type: ignore[union-attr]
                await child.stdin.drain()  # type: ignore[union-attr]

        with pytest.raises(ConnectionError):
            await write_on()
        assert await child.stdout.read() == b""
        assert await child.wait() == 0

    engine.run(main())


def test_many_children_at_once(engine: Engine) -> None:
    async def one(number: int) -> None:
        child = await asyncio.create_subprocess_exec("/bin/cat", stdin=-1, stdout=-1)
        text = b"%d" % number * 1000
        assert (await child.communicate(text))[0] == text

    async def main() -> None:
        await asyncio.gather(*map(one, range(20)))

    engine.run(main())


def test_a_terminal(engine: Engine) -> None:
    """Both ways through one: a program's stdin and stdout are often that."""
    loop = engine.new()
    master, slave = pty.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    reader, writer = Recorder(), Recorder()
    name = os.ttyname(slave)
    input_file, output_file = open(name, "rb", 0), open(name, "wb", 0)  # noqa: SIM115  # the transports close them
    reading, _ = loop.run_until_complete(loop.connect_read_pipe(lambda: reader, input_file))
    writing, _ = loop.run_until_complete(loop.connect_write_pipe(lambda: writer, output_file))
    os.write(master, b"typed")
    until(loop, lambda: reader.data == b"typed")
    data = b"shown" * 5000
    writing.write(data)
    shown = bytearray()

    def is_shown() -> bool:
        try:
            shown.extend(os.read(master, 10_000))
        except BlockingIOError:
            pass
        return len(shown) == len(data)

    until(loop, is_shown)
    assert shown == data
    writing.close()
    os.close(slave)
    os.close(master)
    until(loop, lambda: reader.lost and writer.lost)
    reading.close()
    assert reader.events[:2] == ["connection_made", b"typed"]


def test_files_that_are_no_pipes(engine_name: str, tmp_path: Any) -> None:
    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        path = tmp_path / "file"
        path.write_bytes(b"text")
        for mode, connect in (("rb", loop.connect_read_pipe), ("ab", loop.connect_write_pipe)):
            with open(path, mode, 0) as file:
                tried(say, lambda connect=connect, file=file: loop.run_until_complete(connect(Recorder, file)))  # type: ignore[misc]

    same_as_stock(engine_name, scenario)
