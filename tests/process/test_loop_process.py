"""Signals, Ctrl-C, fork, multiprocessing and the end of the interpreter, each in a process of its own."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import textwrap
import time
from typing import Any

import pytest

from support.impls import MINOR, SELECTORS
from support.loops import Engine, Say, run_fresh, same_as_stock, tried

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals as Unix has them")


#: What the programs below use.
HELPERS = """
import asyncio, functools, os, signal, sys, time

def spin():
    asyncio.get_running_loop().call_soon(spin)

def native():
    loop = asyncio.get_running_loop()
    partial = functools.partial(loop.call_soon)
    partial.__setstate__((loop.call_soon, (partial,), {}, {}))
    loop.call_soon(partial)
"""


def interrupted(engine_name: str, code: str, *signals: int, pause: float = 0.1, count: int = 1) -> tuple[int, str, str]:
    """Run code; when it has printed a line, send it signals; give its exit status and what it said."""
    program = f"{SELECTORS[f'loop {engine_name}']}\n{HELPERS}\n{textwrap.dedent(code)}"
    child = subprocess.Popen(
        [sys.executable, "-Xfaulthandler", "-Werror", "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    try:
        first = child.stdout.readline()
        for number in signals:
            time.sleep(pause)
            child.send_signal(number)
        out, err = child.communicate(timeout=30)
    except BaseException:
        child.kill()
        child.communicate()
        raise
    return child.returncode, first + out, err


# --- Ctrl-C

#: What the loop is doing when Ctrl-C is pressed.
DOING = {
    "idle": "await asyncio.sleep(1000)",
    "forever": "await asyncio.get_running_loop().create_future()",
    "sleep(0)": "while True: await asyncio.sleep(0)",
    "callbacks": "spin(); await asyncio.sleep(1000)",
    "native": "native(); await asyncio.sleep(1000)",
    "python": "while True: pass",
    "short timers": "while True: await asyncio.sleep(0.001)",
    "executor": "await asyncio.to_thread(time.sleep, 0.5); await asyncio.sleep(1000)",
}


@posix
@pytest.mark.parametrize("doing", [name for name in DOING if name != "python"])
def test_ctrl_c_under_a_runner(engine_name: str, doing: str) -> None:
    """The main task is cancelled."""
    code = f"""
    async def main():
        print("ready", flush=True)
        try:
            {DOING[doing]}
        finally:
            print("cleaned up", asyncio.current_task().cancelling())
    try:
        run(main())
    except KeyboardInterrupt:
        print("interrupted")
    """
    assert interrupted(engine_name, code, signal.SIGINT) == (0, "ready\ncleaned up 1\ninterrupted\n", "")


@posix
def test_second_ctrl_c_under_a_runner(engine_name: str) -> None:
    """The first one cancels a task that does not look; the second one is raised where the code is."""
    code = """
    async def main():
        print("ready", flush=True)
        while True:
            pass
    try:
        run(main())
    except KeyboardInterrupt:
        print("interrupted")
    """
    assert interrupted(engine_name, code, signal.SIGINT, signal.SIGINT) == (0, "ready\ninterrupted\n", "")


@posix
@pytest.mark.parametrize("doing", [name for name in DOING if name != "executor"])
def test_ctrl_c_under_run_forever(engine_name: str, doing: str) -> None:
    """Raised out of run_forever; the loop can be used afterwards."""
    if engine_name == "stock" and doing not in ("idle", "forever", "python"):
        pytest.skip("raised in the stock loop's own Python code, it may lose the callback that was to run")
    code = f"""
    async def main():
        print("ready", flush=True)
        {DOING[doing]}
    loop = new_loop()
    task = loop.create_task(main())
    try:
        loop.run_forever()
    except KeyboardInterrupt:
        print("interrupted", loop.is_running())
    task.cancel()
    loop.run_until_complete(asyncio.wait([task]))
    print(task.cancelled() or type(task.exception()) is KeyboardInterrupt)
    print(loop.run_until_complete(asyncio.sleep(0.001, "usable")))
    loop.close()
    """
    assert interrupted(engine_name, code, signal.SIGINT) == (0, "ready\ninterrupted False\nTrue\nusable\n", "")


@posix
def test_ctrl_c_that_nobody_catches(engine_name: str) -> None:
    code = """
    async def main():
        print("ready", flush=True)
        await asyncio.sleep(1000)
    run(main())
    """
    status, out, err = interrupted(engine_name, code, signal.SIGINT)
    assert status in (130, -signal.SIGINT) and out == "ready\n"
    assert err.strip().endswith("KeyboardInterrupt")


@posix
def test_exit_out_of_a_signal_handler(engine_name: str) -> None:
    code = """
    import signal, sys
    signal.signal(signal.SIGTERM, lambda *args: sys.exit(7))
    async def main():
        print("ready", flush=True)
        try:
            await asyncio.sleep(1000)
        finally:
            print("cleaned up")
    run(main())
    """
    assert interrupted(engine_name, code, signal.SIGTERM) == (7, "ready\ncleaned up\n", "")


# --- signal handlers


@posix
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_sigterm_with_add_signal_handler(engine_name: str, busy: bool) -> None:
    code = f"""
    async def main():
        loop = asyncio.get_running_loop()
        done = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, done.set)
        if {busy}:
            native()
        print("ready", flush=True)
        await done.wait()
        print("terminated", loop.remove_signal_handler(signal.SIGTERM), loop.remove_signal_handler(signal.SIGTERM))
    run(main())
    """
    assert interrupted(engine_name, code, signal.SIGTERM) == (0, "ready\nterminated True False\n", "")


@posix
def test_plain_handler_while_idle(engine_name: str) -> None:
    """It runs while the loop waits, and what it schedules is not forgotten when it wakes the loop as it must."""
    code = """
    import signal, time
    loop = new_loop()
    def handler(number, frame):
        print("handler", number == signal.SIGUSR1, flush=True)
        loop.call_soon_threadsafe(loop.stop)
    signal.signal(signal.SIGUSR1, handler)
    print("ready", flush=True)
    loop.run_forever()
    loop.close()
    """
    assert interrupted(engine_name, code, signal.SIGUSR1) == (0, "ready\nhandler True\n", "")


@posix
def test_handler_that_does_nothing_does_not_end_the_wait(engine_name: str) -> None:
    code = """
    import signal, time
    loop = new_loop()
    calls = []
    signal.signal(signal.SIGUSR1, lambda *args: calls.append(args))
    loop.call_later(1, loop.stop)
    started = time.monotonic()
    print("ready", flush=True)
    loop.run_forever()
    print(len(calls), time.monotonic() - started >= 0.999)
    loop.close()
    """
    assert interrupted(engine_name, code, *[signal.SIGUSR1] * 3) == (0, "ready\n3 True\n", "")


@posix
def test_handler_that_fails_while_idle(engine_name: str) -> None:
    """The error comes out of run_forever; the loop can be used afterwards."""
    code = """
    import signal
    loop = new_loop()
    def handler(number, frame):
        raise LookupError("out of a signal handler")
    signal.signal(signal.SIGUSR1, handler)
    loop.call_later(1000, print)
    print("ready", flush=True)
    try:
        loop.run_forever()
    except LookupError as error:
        print(error)
    print(loop.run_until_complete(asyncio.sleep(0.001, "usable")))
    loop.close()
    """
    assert interrupted(engine_name, code, signal.SIGUSR1) == (0, "ready\nout of a signal handler\nusable\n", "")


@posix
def test_many_signals(engine: Engine) -> None:
    """Each kind once at least, in one run, with handlers set and removed while it runs."""

    def body() -> None:
        import asyncio
        import os
        import signal

        async def main() -> None:
            loop = asyncio.get_running_loop()
            numbers = [signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGHUP, signal.SIGWINCH]
            seen: list[int] = []
            for number in numbers:
                loop.add_signal_handler(number, seen.append, number)
            for number in numbers:
                os.kill(os.getpid(), number)
            while set(seen) != set(numbers):
                await asyncio.sleep(0.001)
            for number in numbers:
                assert loop.remove_signal_handler(number)
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
            for number in numbers[:1] * 200:
                loop.add_signal_handler(number, seen.append, "again")
                os.kill(os.getpid(), number)
            while "again" not in seen:
                await asyncio.sleep(0.001)
            print("all seen")

        run(main())  # noqa: F821

    assert engine.fresh(body) == "all seen\n"


@posix
def test_bad_signals(engine_name: str) -> None:
    async def coroutine_function() -> None:
        """Do nothing."""

    def scenario(engine: Engine, say: Say) -> None:
        loop = engine.new()
        for number in (signal.SIGKILL, 0, 1000, "SIGTERM", 1.5, None):
            tried(say, lambda number=number: loop.add_signal_handler(number, print))
            tried(say, lambda number=number: loop.remove_signal_handler(number))
        tried(say, lambda: loop.add_signal_handler(signal.SIGUSR1, coroutine_function))
        loop.close()
        tried(say, lambda: loop.add_signal_handler(signal.SIGUSR1, print))

    same_as_stock(engine_name, scenario)


@posix
def test_wakeup_fd_is_put_back(engine: Engine) -> None:
    def body() -> None:
        import signal

        loop = new_loop()  # noqa: F821
        loop.add_signal_handler(signal.SIGUSR1, print)
        assert signal.set_wakeup_fd(-1) == loop._csock.fileno()
        signal.set_wakeup_fd(loop._csock.fileno())
        loop.close()
        print(signal.set_wakeup_fd(-1), signal.getsignal(signal.SIGUSR1))

    assert re.fullmatch(r"-1 (Handlers\.SIG_DFL|0)\n", engine.fresh(body))


# --- fork and multiprocessing


@posix
def test_fork_in_a_running_program(engine_name: str) -> None:
    """The child runs a loop of its own; the parent's goes on, its descriptors and timers untouched."""

    def body() -> None:
        import asyncio
        import os
        import socket
        import warnings

        warnings.simplefilter("ignore", DeprecationWarning)

        async def child_main() -> str:
            left, right = socket.socketpair()
            reader, writer = await asyncio.open_connection(sock=left)
            right.send(b"child")
            data = await reader.read(5)
            await asyncio.gather(*(asyncio.sleep(0.001) for _ in range(10)))
            assert await asyncio.to_thread(pow, 2, 10) == 1024
            writer.close()
            await writer.wait_closed()
            right.close()
            return data.decode()

        async def main() -> None:
            loop = asyncio.get_running_loop()
            left, right = socket.socketpair()
            left.setblocking(False)
            got = loop.create_future()
            loop.add_reader(left, lambda: got.done() or got.set_result(left.recv(10)))
            timer = loop.call_later(0.02, got.done)
            read, write = os.pipe()
            pid = os.fork()
            if pid == 0:
                try:
                    said = run(child_main())  # noqa: F821
                except BaseException as error:
                    said = repr(error)
                os.write(write, said.encode())
                os._exit(0)
            os.close(write)
            print(await asyncio.to_thread(os.read, read, 1000))
            print(os.waitstatus_to_exitcode((await asyncio.to_thread(os.waitpid, pid, 0))[1]))
            assert not got.done()
            right.send(b"parent")
            print(await got)
            await asyncio.sleep(0.03)
            assert not timer.cancelled()
            loop.remove_reader(left)
            left.close()
            right.close()
            os.close(read)

        run(main())  # noqa: F821

    assert run_fresh(engine_name, body) == "b'child'\n0\nb'parent'\n"


