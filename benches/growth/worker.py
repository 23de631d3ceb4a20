"""One worker process: what it costs to have so many tasks, timers or connections at once.

python -m benches.growth.worker IMPLEMENTATION FIGURES COUNT SECONDS prints the figures as JSON. A pass is repeated for
so many seconds, at least once, after others that only warm up.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benches import implementations, interpreter
from benches.footprint import probes

if TYPE_CHECKING:  # at run time it must not be imported before the implementation is chosen
    import asyncio

WARM_UP = 0.25  # of the seconds, besides; at least one pass
TIMER_SECONDS = 3e-6  # so long the setting of one timer may take, at first
TIMER_STEP = 1e-9  # seconds between one timer's end and another's
SOME = 1000  # resident memory is counted in pages: below so many things it says nothing about one
MESSAGE = b"x" * 64
EACH = 5  # messages at least of each connection in one pass, when all are used at once
HOST = "127.0.0.1"

Figures = dict[str, float]
Pass = Callable[[], Awaitable[float]]  # gives back the seconds that it took


def status_bytes(field: str, pid: int | str = "self") -> float:
    """A field of /proc/PID/status. (`ru_maxrss` would not do: a new process inherits it from its parent.)"""
    text = Path(f"/proc/{pid}/status").read_text()
    return next(float(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith(f"{field}:"))


async def median_pass(run: Pass, seconds: float) -> float:
    """The median of what repeated passes took."""
    began = time.perf_counter()
    await run()
    while time.perf_counter() - began < WARM_UP * seconds:
        await run()
    began = time.perf_counter()
    took = [await run()]
    while time.perf_counter() - began < seconds:
        took.append(await run())
    return statistics.median(took)


def time_of(
    make: "Callable[[asyncio.AbstractEventLoop, int], Pass]", implementation: str, count: int, seconds: float
) -> Figures:
    """Nanoseconds for each of many, and the process's peak of resident memory."""
    loop_class = implementations.select(implementation)
    import asyncio

    async def measure() -> float:
        return await median_pass(make(asyncio.get_running_loop(), count), seconds)

    with asyncio.Runner(loop_factory=loop_class) as runner:
        took = runner.run(measure())
    return {"ns": took / count * 1e9, "peak": status_bytes("VmHWM")}


def tasks(loop: "asyncio.AbstractEventLoop", count: int) -> Pass:
    """All tasks are created, all start and wait for a future each, all are woken and finish."""
    import asyncio

    async def wait(waiter: "asyncio.Future[None]") -> None:
        await waiter

    async def all_of_them() -> None:
        waiters = [loop.create_future() for _ in range(count)]
        made = [loop.create_task(wait(waiter)) for waiter in waiters]
        await asyncio.sleep(0)
        for waiter in waiters:
            waiter.set_result(None)
        for task in made:
            await task

    async def run() -> float:
        start = time.perf_counter()
        await all_of_them()
        return time.perf_counter() - start

    return run


def timers(loop: "asyncio.AbstractEventLoop", count: int) -> Pass:
    """All timers are set, in no order, and are due at almost the same time, when all of them fire.

    Counted is the time of setting, and of the loop's turns in which timers fire. In between the loop turns for nothing,
    since caches that had a rest would make one timer look ten times as expensive as one of a thousand.
    """
    import asyncio

    set_within = max(0.001, TIMER_SECONDS * count)  # less than 1 ms would be no timer on a loop that counts in those
    step = next(number for number in (7919, 7927) if count % number)
    offsets = [number * step % count * TIMER_STEP for number in range(count)]

    async def run() -> float:
        nonlocal set_within
        left = count

        def fire() -> None:
            nonlocal left
            left -= 1

        start = time.perf_counter()
        first = loop.time() + set_within
        handles = [loop.call_at(first + offset, fire) for offset in offsets]
        setting = time.perf_counter() - start
        firing = 0.0
        while left:
            before, start = left, time.perf_counter()
            await asyncio.sleep(0)
            if left < before:
                firing += time.perf_counter() - start
        start = time.perf_counter()
        del handles
        firing += time.perf_counter() - start
        if setting < set_within:
            return setting + firing
        set_within = 2 * setting  # some were due before all were set
        return await run()

    return run


