"""TLS, by both native routes: each byte arrives once, in order, in whatever pieces its records come."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.loops import Say, record, run_fresh
from support.net import Recorder, until
from support.tls import TlsEnds, certificates, client_context, close_all, same, server_context, tls_connected

pytestmark = pytest.mark.usefixtures("route")

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
SIZES = (1, 15, 1000, 16384, 16385, 100_000, 1_000_000)


def text_of(size: int) -> bytes:
    return bytes(i * 7 % 251 for i in range(min(size, 5000))) * (size // 5000 + 1)


def test_the_route_is_taken(route: str) -> None:
    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        for server_side in (False, True):
            ends = tls_connected(loop, server_side=server_side)
            say(str(ends.transport.get_extra_info("rasyncio_tls")))
            close_all(loop, ends)

    assert record("ours", scenario) == [route, route]
    assert record("ours-debug", scenario) == record("stock", scenario) == ["None", "None"]


@pytest.mark.parametrize("version", VERSIONS, ids=str)
@pytest.mark.parametrize("server_side", [False, True], ids=("client", "server"))
def test_sizes_both_ways(version: ssl.TLSVersion, server_side: bool) -> None:
    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        ends = tls_connected(loop, server_side=server_side)
        for size in SIZES:
            text = text_of(size)
            ends.protocol.data.clear()
            ends.peer.send_raw(loop, ends.peer.records(text))
            until(loop, lambda size=size: len(ends.protocol.data) >= size)
            say(ends.protocol.data == text[: len(ends.protocol.data)] and len(ends.protocol.data) == len(text))
            ends.transport.write(text)
            say(ends.peer.receive(loop, len(text)) == text)
        say([event for event in ends.protocol.events if isinstance(event, str)])
        close_all(loop, ends)
        say(ends.protocol.events[-1])

    same(scenario)


def test_records_split_at_every_byte() -> None:
    """Two records, sent in two pieces; at each place between two bytes of them."""

    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        ends = tls_connected(loop)
        length = len(ends.peer.records(b"first", b"second"))
        close_all(loop, ends)
        ends = tls_connected(loop)
        for place in range(length + 1):
            ends.protocol.data.clear()
            both = ends.peer.records(b"first", b"second")
            ends.peer.sock.send(both[:place])
            loop.run_until_complete(asyncio.sleep(0.001))
            say(bytes(ends.protocol.data))
            ends.peer.sock.send(both[place:])
            until(loop, lambda: len(ends.protocol.data) >= 11)
            say(bytes(ends.protocol.data))
        close_all(loop, ends)

    same(scenario)


def test_a_byte_at_a_time() -> None:
    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        ends = tls_connected(loop)
        for byte in ends.peer.records(b"first", b"x" * 200):
            ends.peer.sock.send(bytes([byte]))
            loop.run_until_complete(asyncio.sleep(0))
        until(loop, lambda: len(ends.protocol.data) >= 205)
        say(bytes(ends.protocol.data))
        close_all(loop, ends)

    same(scenario)


@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_ciphertext_that_is_kept(version: ssl.TLSVersion) -> None:
    """A transport beneath that keeps what it is given to write keeps it as it was, whatever is written later."""

    class Keeps:
        def __init__(self, transport: Any) -> None:
            self.transport = transport
            self.kept: list[Any] = []
            self.as_they_were: list[bytes] = []
            self.hashes: list[int] = []

        def __getattr__(self, name: str) -> Any:
            return getattr(self.transport, name)

        def write(self, data: bytes) -> None:
            self.as_they_were.append(bytes(bytearray(data)))
            self.hashes.append(hash(data))
            if len(self.as_they_were) % 3:  # of the others nothing is left
                self.kept.append((len(self.as_they_were) - 1, data))
            self.transport.write(data)

    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        contexts = {"context": client_context(version), "peer_context": server_context(version=version)}
        ends = tls_connected(loop, **contexts)
        beneath = Keeps(ends.transport._ssl_protocol._transport)
        ends.transport._ssl_protocol._transport = beneath
        for number in range(30):
            text = bytes([number]) * (1, 900, 1000, 1000, 20_000)[number % 5]
            ends.transport.write(text)
            say(ends.peer.receive(loop, len(text)) == text)
        say((len(beneath.kept), all(type(data) is bytes for _, data in beneath.kept)))
        say([data == beneath.as_they_were[number] for number, data in beneath.kept])
        say([hash(data) == beneath.hashes[number] for number, data in beneath.kept])
        say([hash(bytes(bytearray(data))) for data in beneath.as_they_were] == beneath.hashes)
        ends.transport._ssl_protocol._transport = beneath.transport
        close_all(loop, ends)

    same(scenario)


def test_all_of_an_event_is_one_piece() -> None:
    class Pieces(Recorder):
        def data_received(self, data: bytes) -> None:
            self.events.append((type(data).__name__, len(data)))

    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        ends = tls_connected(loop, Pieces())
        ends.peer.sock.send(ends.peer.records(*[b"x" * n for n in (1, 10, 100, 1000, 10_000, 20_000)]))
        until(loop, lambda: len(ends.protocol.events) > 1)
        say(ends.protocol.events)
        close_all(loop, ends)

    same(scenario)


#: What can be written, and what cannot.
THINGS: dict[str, Callable[[], Any]] = {
    "bytes": lambda: b"some bytes",
    "nothing": lambda: b"",
    "bytearray": lambda: bytearray(b"a bytearray"),
    "empty bytearray": lambda: bytearray(),
    "memoryview": lambda: memoryview(b"a memoryview"),
    "empty memoryview": lambda: memoryview(b""),
    "of wider items": lambda: memoryview(b"12345678").cast("I"),
    "of two dimensions": lambda: memoryview(b"12345678").cast("B", (2, 4)),
    "with gaps": lambda: memoryview(b"a memoryview")[::2],
    "subclass": lambda: type("B", (bytes,), {})(b"of a subclass"),
    "a large bytearray": lambda: bytearray(text_of(70_000)),
    "str": lambda: "text",
    "None": lambda: None,
    "list": lambda: [1, 2],
}


@pytest.mark.parametrize("thing", THINGS)
@pytest.mark.parametrize("how", ["write", "writelines", "writelines of two"])
def test_what_can_be_written(thing: str, how: str) -> None:
    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        ends = tls_connected(loop)
        made = THINGS[thing]()

        def write() -> None:
            try:
                if how == "write":
                    ends.transport.write(made)
                else:
                    ends.transport.writelines([made] if how == "writelines" else (b"before", made))
            except Exception as error:
                say(f"{type(error).__name__}: {error}")

        loop.call_soon(write)
        loop.run_until_complete(asyncio.sleep(0.01))
        if isinstance(made, bytearray):
            made[:] = b"?" * len(made)  # it is encrypted already
        if not ends.transport.is_closing():
            ends.transport.write(b"the end")
            ends.transport.close()
        received = bytearray()

        def is_over() -> bool:
            try:
                piece = ends.peer.tried(lambda: ends.peer.tls.read(1 << 16))
            except ssl.SSLError as error:
                say(error.reason)
                return True
            received.extend(piece or b"")
            return piece == b"" or (piece is None and ends.peer.ended)

        until(loop, is_over)
        say(bytes(received))
        close_all(loop, ends)

    same(scenario)


class Buffered(asyncio.BufferedProtocol):
    """Reads into a buffer of that size and kind."""

    def __init__(self, size: int, kind: str) -> None:
        self.data = bytearray()
        self.buffer: Any = bytearray(size)
        self.kind = kind
        self.lost = False
        self.calls = 0

    def get_buffer(self, sizehint: int) -> Any:
        return memoryview(self.buffer) if self.kind == "memoryview" else self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.calls += 1
        self.data += self.buffer[:nbytes]
        if self.kind == "new bytearray":
            self.buffer = bytearray(len(self.buffer))

    def eof_received(self) -> Any:
        self.data += b"EOF"

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True


@pytest.mark.parametrize("kind", ["memoryview", "bytearray", "new bytearray"])
@pytest.mark.parametrize("size", [1, 100, 16384, 50_000])
def test_buffered_protocols_get_every_byte(kind: str, size: int, route: str) -> None:
    """Those that hand out a bytearray, too, of which asyncio's own code fills a copy (gh-156275)."""

    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        ends = tls_connected(loop, Buffered(size, kind))
        text = text_of(3000 if size == 1 else 200_000)
        pieces = [text[i : i + 777] for i in range(0, len(text), 777)]
        ends.peer.send_raw(loop, ends.peer.records(*pieces))
        until(loop, lambda: len(ends.protocol.data) >= len(text))
        ends.peer.close_notify()
        until(loop, lambda: ends.protocol.lost)
        say(bytes(ends.protocol.data) == text + b"EOF")
        close_all(loop, ends)

    assert record("ours", scenario) == ["True"]
    if kind == "memoryview":
        same(scenario)


