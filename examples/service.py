"""A small asyncio service and its clients in one process: what a real program does with asyncio, in miniature.

1. store: a key-value server on TCP, hundreds of concurrent clients, each request with a timeout. Some clients ask for
   something that never comes, give up after their timeout and leave the server a handler to cancel.
2. chat: one room; a speaker and a listener for each member; every message goes to every member's bounded queue, by a
   TaskGroup with one task for each of them.
3. pipeline: a TaskGroup of producers, workers and a collector, with bounded queues between them; the workers hash
   in a thread pool.
4. errands: `gather` of jobs of which some fail and some are cancelled, `wait` for the first, `shield`, a subprocess.

What it computes does not depend on timing, so two runs have the same counts and the same checksum.

    python examples/service.py [--json]
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

CLIENTS = 400
REQUESTS = 30  # of each client
IMPATIENT = 30  # clients that wait for a key that nobody sets
PATIENCE = 0.05  # seconds that these wait
REQUEST_TIMEOUT = 30.0  # far more than any request needs
MEMBERS, MESSAGES = 30, 20
PRODUCERS, WORKERS, BLOCKS = 8, 4, 60
JOBS = 400

Report = dict[str, Any]


class Store:
    """The key-value server: lines in, lines out. `WAIT key` answers when somebody sets the key."""

    def __init__(self) -> None:
        self.values: dict[str, int] = {}
        self.served = 0
        self.waiting = 0
        self.cancelled = 0
        self.changed = asyncio.Condition()
        self.handlers: set[asyncio.Task[None]] = set()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it closes."""
        handler = asyncio.current_task()
        assert handler is not None
        self.handlers.add(handler)
        try:
            while line := await reader.readline():
                command, key, *arguments = line.decode().split()
                answer = await self.execute(command, key, *map(int, arguments))
                self.served += 1
                writer.write(f"{answer}\n".encode())
                await writer.drain()
        except asyncio.CancelledError:
            self.cancelled += 1
        finally:
            self.handlers.discard(handler)
            writer.close()

    async def execute(self, command: str, key: str, value: int = 0) -> int:
        """Carry out one command."""
        if command == "ADD":
            async with self.changed:
                self.values[key] = self.values.get(key, 0) + value
                self.changed.notify_all()
        elif command == "WAIT":
            async with self.changed:
                self.waiting += 1
                self.changed.notify_all()
                await self.changed.wait_for(lambda: key in self.values)
        elif command != "GET":
            raise ValueError(f"unknown command {command!r}")
        return self.values.get(key, 0)

    async def close(self) -> None:
        """Cancel the handlers that still wait, when all that are to come have come."""
        async with self.changed:
            await self.changed.wait_for(lambda: self.waiting == IMPATIENT)
        waiting = list(self.handlers)
        for handler in waiting:
            handler.cancel()
        await asyncio.gather(*waiting)


async def store() -> Report:
    """Run the server and all its clients."""
    shop = Store()
    server = await asyncio.start_server(shop.handle, "127.0.0.1", 0, backlog=CLIENTS)
    port = server.sockets[0].getsockname()[1]
    connections = asyncio.Semaphore(100)

    async def request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: str, patience: float) -> int:
        writer.write(f"{line}\n".encode())
        await writer.drain()
        async with asyncio.timeout(patience):
            return int(await reader.readline())

    async def client(number: int) -> int:
        async with connections:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for step in range(REQUESTS - 1):
                key = f"shared{(number + step) % 50}" if step % 2 else f"own{number}"
                await request(reader, writer, f"ADD {key} {number * step % 7}", REQUEST_TIMEOUT)
            answer = await request(reader, writer, f"GET own{number}", REQUEST_TIMEOUT)
            writer.close()
            await writer.wait_closed()
        return answer

    async def impatient_client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await request(reader, writer, "WAIT godot", PATIENCE)
        finally:
            writer.close()

    async with asyncio.TaskGroup() as group:
        answers = [group.create_task(client(number)) for number in range(CLIENTS)]
    impatient = await asyncio.gather(*[impatient_client() for _ in range(IMPATIENT)], return_exceptions=True)
    await shop.close()
    server.close()
    await server.wait_closed()
    return {
        "requests served": shop.served,
        "client timeouts": sum(isinstance(outcome, TimeoutError) for outcome in impatient),
        "handlers cancelled": shop.cancelled,
        "data": [sorted(shop.values.items()), [answer.result() for answer in answers]],
    }


async def chat() -> Report:
    """Every member of the room says something each turn and hears everybody."""
    inboxes: list[asyncio.Queue[tuple[int, int]]] = [asyncio.Queue(5) for _ in range(MEMBERS)]
    doors_open = asyncio.Event()

    async def speak(member: int) -> None:
        await doors_open.wait()
        for turn in range(MESSAGES):
            async with asyncio.TaskGroup() as group:
                for inbox in inboxes:
                    group.create_task(inbox.put((member, turn)))

    async def listen(member: int) -> list[int]:
        last_turns = [-1] * MEMBERS
        for _ in range(MEMBERS * MESSAGES):
            speaker, turn = await inboxes[member].get()
            if turn != last_turns[speaker] + 1:
                raise AssertionError(f"member {member} heard turn {turn} of {speaker} after {last_turns[speaker]}")
            last_turns[speaker] = turn
        return last_turns

    listeners = [asyncio.create_task(listen(member), name=f"listener {member}") for member in range(MEMBERS)]
    speakers = [asyncio.create_task(speak(member), name=f"speaker {member}") for member in range(MEMBERS)]
    await asyncio.sleep(0)
    doors_open.set()
    heard = await asyncio.gather(*listeners)
    await asyncio.gather(*speakers)
    return {"chat messages heard": sum(turn + 1 for turns in heard for turn in turns), "data": heard}


