"""Soak: everything at random on our event loop, for as long as wanted, and nothing may be lost or pile up.

    python tests/tools/soak.py --minutes 10 [--seed N] [--loop ours|stock]      (or: make soak MINUTES=10)

Workers do one job after the other: echo over TCP and TLS (also by way of a proxy that cuts streams into pieces, holds
them up and resets connections), subprocesses, timers, cancellations, executor calls, thread-safe calls, queues, watched
file descriptors, callbacks that fail. Each job knows what must come of it and checks that. A job that takes longer than
LIMIT seconds hangs.

Time is divided into rounds. At the end of each the workers come to rest, so that what is counted then does not depend
on what they happen to do: file descriptors, tasks and threads must be no more than at the end of any round since the
warm-up (the first third). Memory, objects and blocks may grow by ALLOWED from the first to the last round after the
warm-up, as the line tells that fits best, however long the run: the longer, the smaller is the leak that it finds.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import random
import statistics
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import soak_jobs

WORKERS = 24
LIMIT = 30.0
REST = 5.0
ROUNDS = 12  # at least; none takes longer than ROUND seconds
ROUND = 5.0
SAME = ("fds", "tasks", "threads")
ALLOWED = {"rss_kib": 4096, "objects": 300, "blocks": 1500}


@dataclass
class Sample:
    """What there is of everything, while nothing happens."""

    seconds: float
    rss_kib: int
    fds: int
    tasks: int
    threads: int
    objects: int
    blocks: int


@dataclass
class Soak:
    """A run: what the jobs count, what went wrong, and the samples."""

    seed: int
    started: float = field(default_factory=time.monotonic)
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    def sample(self) -> Sample:
        """Count everything."""
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return Sample(
            round(time.monotonic() - self.started, 1),
            pages * os.sysconf("SC_PAGE_SIZE") // 1024,
            len(os.listdir("/proc/self/fd")),
            len(asyncio.all_tasks()),
            threading.active_count(),
            len(gc.get_objects()),
            sys.getallocatedblocks(),
        )

    def problem(self, text: str) -> None:
        """Note something that went wrong."""
        self.problems.append(text)

    async def do(self, job: Callable[..., Any], world: soak_jobs.World, rng: random.Random) -> None:
        """Do a job once."""
        try:
            async with asyncio.timeout(LIMIT):
                await job(world, rng)
            self.counts[job.__name__] += 1
        except Exception:
            self.problem(f"{job.__name__}: {traceback.format_exc()}")

    async def worker(self, number: int, world: soak_jobs.World, end: float) -> None:
        """Do jobs until the round is over."""
        rng = random.Random(f"{self.seed} {number} {len(self.samples)}")
        while time.monotonic() < end and not self.problems:
            await self.do(rng.choice(soak_jobs.JOBS), world, rng)

    async def rest(self, since: list[Sample]) -> None:
        """Wait until what ends by itself has ended: the server's connections, transports, watchers of processes.

        There must be no more of anything than there was at the end of any round `since` the warm-up. (Less is right:
        what the proxy has not closed can still be there when the warm-up ends.)
        """
        give_up = time.monotonic() + REST
        while True:
            now = self.sample()
            most = {name: min(getattr(sample, name) for sample in since) for name in SAME} if since else {"tasks": 1}
            wrong = [f"{getattr(now, name)} {name}, not {n}" for name, n in most.items() if getattr(now, name) > n]
            if not wrong or self.problems:
                return
            if time.monotonic() > give_up:
                self.problem(f"left after a round: {', '.join(wrong)}")
                return
            await asyncio.sleep(0.02)

    async def main(self, seconds: float) -> None:
        """All rounds."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(4) as executor:
            loop.set_default_executor(executor)
            world = soak_jobs.World(loop, self.counts)
            loop.set_exception_handler(lambda _, context: world.handle(context, self.problem))
            server = await asyncio.start_server(world.echo, "127.0.0.1", 0)
            tls_server = await asyncio.start_server(world.echo, "127.0.0.1", 0, ssl=world.serving)
            for by_tls, each in enumerate((server, tls_server)):
                world.listens(each.sockets[0].getsockname()[1], bool(by_tls), self.seed)
            for _ in range(4):
                executor.submit(time.sleep, 0.05)  # all of its threads now
            for job in soak_jobs.JOBS:
                await self.do(job, world, random.Random(self.seed))
            rounds = max(ROUNDS, round(seconds / ROUND))
            warm_up = rounds // 3
            said = self.started
            for _ in range(rounds):
                end = time.monotonic() + seconds / rounds
                await asyncio.gather(*(self.worker(n, world, end) for n in range(WORKERS)))
                await self.rest(self.samples[warm_up - 1 :])
                self.samples.append(self.sample())
                if time.monotonic() - said > 10 or len(self.samples) == rounds:
                    said = time.monotonic()
                    print(f"{self.describe()}; {world.describe()}", flush=True)
                if self.problems:
                    break
            for proxy in world.proxies:
                proxy.close()
            for each in (server, tls_server):
                each.close()
                await each.wait_closed()
            world.check(self.problem)

    def describe(self) -> str:
        """The progress line."""
        now = self.samples[-1]
        return (
            f"{now.seconds:6.1f} s: {sum(self.counts[job.__name__] for job in soak_jobs.JOBS)} jobs, "
            f"{now.rss_kib / 1024:.1f} MiB, {now.fds} fds, {now.tasks} task(s), {now.threads} threads, "
            f"{now.objects} objects, {now.blocks} blocks"
        )

    def judge(self) -> None:
        """Find what has piled up."""
        flat = self.samples[len(self.samples) // 3 :]
        times = [sample.seconds for sample in flat]
        for name, allowed in ALLOWED.items():
            values = [getattr(sample, name) for sample in flat]
            slope = statistics.linear_regression(times, values).slope
            growth = slope * (times[-1] - times[0])
            print(f"{name}: {min(values)} to {max(values)}, grew by {growth:.0f} ({slope:+.2f} a second)")
            if growth > allowed:
                self.problem(f"{name} grew by {growth:.0f}, more than {allowed}: {values}")


def main() -> int:
    """The command line; the exit status is 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=None, help="of what the workers choose")
    parser.add_argument("--loop", choices=("ours", "stock"), default="ours")
    parser.add_argument("--leak", choices=("fd", "task", "message", "memory"), help="do so, to see that it is found")
    options = parser.parse_args()
    soak = Soak(random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed)
    print(
        f"seed {soak.seed}, {options.minutes} minutes, Python {sys.version.split()[0]}, loop {options.loop}", flush=True
    )
    if options.loop == "ours":
        import rasyncio

        rasyncio.install()
    if options.leak:
        soak_jobs.JOBS.append(soak_jobs.LEAKS[options.leak])
    sys.unraisablehook = lambda raised: soak.problem(f"unraisable: {raised.exc_value!r} in {raised.object!r}")
    with asyncio.Runner() as runner:
        print(f"on {type(runner.get_loop())}")
        runner.run(soak.main(options.minutes * 60))
    if not soak.problems:
        soak.judge()
    for name, count in sorted(soak.counts.items()):
        print(f"{count:>10} {name}")
    for text in soak.problems[:10]:
        print(f"PROBLEM: {text}")
    print("FAILED" if soak.problems else "nothing lost, nothing piled up")
    return 1 if soak.problems else 0


if __name__ == "__main__":
    sys.exit(main())