@pytest.mark.parametrize("size", [10, 5000, 100_000])
def test_what_has_come_is_there_when_a_buffer_is_asked_for(size: int) -> None:
    """The protocol may look at it, and read some of it by itself."""

    def scenario(engine: Any, say: Say) -> None:
        class Looking(Buffered):
            def get_buffer(self, sizehint: int) -> Any:
                say([sizehint == ends.transport.get_read_buffer_size() > 0, bool(self.data)])
                if not self.data:
                    self.data += ends.transport.get_extra_info("ssl_object").read(7)
                return super().get_buffer(sizehint)

        loop = engine.new()
        ends = tls_connected(loop, Recorder())
        ends.transport.set_protocol(Looking(50_000, "memoryview"))
        protocol = ends.transport.get_protocol()
        # In one piece, as far as the socket takes it.
        ends.peer.sock.send(ends.peer.records(text_of(size)[:size]))
        until(loop, lambda: len(protocol.data) >= size)
        say(bytes(protocol.data) == text_of(size)[:size])
        ends.transport.abort()
        until(loop, lambda: protocol.lost)
        ends.peer.close()

    same(scenario)


@pytest.mark.parametrize("size", [1, 100, 1024, 5000])
def test_a_buffer_that_is_just_full(size: int) -> None:
    """asyncio looks once more then, which a protocol notices whose limits are 0."""

    class Told(Buffered):
        def pause_writing(self) -> None:
            self.data += b"pause"

        def resume_writing(self) -> None:
            self.data += b"resume"

    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        ends = tls_connected(loop, Told(size, "memoryview"))
        ends.transport.set_write_buffer_limits(high=0)
        ends.peer.send(b"x" * size)
        until(loop, lambda: len(ends.protocol.data) >= size)
        loop.run_until_complete(asyncio.sleep(0.01))
        say(bytes(ends.protocol.data))
        close_all(loop, ends)

    same(scenario)