@posix
def test_fork_with_a_loop_that_does_not_run(engine_name: str) -> None:
    """The child uses the loop that it got from its parent, as servers do that fork after they are set up.

    On a native poller as on the stock loop: both share the kernel's object with the parent if it is epoll.
    """

    def body() -> None:
        import asyncio
        import os
        import warnings

        warnings.simplefilter("ignore", DeprecationWarning)
        loop = new_loop()  # noqa: F821
        loop.run_until_complete(asyncio.sleep(0.001))
        pid = os.fork()
        if pid == 0:
            try:
                assert loop.run_until_complete(asyncio.sleep(0.001, 5)) == 5
                loop.close()
            finally:
                os._exit(3)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        print(loop.run_until_complete(asyncio.sleep(0.001, "parent")))
        loop.close()

    assert run_fresh(engine_name, body) == "3\nparent\n"


@posix
def test_fork_closes_nothing_of_the_parents(engine_name: str) -> None:
    """The child frees its copy of the parent's loop; the parent's readers still work."""

    def body() -> None:
        import asyncio
        import gc
        import os
        import socket
        import warnings

        warnings.simplefilter("ignore")
        loop = new_loop()  # noqa: F821
        left, right = socket.socketpair()
        loop.add_reader(left, lambda: (print(left.recv(10)), loop.stop()))
        pid = os.fork()
        if pid == 0:
            del loop
            gc.collect()
            os._exit(0)
        os.waitpid(pid, 0)
        right.send(b"x")
        loop.run_forever()
        loop.remove_reader(left)
        print(loop.run_until_complete(asyncio.sleep(0, "usable")))
        left.close()
        right.close()
        loop.close()

    assert run_fresh(engine_name, body, flags=()) == "b'x'\nusable\n"


