"""What memcheck.py makes of valgrind's logs."""

import shutil
import sys

import pytest

import memcheck

LOG = """\
==12== Invalid read of size 8
==12==    at 0x1: f (in /a/_asyncio.so)
==12==  Address 0x2 is 16 bytes inside a block of size 168 free'd
==12==    at 0x3: free
==12==
==12== Process terminating with default action of signal 2 (SIGINT)
==12==    at 0x4: epoll_wait
==12==
==12== Conditional jump or move depends on uninitialised value(s)
==12==    at 0x5: g (in /a/_asyncio.so)
"""


def test_errors_are_told_from_signals() -> None:
    assert [error.splitlines()[0] for error in memcheck.errors(LOG)] == [
        "Invalid read of size 8",
        "Conditional jump or move depends on uninitialised value(s)",
    ]


@pytest.mark.skipif(not shutil.which("valgrind"), reason="there is no valgrind")
@pytest.mark.timeout(200)
def test_an_error_in_a_child_process_is_found() -> None:
    bare = [sys.executable, "-I", "-S", "-c"]
    status, _, found = memcheck.run("valgrind", [*bare, ""])
    if status:
        pytest.skip("valgrind has no symbols of this Python's C library")
    assert found == []
    use = (
        "import ctypes; c = ctypes.CDLL(None); c.malloc.restype = ctypes.c_void_p; p = c.malloc(64);"
        "c.free(ctypes.c_void_p(p)); ctypes.string_at(p, 8)"
    )
    start = f"import os; os.waitpid(os.spawnv(os.P_NOWAIT, {sys.executable!r}, {[*bare, use]!r}), 0)"
    status, processes, found = memcheck.run("valgrind", [*bare, start])
    assert (status, processes) == (0, 2)
    assert "Invalid read of size" in found[0] and "free'd" in found[0]