def test_a_buffer_that_cannot_be_written_to() -> None:
    class ReadOnly(Buffered):
        def get_buffer(self, sizehint: int) -> Any:
            if not self.kind:
                return self.buffer
            return memoryview(bytes(100)) if self.kind == "read-only" else None

    def scenario(engine: Any, say: Say, kind: str) -> None:
        loop = engine.new()
        told: list[Any] = []
        loop.set_exception_handler(lambda loop, context: told.append(f"{context['message']}: {context['exception']!r}"))
        ends = tls_connected(loop, ReadOnly(1, ""))
        ends.protocol.kind = kind
        ends.peer.send(b"x" * 50)
        until(loop, lambda: ends.protocol.lost)
        say(told)
        close_all(loop, ends)

    for kind in ("read-only", "none"):
        same(scenario, kind)


def test_writes_wait_for_a_peer_that_does_not_read() -> None:
    """The protocol is paused, and resumed, as by asyncio; nothing is lost."""

    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        ends = tls_connected(loop, which="tcp4")
        text = text_of(50_000)
        count = 0
        while "pause_writing" not in ends.protocol.events:
            ends.transport.write(text)
            loop.run_until_complete(asyncio.sleep(0))
            count += 1
            assert count < 1000
        say(ends.transport.get_write_buffer_size() >= 512 * 1024)
        received = ends.peer.receive(loop, count * len(text))
        say(received == text * count)
        until(loop, lambda: "resume_writing" in ends.protocol.events)
        say([event for event in ends.protocol.events if isinstance(event, str)])
        say(ends.transport.get_write_buffer_size())
        close_all(loop, ends)

    same(scenario)