MULTIPROCESSING = """
import asyncio, multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor

{prelude}

async def square(number):
    await asyncio.sleep(0.001)
    return number ** 2

def work(number):
    return run(square(number))

async def main(method):
    context = multiprocessing.get_context(method)
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        print(await asyncio.gather(*(loop.run_in_executor(pool, work, number) for number in range(6))))

if __name__ == "__main__":
    run(main(sys.argv[1]))
"""


@posix
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(engine_name: str, method: str, tmp_path: Any) -> None:
    """Workers start out of a running loop, and run loops of their own."""
    program = tmp_path / "program.py"
    program.write_text(MULTIPROCESSING.format(prelude=SELECTORS[f"loop {engine_name}"]))
    # fork in a program with threads warns, and the pool has threads
    flags = ["-Wignore::DeprecationWarning"] if method == "fork" else []
    child = subprocess.run(
        [sys.executable, "-Xfaulthandler", *flags, str(program), method], capture_output=True, text=True, timeout=50
    )
    assert (child.returncode, child.stdout, child.stderr) == (0, "[0, 1, 4, 9, 16, 25]\n", "")


# --- subprocesses


@posix
def test_subprocess(engine_name: str) -> None:
    def body() -> None:
        import asyncio
        import sys

        async def main() -> None:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                "import sys; data = sys.stdin.read(); print(data.upper()); sys.exit(3)",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            print((await process.communicate(b"hello"))[0], process.returncode)
            many = await asyncio.gather(*(asyncio.create_subprocess_shell(f"exit {code}") for code in range(5)))
            print(await asyncio.gather(*(each.wait() for each in many)))
            sleeper = await asyncio.create_subprocess_exec("sleep", "1000")
            sleeper.terminate()
            print(await sleeper.wait())

        run(main())  # noqa: F821

    # 3.11's child watcher is deprecated from 3.12 on only
    assert run_fresh(engine_name, body) == "b'HELLO\\n' 3\n[0, 1, 2, 3, 4]\n-15\n"