def echo_server(implementation: str) -> None:
    """Print a port and echo what comes there, until stdin is closed."""
    loop_class = implementations.select(implementation)
    import asyncio

    class Echo(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(data)

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        listening = socket.create_server((HOST, 0))
        port = listening.getsockname()[1]  # asked now, since rloop takes the file away from the socket
        async with await loop.create_server(Echo, sock=listening):
            print(port, flush=True)
            await loop.create_future()  # not serve_forever, after which rloop listens no more

    def watch_stdin() -> None:
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=watch_stdin, daemon=True).start()
    with asyncio.Runner(loop_factory=loop_class) as runner:
        runner.run(serve())


def connections(implementation: str, count: int, seconds: float) -> Figures:
    """Echo small messages over connections to a server in another process, on the same implementation."""
    loop_class = implementations.select(implementation)
    import asyncio

    class Connections(list[Any]):
        """The ring of connections. With a stride of 1 one message goes round; with all of them, each has its own."""

        async def run(self, messages: int, stride: int) -> float:
            self.stride, self.unsent, self.missing = stride, messages - stride, messages
            self.done = asyncio.get_running_loop().create_future()
            start = time.perf_counter()
            for connection in self[:stride]:
                connection.send()
            await self.done
            return (time.perf_counter() - start) / messages

        def echoed(self, number: int) -> None:
            self.missing -= 1
            if self.unsent:
                self.unsent -= 1
                self[(number + self.stride) % len(self)].send()
            elif not self.missing:
                self.done.set_result(None)

    class Connection(asyncio.Protocol):
        def __init__(self) -> None:
            self.number = len(ring)
            ring.append(self)

        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def connection_lost(self, error: Exception | None) -> None:
            if not ring.done.done():
                ring.done.set_exception(error or EOFError("the server closed a connection"))

        def send(self) -> None:
            self.missing = len(MESSAGE)
            self.transport.write(MESSAGE)

        def data_received(self, data: bytes) -> None:
            self.missing -= len(data)
            if not self.missing:
                ring.echoed(self.number)

    ring = Connections()

    async def measure(server: int, port: int) -> Figures:
        async def connect(number: int) -> float:
            """The server's memory with so many more connections, all of which have been used."""
            for _ in range(number):
                await asyncio.get_running_loop().create_connection(Connection, HOST, port)
            await ring.run(len(ring), len(ring))
            return status_bytes("VmRSS", server)

        before = await connect(1)
        after = await connect(count - 1)
        figures = {"bytes": (after - before) / (count - 1)} if count >= SOME else {}
        messages = max(count, SOME)
        figures["turn"] = await median_pass(lambda: ring.run(messages, 1), seconds) * 1e9
        figures["all"] = await median_pass(lambda: ring.run(EACH * messages, count), seconds) * 1e9
        figures["peak"] = status_bytes("VmHWM", server)
        for connection in ring:
            connection.transport.close()
        return figures

    command = interpreter.command(sys.executable, "benches.growth.worker", implementation, "server")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout
        port = int(server.stdout.readline())
        with asyncio.Runner(loop_factory=loop_class) as runner:
            return runner.run(measure(server.pid, port))


def memory_of(kind: str, implementation: str, count: int) -> Figures:
    """Resident memory for each of many that wait."""
    return {"bytes": probes.pending_bytes(implementation, kind, count)} if count >= SOME else {}


def figures_of(implementation: str, wanted: str, count: int, seconds: float) -> Figures:
    """What this process is for."""
    match wanted:
        case "tasks" | "timers":
            return time_of(tasks if wanted == "tasks" else timers, implementation, count, seconds)
        case "memory of tasks" | "memory of timers":
            return memory_of("task" if wanted == "memory of tasks" else "timer", implementation, count)
        case "connections":
            return connections(implementation, count, seconds)
    raise ValueError(f"unknown: {wanted}")


def main() -> None:
    """Measure, or be the other end of the connections."""
    if sys.argv[2] == "server":
        echo_server(sys.argv[1])
    else:
        _, chosen, what, number, duration = sys.argv
        print(json.dumps(figures_of(chosen, what, int(number), float(duration))))


if __name__ == "__main__":
    main()
