"""Events of all kinds for a busy loop, which must see each of them as soon as `epoll_wait(0)` would.

A sender first makes a file ready and then says so in memory. The loop is kept busy by a task that looks at that memory
in each step, without a system call. What was sent by then is read after the next step, since on the way there the loop
looks at its files; so it must have been read in the step after that.

Loop and sender wait for each other as little as can be, for where processors are few each time costs a time slice: a
sender may be some events ahead, and pauses by itself. The one with an interpreter of its own, like the one in another
process, runs while the loop does; the one that shares the loop's GIL runs between any two steps of the task.
"""

from __future__ import annotations

import asyncio
import ctypes
import functools
import mmap
import os
import random
import select
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable

PR_SET_PDEATHSIG = 1
EVENT = struct.pack("q", 1)
MOST_AHEAD = 10
#: Where the memory has how many events were sent, and how many were read.
SENT, READ = 0, 1
#: Pauses between two events: turns of an empty loop; steps of the task; a timer's nanoseconds.
TURNS = (0, 0, 10, 50, 300)
STEPS = (0, 1, 2, 5, 20, 60)
TIMES = (1, 2000, 50_000, 200_000)
TIMERS = 2

libc = ctypes.CDLL(None, use_errno=True)
chance = random.Random(1)


def open_memory(fd: int) -> memoryview:
    return memoryview(mmap.mmap(fd, mmap.PAGESIZE)).cast("q")


def write_with_gil(fd: int, data: bytes) -> None:
    ctypes.PyDLL(None).write(fd, data, len(data))


def send(fd: int, memory_fd: int, total: int, shares_gil: bool) -> None:
    """What a sender outside of the loop's thread does."""
    memory = open_memory(memory_fd)
    # Whoever shares the GIL has to wait for it whenever he has given it up: so that is not at each event.
    ways = (write_with_gil, write_with_gil, write_with_gil, os.write) if shares_gil else (os.write,)
    for number in range(1, total + 1):
        while memory[READ] < number - MOST_AHEAD:
            time.sleep(1e-5)
        turns = chance.choice(TURNS)
        for _ in range(turns):
            pass
        if shares_gil and turns == max(TURNS):
            time.sleep(0)
        chance.choice(ways)(fd, EVENT)
        memory[SENT] = number


def start(sender: str, fd: int, memory_fd: int, total: int) -> Callable[[], object]:
    """Have it all sent; what is returned waits for the end of that."""
    if sender == "process":
        if child := os.fork():
            return functools.partial(os.waitpid, child, 0)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        try:
            send(fd, memory_fd, total, False)
        finally:
            os._exit(0)
    if sender == "interpreter":
        from concurrent import interpreters

        code = f"from doorbell_stress import send; send({fd}, {memory_fd}, {total}, False)"
        thread = threading.Thread(target=interpreters.create().exec, args=(code,))
    else:
        thread = threading.Thread(target=send, args=(fd, memory_fd, total, True))
    thread.start()
    return thread.join


def make(kind: str) -> tuple[int, int]:
    """The ends of a channel: to read from, to write an event to. A timer has but the first."""
    if kind == "pipe":
        return os.pipe()
    if kind == "eventfd":
        fd = libc.eventfd(0, os.O_NONBLOCK)
        return fd, fd
    if kind == "timer":
        return libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK), -1
    if kind == "unix":
        ends = socket.socketpair()
    elif kind == "datagram":
        ends = socket.socket(type=socket.SOCK_DGRAM), socket.socket(type=socket.SOCK_DGRAM)
        ends[0].bind(("127.0.0.1", 0))
        ends[1].connect(ends[0].getsockname())
    else:
        with socket.create_server(("127.0.0.1", 0)) as server:
            other = socket.create_connection(server.getsockname())
            other.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ends = server.accept()[0], other
    return ends[0].detach(), ends[1].detach()


def set_timer(fd: int) -> None:
    libc.timerfd_settime(fd, 0, struct.pack("4q", 0, 0, 0, chance.choice(TIMES)), None)


class Stress:
    """The events of one kind of sender to one kind of file."""

    def __init__(self, sender: str, kind: str, total: int) -> None:
        self.sender, self.kind, self.total = sender, kind, total
        self.memory_fd = os.memfd_create("memory")
        os.truncate(self.memory_fd, mmap.PAGESIZE)
        self.memory = open_memory(self.memory_fd)
        self.ends = [make(kind) for _ in range(TIMERS if kind == "timer" else 1)]
        self.probe = select.poll()
        self.read = self.reads = self.steps = 0

    def on_readable(self, fd: int) -> None:
        self.reads += 1
        self.read += sum(memoryview(os.read(fd, 4096)).cast("q"))
        self.memory[READ] = self.read
        if self.kind == "timer" and self.read + TIMERS <= self.total:
            set_timer(fd)

    def count_visible(self) -> int:
        """How many events the loop can have seen."""
        if self.kind == "timer":
            return self.read + len(self.probe.poll(0))
        sent = self.memory[SENT]
        if self.kind in ("tcp", "datagram"):  # what the network brings may take its time
            return self.read + (sent > self.read and len(self.probe.poll(0)))
        return sent

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for end, _ in self.ends:
            self.probe.register(end, select.POLLIN)
            loop.add_reader(end, self.on_readable, end)
            if self.kind == "timer":
                set_timer(end)
        fd = self.ends[0][1]
        wait: Callable[[], object] | None = None
        if self.sender not in ("loop", "kernel"):
            wait = start(self.sender, fd, self.memory_fd, self.total)
        due = visible_before = visible = 0
        while self.read < self.total:
            await asyncio.sleep(0)
            self.steps += 1
            if self.read < visible_before:
                self.memory[READ] = self.total + 1
                raise AssertionError(
                    f"{self.kind}: {self.read} of {visible_before} events from {self.sender} were seen"
                )
            if self.sender == "loop" and self.steps >= due and self.memory[SENT] < self.total:
                os.write(fd, EVENT)
                self.memory[SENT] += 1
                due = self.steps + chance.choice(STEPS)
            visible_before, visible = visible, self.count_visible()
        assert self.read == self.total
        if wait:
            wait()
        for end in {*sum(self.ends, ()), self.memory_fd} - {-1}:
            loop.remove_reader(end)
            os.close(end)


async def stress(sender: str, count: int) -> None:
    """Say what it took to see them all in time."""
    sys.setswitchinterval(1e-5)
    began = time.monotonic()
    kinds = ("timer",) if sender == "kernel" else ("unix", "tcp", "datagram", "pipe", "eventfd")
    events = reads = steps = 0
    for kind in kinds:
        one = Stress(sender, kind, count // len(kinds))
        await one.run()
        events, reads, steps = events + one.read, reads + one.reads, steps + one.steps
    count_looks = getattr(asyncio.get_running_loop(), "_count_looks", int)
    took = time.monotonic() - began
    print(f"{events} events, {reads} reads, {steps} steps, {count_looks()} looks, {took:.0f} s, none was seen late")