async def pipeline() -> Report:
    """Producers, a bounded queue, workers that hash in threads, a bounded queue, a collector."""
    blocks: asyncio.Queue[bytes | None] = asyncio.Queue(WORKERS)
    digests: asyncio.Queue[str | None] = asyncio.Queue(WORKERS)
    collected: list[str] = []

    async def produce(number: int) -> None:
        for block in range(BLOCKS):
            await blocks.put(f"{number}:{block}".encode() * 200)

    async def work() -> None:
        while (block := await blocks.get()) is not None:
            digest = await asyncio.to_thread(hashlib.sha256, block)
            await digests.put(digest.hexdigest())

    async def collect() -> None:
        while (digest := await digests.get()) is not None:
            collected.append(digest)

    async with asyncio.TaskGroup() as group:
        group.create_task(collect())
        async with asyncio.TaskGroup() as workers:
            for _ in range(WORKERS):
                workers.create_task(work())
            async with asyncio.TaskGroup() as producers:
                for number in range(PRODUCERS):
                    producers.create_task(produce(number))
            for _ in range(WORKERS):
                await blocks.put(None)
        await digests.put(None)
    return {"blocks hashed": len(collected), "data": sorted(collected)}


async def errands() -> Report:
    """Failures, cancellations, the first of several, a shielded job, a child process."""
    never = asyncio.Event()

    async def job(number: int) -> int:
        await asyncio.sleep(0.001 * (number % 5))
        if number % 10 == 3:
            raise ValueError(number)
        if number % 10 == 7:
            await never.wait()
        return number * number

    jobs = [asyncio.create_task(job(number)) for number in range(JOBS)]
    everything = asyncio.gather(*jobs, return_exceptions=True)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(everything), 0.02)
    hopeless = [task for number, task in enumerate(jobs) if number % 10 == 7]
    await asyncio.wait(set(jobs) - set(hopeless))
    for task in hopeless:
        task.cancel("no longer wanted")
    outcomes = await everything

    hare = asyncio.create_task(asyncio.sleep(0.001, "hare"))
    tortoise = asyncio.create_task(never.wait())
    done, pending = await asyncio.wait({hare, tortoise}, return_when=asyncio.FIRST_COMPLETED)
    tortoise.cancel()
    await asyncio.wait(pending)

    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import sys; print(sum(map(int, sys.stdin)))",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    total, _ = await child.communicate("\n".join(map(str, range(1000))).encode())
    return {
        "jobs failed": sum(isinstance(outcome, ValueError) for outcome in outcomes),
        "jobs cancelled": sum(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
        + tortoise.cancelled(),
        "data": [[repr(outcome) for outcome in outcomes], [task.result() for task in done], int(total)],
    }


async def main() -> Report:
    """Run all parts, one after the other, and put their reports together."""
    counts: Counter[str] = Counter()

    def counting_task_factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        counts["tasks created"] += 1
        return asyncio.Task(coroutine, loop=loop, **options)

    loop = asyncio.get_running_loop()
    loop.set_task_factory(counting_task_factory)
    seconds: dict[str, float] = {}
    data = []
    parts: list[Callable[[], Awaitable[Report]]] = [store, chat, pipeline, errands]
    for part in parts:
        start = time.perf_counter()
        report = await part()
        seconds[part.__name__] = time.perf_counter() - start
        data.append(report.pop("data", None))
        counts.update(report)
    return {
        "counts": dict(counts),
        "checksum": hashlib.sha256(json.dumps(data).encode()).hexdigest()[:16],
        "seconds": seconds,
        "event loop": f"{type(loop).__module__}.{type(loop).__qualname__}",
    }


def print_report(report: Report) -> None:
    """For a person to read."""
    for name, number in report["counts"].items():
        print(f"{name:20} {number:>10,}")
    print(f"{'checksum':20} {report['checksum']}")
    for name, seconds in report["seconds"].items():
        print(f"{name + ', seconds':20} {seconds:>10.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="for a program to read")
    arguments = parser.parse_args()
    result = asyncio.run(main())
    # asyncio.Task comes from CPython's `_asyncio` unless something has taken its place: say from where.
    task_module = sys.modules[asyncio.Task.__module__].__spec__
    result["asyncio.Task comes from"] = task_module.origin if task_module else asyncio.Task.__module__
    if arguments.json:
        print(json.dumps(result))
    else:
        print_report(result)
        print(f"event loop: {result['event loop']}")
        print(f"asyncio.Task comes from {result['asyncio.Task comes from']}")