# --- the end of the interpreter


def test_loop_left_at_the_end(engine_name: str) -> None:
    """Running, with tasks, timers and handles: the interpreter ends without a crash or a word but the warnings."""

    def body() -> None:
        import asyncio
        import sys

        async def wait() -> None:
            await asyncio.sleep(1000)

        loop = new_loop()  # noqa: F821
        tasks = [loop.create_task(wait()) for _ in range(3)]
        loop.call_later(1000, print)
        loop.run_until_complete(asyncio.sleep(0.001))
        loop.call_soon(print)
        loop.cycle = [loop, tasks]
        sys.left = loop
        print("end")

    assert run_fresh(engine_name, body, flags=("-Wignore",)) == "end\n"


def test_exit_in_a_callback(engine_name: str) -> None:
    code = """
    import sys
    loop = new_loop()
    loop.call_soon(sys.exit, 9)
    try:
        loop.run_forever()
    finally:
        loop.close()
    """
    assert run_fresh(engine_name, code, status=9, stderr="") == ""


@pytest.mark.parametrize("doing", ["forever", "sleep(0)", "native", "python", "short timers"])
def test_daemon_thread_with_a_loop_at_the_end(engine_name: str, doing: str) -> None:
    """The interpreter ends while a loop waits, or works, in a daemon thread; it is no crash in any version.

    Up to 3.13 such a thread is ended by pthread_exit, from within whatever it called.
    """
    code = f"""
    import threading
    {HELPERS.replace(chr(10), chr(10) + "    ")}
    async def main():
        ready.set()
        {DOING[doing]}
    ready = threading.Event()
    threading.Thread(target=lambda: run(main()), daemon=True).start()
    ready.wait()
    time.sleep({{pause}})
    print("end")
    """
    for pause in (0, 0.01, 0.02):
        assert run_fresh(engine_name, code.replace("{pause}", str(pause)), stderr="") == "end\n"


@pytest.mark.skipif(MINOR < (3, 13), reason="the names are of 3.13 and later")
def test_sub_interpreter(engine_name: str) -> None:
    """`EventLoop` is asyncio's own there, since the extension cannot be loaded twice."""
    code = """
    import _interpreters
    interpreter = _interpreters.create()
    failed = _interpreters.exec(interpreter, '''if True:
        import asyncio, os, rasyncio
        loop = rasyncio.EventLoop()
        text = loop.run_until_complete(asyncio.sleep(0.001, "ran"))
        loop.close()
        os.write(1, text.encode())
    ''')
    assert failed is None, failed
    """
    assert run_fresh(engine_name, code, flags=()) == "ran"
