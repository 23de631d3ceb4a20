"""The poller's doorbell: with it, and without it, an event is seen in the iteration in which `epoll_wait(0)` sees it.

`RASYNCIO_DOORBELL_EVENTS` says how many events the test under load has for each kind of sender (`make soak` has a
million); some thousands if it is not set.
"""

from __future__ import annotations

import os
import sys

import pytest

from support.loops import engine_for, run_fresh

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have no doorbell")

EVENTS = int(os.environ.get("RASYNCIO_DOORBELL_EVENTS", "2000"))
#: Forced, never, and as the loop decides.
DOORBELLS = ("1", "0", None)


def set_doorbell(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    if value is None:
        monkeypatch.delenv("RASYNCIO_DOORBELL", raising=False)
    else:
        monkeypatch.setenv("RASYNCIO_DOORBELL", value)


# --- under load


def stress(sender: str, count: int) -> None:
    """Run in a fresh interpreter: say how many events came, and by how many looks at the poller.

    A sender first makes a file ready and then says so in memory. The loop is kept busy by a task that looks at that
    memory, without a system call. When it finds an event there in a step, the reader runs after its next step, for on
    the way to that step the loop looks at the files. So one step more and the reader must have run.
    """
    import asyncio
    import ctypes
    import mmap
    import os
    import random
    import select
    import socket
    import struct
    import sys
    import threading
    import time

    KINDS = ("timerfd",) if sender == "kernel" else ("unix", "tcp", "datagram", "pipe", "eventfd")
    # How many events were sent, served, and how many steps there were.
    memory = memoryview(mmap.mmap(-1, 4096)).cast("q")
    libc = ctypes.CDLL(None, use_errno=True)
    chance = random.Random(1)

    def make(kind: str) -> tuple[int, int]:
        """The ends of a channel: to read from, to write eight bytes to."""
        if kind == "pipe":
            return os.pipe()
        if kind == "eventfd":
            fd = libc.eventfd(0, os.O_NONBLOCK)
            return fd, fd
        if kind == "timerfd":
            fd = libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK)
            return fd, fd
        if kind == "unix":
            ends = socket.socketpair()
        elif kind == "datagram":
            ends = tuple(socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
            ends[0].bind(("127.0.0.1", 0))
            ends[1].connect(ends[0].getsockname())
        else:
            with socket.create_server(("127.0.0.1", 0)) as server:
                other = socket.create_connection(server.getsockname())
                other.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                ends = server.accept()[0], other
        return ends[0].detach(), ends[1].detach()

    def send(write: int, total: int) -> None:
        for number in range(1, total + 1):
            pause = memory[2] + chance.choice((0, 1, 2, 5, 20, 60))
            while memory[1] < number - 1 or memory[2] < pause:
                if sender == "thread":
                    time.sleep(0)
            os.write(write, struct.pack("q", 1))
            memory[0] = number

    def set_timer(fd: int) -> None:
        libc.timerfd_settime(fd, 0, struct.pack("4q", 0, 0, 0, chance.choice((1, 2000, 20_000, 100_000))), None)

    async def serve(kind: str, total: int) -> None:
        read, write = make(kind)
        memory[0] = memory[1] = memory[2] = 0
        served = 0

        def reader() -> None:
            nonlocal served
            os.read(read, 8)
            served += 1

        loop = asyncio.get_running_loop()
        loop.add_reader(read, reader)
        thread = threading.Thread(target=send, args=(write, total))
        child = 0
        if sender == "thread":
            thread.start()
        elif sender == "process":
            child = os.fork()
            if not child:
                try:
                    send(write, total)
                finally:
                    os._exit(0)
        elif sender == "kernel":
            set_timer(read)
        probe = select.poll()
        probe.register(read, select.POLLIN)
        # What the network brings may take its time.
        asks = sender == "kernel" or kind in ("tcp", "datagram")
        step = 0
        pause = 0
        due: int | None = None
        while memory[1] < total:
            await asyncio.sleep(0)
            step += 1
            memory[2] = step
            if due is not None:
                if step < due:
                    continue
                assert served > memory[1], f"{kind}: event {served} from {sender} was not seen"
                due = None
                memory[1] = served
                pause = step + chance.choice((1, 2, 5, 20, 60))
                if sender == "kernel":
                    set_timer(read)
            elif sender == "loop" and step >= pause:
                os.write(write, struct.pack("q", 1))
                due = step + 2
            elif served > memory[1]:  # sent between two steps, and seen at once
                due = step
                continue
            elif (sender == "kernel" or memory[0] > memory[1]) and (not asks or probe.poll(0)):
                due = step + 2
        assert served == total
        loop.remove_reader(read)
        if sender == "thread":
            thread.join()
        elif child:
            os.waitpid(child, 0)
        for end in {read, write}:
            os.close(end)
        nonlocal steps
        steps += step

    async def main() -> None:
        for kind in KINDS:
            await serve(kind, count // len(KINDS))
        count_looks = getattr(asyncio.get_running_loop(), "_count_looks", int)
        print(steps, count_looks())

    steps = 0
    sys.setswitchinterval(1e-5)
    run(main())  # noqa: F821


@pytest.mark.timeout(60 + EVENTS // 500)
@pytest.mark.parametrize("sender", ["loop", "process", "thread", "kernel"])
@pytest.mark.parametrize(
    ("engine_name", "doorbell"), [("stock", None), *(("ours", doorbell) for doorbell in DOORBELLS)]
)
def test_no_event_is_seen_late(
    engine_name: str, doorbell: str | None, sender: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_doorbell(monkeypatch, doorbell)
    count = EVENTS // 4 if sender == "thread" else EVENTS  # a thread waits for the GIL each time
    said = run_fresh(engine_name, stress, sender, count, flags=("-Wignore",), timeout=60 + EVENTS / 500)
    steps, looks = map(int, said.split())
    if engine_name == "ours":
        assert (looks < steps) is (doorbell != "0"), (steps, looks)


# --- the life of a bell


#: For programs in fresh interpreters: a loop with a file, and a look whether what is sent is seen in time.
WATCHED = """
import asyncio, os, socket, sys
class Watched:
    def __init__(self):
        self.loop = new_loop()
        self.left, self.right = socket.socketpair()
        self.got = 0
        self.loop.add_reader(self.left, self.read)
    def read(self):
        self.left.recv(10)
        self.got += 1
    async def spin(self, steps):
        for _ in range(steps):
            await asyncio.sleep(0)
    def is_served(self):
        "Events after pauses of any length are seen by the second step, and with a bell few looks are needed."
        async def main():
            for pause in (0, 1, 2, 3, 8, 20, 50, 100):
                await self.spin(pause)
                before = self.got
                self.right.send(b"x")
                await self.spin(2)
                if self.got != before + 1:
                    return False
            return True
        return self.loop.run_until_complete(main())
    def is_seldom_asked(self):
        looks = self.loop._count_looks()
        self.loop.run_until_complete(self.spin(2000))
        return self.loop._count_looks() - looks < 1000
    def close(self):
        self.loop.close()
        self.left.close()
        self.right.close()
def count_rings():
    with open("/proc/self/maps") as maps:
        return sum("[aio]" in line for line in maps)
"""


def in_fresh(monkeypatch: pytest.MonkeyPatch, doorbell: str | None, body: str) -> str:
    set_doorbell(monkeypatch, doorbell)
    return run_fresh("ours", WATCHED + body, flags=("-Werror", "-Wignore::DeprecationWarning"))


def test_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    body = "w = Watched(); print(w.is_seldom_asked(), w.is_served(), count_rings()); w.close()"
    assert in_fresh(monkeypatch, "1", body) == "True True 1\n"
    assert in_fresh(monkeypatch, None, body) == "True True 1\n"
    assert in_fresh(monkeypatch, "0", body) == "False True 0\n"


def test_it_is_for_loops_with_files_only(monkeypatch: pytest.MonkeyPatch) -> None:
    body = """
w = Watched()
w.loop.remove_reader(w.left)
print(w.is_seldom_asked(), count_rings())
w.close()
"""
    assert in_fresh(monkeypatch, None, body) == "True 0\n"


def test_a_file_that_is_always_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to hang up a bell for, and it is seen in each iteration."""
    body = """
w = Watched()
w.is_seldom_asked()
calls = 0
def count():
    global calls
    calls += 1
w.loop.add_writer(w.left, count)
w.loop.run_until_complete(w.spin(500))
print(abs(calls - 500) < 3)
w.loop.remove_writer(w.left)
print(w.is_served())
w.close()
"""
    for doorbell in DOORBELLS:
        assert in_fresh(monkeypatch, doorbell, body) == "True\nTrue\n"


def test_data_that_is_left_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bell does not ring again for it."""
    body = """
w = Watched()
w.is_seldom_asked()
w.right.send(b"x" * 1000)
w.loop.run_until_complete(w.spin(300))
print(w.got)
print(w.is_served())
w.close()
"""
    for doorbell in DOORBELLS:
        assert in_fresh(monkeypatch, doorbell, body) == "100\nTrue\n"


def test_bells_are_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    body = """
for _ in range(50):
    w = Watched()
    print(w.is_seldom_asked(), w.is_served(), w.is_seldom_asked(), end=" ")
    w.close()
print(count_rings(), len(os.listdir("/proc/self/fd")))
all = [Watched() for _ in range(5)]
print([w.is_seldom_asked() and w.is_served() for w in all], count_rings())
for w in all:
    w.close()
"""
    first, second, _ = in_fresh(monkeypatch, "1", body).split("\n")
    *flags, rings, descriptors = first.split()
    assert flags == ["True"] * 150
    assert (rings, second) == ("1", "[True, True, True, True, True] 5")
    assert int(descriptors) < 10


def test_another_thread_runs_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    body = """
import threading
w = Watched()
def run():
    print(w.is_seldom_asked(), w.is_served(), w.is_seldom_asked())
for _ in range(3):
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    run()
w.close()
"""
    assert in_fresh(monkeypatch, "1", body) == "True True True\n" * 6


@pytest.mark.parametrize("doorbell", DOORBELLS)
def test_a_forked_child_leaves_it_alone(monkeypatch: pytest.MonkeyPatch, doorbell: str | None) -> None:
    """It runs its parent's loop, by the same epoll, and one of its own; the parent's goes on as before."""
    body = """
w = Watched()
w.is_seldom_asked()
async def fork():
    # in a running loop, which the child goes on with
    await w.spin(20)
    return os.fork()
for forked in (lambda: w.loop.run_until_complete(fork()), os.fork):
    w.is_seldom_asked()
    if not (child := forked()):
        try:
            assert w.is_served()
            own = Watched()
            assert own.is_served() and own.is_served()
            own.close()
            w.loop._close_poller()
            os._exit(5)
        finally:
            os._exit(6)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    w.loop.remove_reader(w.left)  # the child has changed the common epoll
    w.loop.add_reader(w.left, w.read)
    print(w.is_served(), w.is_seldom_asked())
w.close()
"""
    seldom = doorbell != "0"
    assert in_fresh(monkeypatch, doorbell, body) == f"5\nTrue {seldom}\n" * 2


def test_no_descriptor_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """It needs none."""
    body = """
import resource
w = Watched()
resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) - 1, 4096))
try:
    os.dup(1)
except OSError as error:
    print(error)
print(w.is_seldom_asked(), w.is_served())
w.close()
"""
    assert in_fresh(monkeypatch, None, body) == "[Errno 24] Too many open files\nTrue True\n"


#: What a container may do: the system call with this number fails.
REFUSE = """
import ctypes, struct
def refuse(call, errno):
    program = b"".join(struct.pack("HBBI", *each) for each in (
        (0x20, 0, 0, 0),                  # the call's number
        (0x15, 0, 1, call),               # is it that one?
        (0x06, 0, 0, 0x00050000 | errno), # fail
        (0x06, 0, 0, 0x7FFF0000),         # go on
    ))
    code = ctypes.create_string_buffer(program)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.prctl(22, 2, struct.pack("HxxxxxxP", 4, ctypes.addressof(code)), 0, 0) == 0
"""
IO_SETUP, IO_SUBMIT = {"x86_64": (206, 209), "aarch64": (0, 2)}.get(os.uname().machine, (0, 2))


@pytest.mark.parametrize("errno", [1, 11, 38])
@pytest.mark.parametrize("call", [IO_SETUP, IO_SUBMIT])
def test_the_system_refuses(monkeypatch: pytest.MonkeyPatch, call: int, errno: int) -> None:
    body = f"""
refuse({call}, {errno})
w = Watched()
print(w.is_served(), w.is_seldom_asked(), w.is_served())
w.close()
"""
    assert in_fresh(monkeypatch, None, REFUSE + body) == "True False True\n"


def test_the_system_refuses_what_is_demanded(monkeypatch: pytest.MonkeyPatch) -> None:
    body = f"""
refuse({IO_SETUP}, 1)
try:
    new_loop()
except RuntimeError as error:
    print(error)
"""
    said = "RASYNCIO_DOORBELL is 1, but the system has no doorbell: Operation not permitted (os error 1)\n"
    assert in_fresh(monkeypatch, "1", REFUSE + body) == said


@pytest.mark.parametrize("value", ["", "2", "yes"])
def test_bad_value(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    set_doorbell(monkeypatch, value)
    with (
        engine_for("ours") as engine,
        pytest.raises(ValueError, match=f'RASYNCIO_DOORBELL must be 0 or 1, not "{value}"'),
    ):
        engine.new()