@pytest.mark.parametrize("high", [0, 1, 100, 70_000])
def test_water_marks(high: int) -> None:
    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        ends = tls_connected(loop)
        ends.transport.set_write_buffer_limits(high=high)
        say(ends.transport.get_write_buffer_limits())
        for size in (1, 100, 10_000, 100_000):
            ends.transport.write(b"x" * size)
            say([event for event in ends.protocol.events if isinstance(event, str)])
            ends.peer.receive(loop, size)
            loop.run_until_complete(asyncio.sleep(0.001))
            say([event for event in ends.protocol.events if isinstance(event, str)])
        close_all(loop, ends)

    same(scenario)


def test_a_step_is_one_message(route: str) -> None:
    """What a step writes leaves together, at the step's end."""

    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        ends = tls_connected(loop)
        for _ in range(3):
            ends.transport.write(b"one")
            ends.transport.write(b"two")
        lower = ends.transport._ssl_protocol._transport

        async def step() -> None:
            for _ in range(10):
                ends.transport.write(b"piece")
            try:
                ends.peer.sock.recv(1 << 16)
                ends.peer.sock.recv(1)
                say("too early")
            except BlockingIOError:
                say("nothing is sent yet")

        loop.run_until_complete(step())
        say(lower.get_write_buffer_size())
        close_all(loop, ends)

    assert record("ours", scenario) == ["nothing is sent yet", "0"]


def test_pausing_and_resuming() -> None:
    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        ends = tls_connected(loop)
        ends.transport.pause_reading()
        say(ends.transport.is_reading())
        text = text_of(600_000)
        cipher = ends.peer.records(*[text[i : i + 10_000] for i in range(0, len(text), 10_000)])
        sent = 0
        for _ in range(300):
            try:
                sent += ends.peer.sock.send(cipher[sent:])
            except BlockingIOError:
                pass
            loop.run_until_complete(asyncio.sleep(0))
        say(bytes(ends.protocol.data))
        # What has come is bounded: the socket is not read any more.
        say(ends.transport.get_read_buffer_size() <= 256 * 1024 * 2 and sent < len(cipher))
        ends.transport.resume_reading()
        say(ends.transport.is_reading())
        ends.peer.send_raw(loop, cipher[sent:])
        until(loop, lambda: len(ends.protocol.data) >= len(text))
        say(ends.protocol.data == text)
        say(ends.transport.get_read_buffer_size())
        close_all(loop, ends)

    same(scenario)


class Acts(Recorder):
    """Does something in the first data_received()."""

    def __init__(self, act: Callable[[Any], object]) -> None:
        super().__init__()
        self.act: Callable[[Any], object] | None = act

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.act is not None:
            act, self.act = self.act, None
            act(self)


def pause_for_a_while(protocol: Any) -> None:
    protocol.transport.pause_reading()
    asyncio.get_running_loop().call_later(0.01, protocol.transport.resume_reading)


def set_protocol(protocol: Any) -> None:
    other = protocol.other = Recorder()
    other.transport = protocol.transport
    protocol.transport.set_protocol(other)


