"""The poller's doorbell: with it, and without it, an event is seen in the iteration in which `epoll_wait(0)` sees it.

`RASYNCIO_DOORBELL_EVENTS` says how many events the test under load has for each kind of sender: a million in
`make soak-doorbell`, some thousands if it is not set.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from support.loops import run_fresh

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


@pytest.mark.timeout(120 + EVENTS // 500)
@pytest.mark.parametrize("sender", ["loop", "process", "interpreter", "thread", "kernel"])
@pytest.mark.parametrize(
    ("engine_name", "doorbell"), [("stock", None), *(("ours", doorbell) for doorbell in DOORBELLS)]
)
def test_no_event_is_seen_late(
    engine_name: str, doorbell: str | None, sender: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program is in doorbell_stress.py."""
    if sender == "interpreter" and sys.version_info < (3, 14):
        pytest.skip("concurrent.interpreters is new in 3.14")
    set_doorbell(monkeypatch, doorbell)
    # The stock loop, which looks each time, shows that the program is right: a part is enough.
    count = EVENTS if engine_name == "ours" else EVENTS // 10
    body = f"from doorbell_stress import stress; run(stress({sender!r}, {count}))"
    said = run_fresh(engine_name, body, flags=("-Wignore",), path=[Path(__file__).parent], timeout=120 + EVENTS / 500)
    print(f"{engine_name}, bell {doorbell}, {sender}: {said}")
    steps, looks = map(int, re.findall(r"(\d+) (?:steps|looks)", said))
    if engine_name == "ours":
        assert (looks < steps) is (doorbell != "0"), said


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
parent_is_done, tell = os.pipe()
for forked in (lambda: w.loop.run_until_complete(fork()), os.fork):
    w.is_seldom_asked()
    if not (child := forked()):
        try:
            os.read(parent_is_done, 1)  # until then it may take what comes by the common socket
            assert w.is_served()
            own = Watched()
            assert own.is_served() and own.is_served()
            own.close()
            w.loop._close_poller()
            os._exit(5)
        finally:
            os._exit(6)
    os.write(tell, b"x")
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
