"""What soak.py does at random. A job raises if what must come of it does not."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import ssl
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from subprocess import run
from typing import Any

from proxy import Proxy


def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context, and one of clients that trust its certificate."""
    with tempfile.TemporaryDirectory() as folder:
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key.pem"]
        names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        made = ["openssl", "req", "-x509", *key, *names, "-days", "30", "-out", "certificate.pem"]
        run(made, cwd=folder, check=True, capture_output=True)
        serving, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        serving.load_cert_chain(f"{folder}/certificate.pem", f"{folder}/key.pem")
        trusting.load_verify_locations(f"{folder}/certificate.pem")
    return serving, trusting


class Expected(Exception):
    """Raised on purpose."""


class World:
    """What the jobs share: the echo server, counters, and callbacks that are to fail."""

    def __init__(self, loop: asyncio.AbstractEventLoop, counts: Counter[str]) -> None:
        self.loop = loop
        self.counts = counts
        #: Where the server is, in the clear and by TLS: itself, behind a proxy, and behind one that resets.
        self.ports: dict[bool, list[int]] = {False: [], True: []}
        self.proxies: list[Proxy] = []
        self.serving, self.trusting = contexts()

    def listens(self, port: int, by_tls: bool, seed: int) -> None:
        """The server listens there; put proxies before it."""
        proxies = [Proxy(port, f"{seed} {by_tls} {resets}", resets) for resets in (False, True)]
        self.proxies += proxies
        self.ports[by_tls] = [port, *(proxy.port for proxy in proxies)]

    async def connect(
        self, rng: random.Random, may_be_reset: bool = False
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the server, direct or not, in the clear or by TLS, there by any route."""
        by_tls = rng.random() < 0.5
        direct, proxied, resetting = self.ports[by_tls]
        port = resetting if may_be_reset else rng.choice((direct, direct, proxied))
        self.counts["connections by a proxy"] += port != direct
        if not by_tls:
            return await asyncio.open_connection("127.0.0.1", port)
        os.environ["RASYNCIO_TLS"] = rng.choice(("openssl", "openssl", "memorybio", "python"))
        made = await asyncio.open_connection("127.0.0.1", port, ssl=self.trusting, server_hostname="localhost")
        self.counts[f"connections by TLS: {made[1].get_extra_info('rasyncio_tls')}"] += 1
        return made

    async def echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The server: answers each line with itself, and an empty one with the number of lines."""
        lines = 0
        try:
            while line := await reader.readline():
                if line == b"\n":
                    line = b"%d\n" % lines
                else:
                    lines += 1
                    self.counts["messages echoed"] += 1
                writer.write(line)
                await writer.drain()
        except (ConnectionError, ssl.SSLError):
            pass  # of a client that has aborted
        finally:
            writer.close()

    def handle(self, context: dict[str, Any], problem: Callable[[str], None]) -> None:
        """The loop's exception handler."""
        if isinstance(context.get("exception"), Expected):
            self.counts["failures handled"] += 1
        else:
            problem(f"reported to the loop: {context}")

    def describe(self) -> str:
        """For the progress line."""
        return f"{self.counts['messages received']} messages"

    def check(self, problem: Callable[[str], None]) -> None:
        """At the end: has everything come that was sent?"""
        counts = self.counts
        for sent, come in (
            ("messages sent", "messages received"),
            ("failures caused", "failures handled"),
            ("timers set", "timers done"),
            ("calls from threads", "calls from threads run"),
        ):
            if counts[sent] != counts[come]:
                problem(f"{counts[sent]} {sent}, but {counts[come]} {come}")
        if not counts["messages sent"] <= counts["messages echoed"]:
            problem(f"{counts['messages sent']} messages sent, {counts['messages echoed']} echoed")


def require(condition: bool, *what: object) -> None:
    """An assertion that python -O keeps."""
    if not condition:
        raise AssertionError(*what)


async def echo(world: World, rng: random.Random) -> None:
    """Lines over TCP, or TLS over it, each as it was sent and in order; the server has seen as many."""
    reader, writer = await world.connect(rng)
    count = rng.randrange(1, 20)
    try:
        for _ in range(count):
            line = rng.randbytes(rng.choice((10, 500, 20_000))).hex().encode() + b"\n"
            writer.write(line)
            require(await reader.readline() == line, "another line came back")
        writer.write(b"\n")
        require(await reader.readline() == b"%d\n" % count, "the server counted other lines")
        world.counts["messages sent"] += count
        world.counts["messages received"] += count
    finally:
        writer.close()
        await writer.wait_closed()


async def echo_pipelined(world: World, rng: random.Random) -> None:
    """Lines that are written while answers are read, by a task each."""
    reader, writer = await world.connect(rng)
    lines = [b"%d %d\n" % (n, rng.getrandbits(64)) for n in range(rng.randrange(1, 200))]

    async def send() -> None:
        for line in lines:
            writer.write(line)
            world.counts["messages sent"] += 1
            if rng.random() < 0.1:
                await writer.drain()

    async def receive() -> None:
        for line in lines:
            require(await reader.readline() == line, "lost or out of order")
            world.counts["messages received"] += 1

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(send())
            group.create_task(receive())
    finally:
        writer.close()
        await writer.wait_closed()


async def echo_aborted(world: World, rng: random.Random) -> None:
    """A client that is cancelled in the middle and aborts its connection."""

    async def client() -> None:
        reader, writer = await world.connect(rng)
        try:
            while True:
                writer.write(b"x" * 1000 + b"\n")
                await reader.readline()
        finally:
            writer.transport.abort()

    await cancelled_after(client(), rng.random() * 0.02)


async def echo_reset(world: World, rng: random.Random) -> None:
    """By way of a proxy that resets most connections: what comes back is what was sent, or the beginning of it."""
    sent = b"".join(rng.randbytes(rng.choice((10, 500, 20_000))).hex().encode() + b"\n" for _ in range(6))
    received = bytearray()
    writer = None
    try:
        reader, writer = await world.connect(rng, may_be_reset=True)
        writer.write(sent)
        while len(received) < len(sent) and (piece := await reader.read(100_000)):
            received += piece
    except (ConnectionError, ssl.SSLError):
        world.counts["connections reset"] += 1
    finally:
        require(sent.startswith(received), "another stream came back")
        if writer is not None:
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()
    world.counts["bytes that came by a proxy that resets"] += len(received)


async def cancelled_after(coroutine: Any, delay: float) -> None:
    """Start it, cancel it, and see that it ends cancelled with the message."""
    task = asyncio.create_task(coroutine)
    await asyncio.sleep(delay)
    require(task.cancel("enough"), "done too early")
    try:
        await task
    except asyncio.CancelledError as error:
        require(error.args == ("enough",), error)
    require(task.cancelled() and task.cancelling() == 1, task)


async def subprocess(world: World, rng: random.Random) -> None:
    """A process that gives back what it is sent, one with an exit status, or one that is killed."""
    pipe = asyncio.subprocess.PIPE
    kind = rng.randrange(3)
    if kind == 0:
        process = await asyncio.create_subprocess_exec("cat", stdin=pipe, stdout=pipe)
        data = rng.randbytes(rng.choice((0, 100, 200_000)))
        out, _ = await process.communicate(data)
        require(out == data and process.returncode == 0, "cat lost something")
    elif kind == 1:
        status = rng.randrange(256)
        process = await asyncio.create_subprocess_exec("sh", "-c", f"exit {status}")
        require(await process.wait() == status, "another exit status")
    else:
        process = await asyncio.create_subprocess_exec("sleep", "1000")
        await asyncio.sleep(rng.random() * 0.01)
        process.kill()
        require(await process.wait() == -signal.SIGKILL, "not killed")


async def timers(world: World, rng: random.Random) -> None:
    """Each timer fires once and not too early; one that is cancelled never."""
    world.counts["timers set"] += (count := rng.randrange(1, 300))
    fired: Counter[int] = Counter()
    cancelled = set()
    handles = []

    def fire(number: int, when: float) -> None:
        fired[number] += 1
        require(world.loop.time() >= when - 0.001, "too early")

    for number in range(count):
        delay = rng.random() * 0.03
        handles.append(world.loop.call_later(delay, fire, number, world.loop.time() + delay))
    for number in rng.sample(range(count), count // 3):
        if number not in fired:
            handles[number].cancel()
            cancelled.add(number)
    await asyncio.sleep(0.035)
    while len(fired) + len(cancelled) < count:
        await asyncio.sleep(0.001)
    require(set(fired.values()) <= {1} and not cancelled & fired.keys(), fired, cancelled)
    world.counts["timers done"] += len(fired) + len(cancelled)


async def sleeps(world: World, rng: random.Random) -> None:
    """sleep, wait_for, timeout, shield and gather, of which some come too late."""

    async def late(delay: float) -> float:
        await asyncio.sleep(delay)
        return delay

    delays = [rng.random() * 0.01 for _ in range(rng.randrange(1, 30))]
    require(await asyncio.gather(*map(late, delays)) == delays)
    for guarded in (False, True):
        inner = asyncio.ensure_future(late(0.005))
        try:
            await asyncio.wait_for(asyncio.shield(inner) if guarded else late(10), 0.001)
            raise AssertionError("no timeout")
        except TimeoutError:
            pass
        require(await inner == 0.005)


async def cancellations(world: World, rng: random.Random) -> None:
    """A tree of tasks, cancelled as a whole or by a failing child."""
    begun = ended = 0

    async def node(depth: int) -> None:
        nonlocal begun, ended
        begun += 1
        try:
            if depth == 0:
                await asyncio.sleep(1000)
            async with asyncio.TaskGroup() as group:
                for _ in range(rng.randrange(1, 4)):
                    group.create_task(node(depth - 1))
        finally:
            if rng.random() < 0.2:
                await asyncio.sleep(0)
            ended += 1

    async def failing() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(node(3))
            await asyncio.sleep(0.001)
            raise Expected

    if rng.random() < 0.5:
        await cancelled_after(node(3), rng.random() * 0.002 + 0.001)
    else:
        try:
            await failing()
        except* Expected:
            pass
    require(begun == ended > 0, begun, ended)


async def executor(world: World, rng: random.Random) -> None:
    """Calls in threads: their results and exceptions."""

    def work(number: int) -> int:
        if number % 5 == 0:
            raise Expected(number)
        time.sleep(number * 1e-5)
        return number

    numbers = [rng.randrange(100) for _ in range(rng.randrange(1, 20))]
    calls = [world.loop.run_in_executor(None, work, number) for number in numbers]
    for number, result in zip(numbers, await asyncio.gather(*calls, return_exceptions=True), strict=True):
        require(isinstance(result, Expected) if number % 5 == 0 else result == number, number, result)


async def thread_safe_calls(world: World, rng: random.Random) -> None:
    """Calls from threads, each run once and in order; and a coroutine's result for a thread."""
    count, threads = rng.randrange(1, 300), rng.randrange(1, 4)
    world.counts["calls from threads"] += count * threads
    seen: list[list[int]] = [[] for _ in range(threads)]

    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return 2 * number

    def calls(thread: int) -> int:
        for number in range(count):
            world.loop.call_soon_threadsafe(seen[thread].append, number)
        return asyncio.run_coroutine_threadsafe(double(thread), world.loop).result(30)

    # Not more at a time than the executor has threads: each waits for the loop, not for another one.
    require(await asyncio.gather(*(asyncio.to_thread(calls, n) for n in range(threads))) == [0, 2, 4][:threads])
    require(seen == [list(range(count))] * threads, "lost or out of order")
    world.counts["calls from threads run"] += sum(map(len, seen))


async def queue(world: World, rng: random.Random) -> None:
    """Producers and consumers on a short queue, consumers cancelled and replaced."""
    things: asyncio.Queue[int] = asyncio.Queue(rng.randrange(1, 5))
    total, got = rng.randrange(1, 200), []

    async def produce(start: int) -> None:
        for number in range(start, total, 2):
            await things.put(number)

    async def consume() -> None:
        while True:
            got.append(await things.get())
            things.task_done()

    producers = [asyncio.create_task(produce(start)) for start in (0, 1)]
    consumers = [asyncio.create_task(consume()) for _ in range(3)]
    while not all(producer.done() for producer in producers):
        await asyncio.sleep(0)
        consumers.pop(0).cancel()
        consumers.append(asyncio.create_task(consume()))
    await things.join()
    for consumer in consumers:
        consumer.cancel()
    await asyncio.gather(*consumers, return_exceptions=True)
    require(sorted(got) == list(range(total)), got)


async def watched(world: World, rng: random.Random) -> None:
    """A socket pair by add_reader and add_writer, and by sock_*."""
    left, right = socket.socketpair()
    data = rng.randbytes(rng.choice((10, 500_000)))
    with left, right:
        left.setblocking(False)
        right.setblocking(False)
        come, done = bytearray(), world.loop.create_future()
        position = 0

        def read() -> None:
            come.extend(right.recv(65536))
            if len(come) == len(data):
                done.set_result(None)

        def write() -> None:
            nonlocal position
            position += left.send(data[position : position + 65536])
            if position == len(data):
                world.loop.remove_writer(left)

        world.loop.add_reader(right, read)
        world.loop.add_writer(left, write)
        await done
        world.loop.remove_reader(right)
        require(come == data, "lost on the way")
        _, back = await asyncio.gather(world.loop.sock_sendall(right, b"thanks"), world.loop.sock_recv(left, 100))
        require(back == b"thanks", back)


async def failures(world: World, rng: random.Random) -> None:
    """Callbacks that fail are reported, once each; so is a future whose exception nobody asks for."""

    def fail() -> None:
        raise Expected

    count = rng.randrange(1, 20)
    world.counts["failures caused"] += count + 1
    for _ in range(count):
        world.loop.call_soon(fail)
    world.loop.create_future().set_exception(Expected())
    await asyncio.sleep(0)


JOBS: list[Callable[[World, random.Random], Awaitable[None]]] = [
    echo,
    echo_pipelined,
    echo_aborted,
    echo_reset,
    subprocess,
    timers,
    sleeps,
    cancellations,
    executor,
    thread_safe_calls,
    queue,
    watched,
    failures,
]


async def leak_fd(world: World, rng: random.Random) -> None:
    """A file descriptor that nobody closes."""
    os.open(os.devnull, os.O_RDONLY)


async def leak_task(world: World, rng: random.Random) -> None:
    """A task that waits for ever."""
    KEPT.append(asyncio.create_task(asyncio.sleep(1e6)))


async def leak_message(world: World, rng: random.Random) -> None:
    """A message that does not come."""
    world.counts["messages sent"] += 1


async def leak_memory(world: World, rng: random.Random) -> None:
    """Memory in a list."""
    KEPT.append([bytearray(rng.randrange(1000, 3000)) for _ in range(200)])


KEPT: list[object] = []
LEAKS = {"fd": leak_fd, "task": leak_task, "message": leak_message, "memory": leak_memory}