def fail(protocol: Any) -> None:
    raise ZeroDivisionError("in data_received")


def exit_loop(protocol: Any) -> None:
    raise SystemExit(7)


ACTS: dict[str, Callable[[Any], object]] = {
    "nothing": lambda protocol: None,
    "close": lambda protocol: protocol.transport.close(),
    "write and close": lambda protocol: (protocol.transport.write(b"bye"), protocol.transport.close()),
    "close twice": lambda protocol: (protocol.transport.close(), protocol.transport.close()),
    "abort": lambda protocol: protocol.transport.abort(),
    "write": lambda protocol: protocol.transport.write(b"answer"),
    "write much": lambda protocol: protocol.transport.write(b"answer" * 50_000),
    "pause": pause_for_a_while,
    "set_protocol": set_protocol,
    "exception": fail,
    "read": lambda protocol: protocol.transport._ssl_protocol._do_read(),
    "writelines": lambda protocol: protocol.transport.writelines([b"one", b"two"]),
    "SystemExit": exit_loop,
}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("server_side", [False, True], ids=("client", "server"))
def test_reentry_from_data_received(act: str, server_side: bool) -> None:
    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        told: list[Any] = []
        loop.set_exception_handler(lambda loop, context: told.append(f"{context['message']}: {context['exception']!r}"))
        protocol = Acts(ACTS[act])
        ends = tls_connected(loop, protocol, server_side=server_side)
        ends.peer.sock.send(ends.peer.records(b"first"))
        try:
            until(loop, lambda: len(protocol.data) >= 5)
            ends.peer.sock.send(ends.peer.records(b"second", b"third"))
            loop.run_until_complete(asyncio.sleep(0.03))
        except SystemExit as error:
            say(f"SystemExit {error}")
        except ConnectionError:
            say("the peer cannot send")
        received = b""
        for _ in range(100):
            try:
                received += ends.peer.tried(lambda: ends.peer.tls.read(1 << 16)) or b""
            except ssl.SSLError as error:
                say(f"peer: {error.reason}")
                break
            loop.run_until_complete(asyncio.sleep(0))
        say(received)
        say(told)
        close_all(loop, TlsEnds(ends.transport, getattr(protocol, "other", protocol), ends.peer))
        say(protocol.events)
        if hasattr(protocol, "other"):
            say(protocol.other.events)

    same(scenario)


@pytest.mark.parametrize("what", ["the loop goes on with what is left", "reading is resumed"])
def test_closed_twice_before_the_loop_comes_to_it(what: str) -> None:
    """The transport has forgotten its protocol then, as asyncio's has."""

    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        told: list[Any] = []
        loop.set_exception_handler(lambda loop, context: told.append(f"{context['message']}: {context['exception']!r}"))
        protocol: Any = Buffered(100, "memoryview") if what.startswith("the loop") else Recorder()
        ends = tls_connected(loop, protocol)

        def close() -> None:
            if isinstance(protocol, Recorder):
                ends.transport.resume_reading()
            ends.transport.close()
            ends.transport.close()

        if isinstance(protocol, Recorder):
            ends.transport.pause_reading()
            ends.peer.send(b"some text")
            loop.run_until_complete(asyncio.sleep(0.01))
            loop.call_soon(close)
        else:
            updated = protocol.buffer_updated
            protocol.buffer_updated = lambda nbytes: (updated(nbytes), close() if protocol.calls == 1 else None)
            ends.transport.set_protocol(protocol)
            ends.peer.send(b"x" * 1000)
        loop.run_until_complete(asyncio.sleep(0.01))
        ends.peer.tried(lambda: None)
        ends.peer.sock.close()
        until(loop, lambda: protocol.lost)
        say(bytes(protocol.data))
        say(told)

    same(scenario)


@pytest.mark.parametrize("limit", [1000, 1 << 16])
def test_streams(limit: int) -> None:
    """With a small limit the reader pauses the transport all the time."""

    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        reader = asyncio.StreamReader(limit=limit, loop=loop)
        ends = tls_connected(loop, asyncio.StreamReaderProtocol(reader, loop=loop))
        writer = asyncio.StreamWriter(ends.transport, ends.transport.get_protocol(), reader, loop)
        text = text_of(300_000)

        async def read() -> bytes:
            data = b""
            while len(data) < len(text):
                data += await reader.read(700)
            writer.writelines([b"all", b" of it"])
            await writer.drain()
            return data

        task = loop.create_task(read())
        ends.peer.send_raw(loop, ends.peer.records(*[text[i : i + 5000] for i in range(0, len(text), 5000)]))
        say(loop.run_until_complete(asyncio.wait_for(task, 20)) == text)
        say(ends.peer.receive(loop, 9))
        ends.peer.close_notify()
        say(loop.run_until_complete(asyncio.wait_for(reader.read(), 20)))
        close_all(loop, ends)

    same(scenario)


@pytest.mark.parametrize("size", [5, 5000, 100_000])
@pytest.mark.parametrize("pieces", [1, 3])
def test_writing_to_a_session_that_has_failed(size: int, pieces: int) -> None:
    """Nothing is encrypted any more, and asyncio's own code is told why."""

    def scenario(engine: Any, say: Say) -> None:
        loop = engine.new()
        told: list[Any] = []
        loop.set_exception_handler(lambda loop, context: told.append(f"{context['message']}: {context['exception']!r}"))
        ends = tls_connected(loop)
        protocol = ends.transport._ssl_protocol
        protocol._incoming.write(b"garbage, that is no record")
        try:
            protocol._sslobj.read(100)
        except ssl.SSLError as error:
            say(error.reason)
        ends.transport.writelines([b"x" * size] * pieces)
        loop.run_until_complete(asyncio.sleep(0.01))
        say([protocol._write_buffer_size, protocol._outgoing.pending, ends.transport.is_closing()])
        until(loop, lambda: ends.protocol.lost)
        say(ends.protocol.events)
        say(told)
        close_all(loop, ends)

    same(scenario)


def test_records_that_are_longer_than_usual(route: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's configuration has each record padded to 4 KiB: more than anybody has made room for."""
    configuration = tmp_path / "openssl.cnf"
    configuration.write_text(
        "openssl_conf = init\n[init]\nssl_conf = modules\n[modules]\nsystem_default = defaults\n"
        "[defaults]\nRecordPadding = 4096\n"
    )
    monkeypatch.setenv("OPENSSL_CONF", str(configuration))

    def body(folder: str) -> None:
        import asyncio
        import ssl

        server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server_context.load_cert_chain(f"{folder}/server.pem", f"{folder}/server.key")
        pieces = [bytes([number]) * 700 for number in range(50)]

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            print(writer.get_extra_info("rasyncio_tls"), await reader.readexactly(35_000) == b"".join(pieces))
            writer.writelines(pieces)
            writer.close()

        async def main() -> None:
            server = await asyncio.start_server(serve, "localhost", 0, ssl=server_context)
            port = server.sockets[0].getsockname()[1]
            trusting = ssl.create_default_context(cafile=f"{folder}/ca.pem")
            reader, writer = await asyncio.open_connection("localhost", port, ssl=trusting)
            lower = writer.transport._ssl_protocol._transport
            sent: list[int] = []
            write = lower.write
            lower.write = lambda data: (sent.append(len(data)), write(data))
            writer.writelines(pieces)
            del lower.write
            print(sum(sent) >= 50 * 4096)
            print(await reader.read() == b"".join(pieces))
            writer.close()
            server.close()

        run(main())  # type: ignore[name-defined]  # noqa: F821

    assert run_fresh("ours", body, str(certificates()), flags=()) == f"True\n{route} True\nTrue\n"
