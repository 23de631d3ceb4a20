"""Processes, threads and the end of the interpreter: what belongs to whom, and what is said at the end."""

from __future__ import annotations

import re

import pytest

from support.impls import MINOR, run_fresh, run_on


def test_fork_inside_a_running_loop(name: str) -> None:
    """The child has no running loop, and can run one of its own."""

    def body() -> None:
        import asyncio
        import os
        import warnings

        warnings.simplefilter("ignore", DeprecationWarning)

        async def child() -> str:
            await asyncio.sleep(0)
            return f"{asyncio.get_running_loop() is not parent_loop} {len(asyncio.all_tasks())}"

        def in_child() -> str:
            try:
                asyncio.get_running_loop()
                return "a loop is running"
            except RuntimeError as error:
                said = str(error)
            loop = asyncio.new_event_loop()
            said += " | " + loop.run_until_complete(child())
            loop.close()
            return said

        async def main() -> None:
            global parent_loop
            parent_loop = asyncio.get_running_loop()
            read, write = os.pipe()
            pid = os.fork()
            if pid == 0:
                try:
                    said = in_child()
                except BaseException as error:
                    said = repr(error)
                os.write(write, said.encode())
                os._exit(0)
            os.close(write)
            print(os.read(read, 1000).decode(), os.waitpid(pid, 0)[1])
            assert asyncio.get_running_loop() is parent_loop
            assert asyncio.current_task() in asyncio.all_tasks()
            await asyncio.sleep(0)

        asyncio.run(main())

    assert run_fresh(name, body) == "no running event loop | True 1 0\n"


@pytest.mark.skipif(MINOR < (3, 14), reason="earlier versions have a dict of current tasks, which a child inherits")
def test_fork_drops_the_parents_tasks(name: str) -> None:
    def body() -> None:
        import asyncio
        import os
        import warnings

        warnings.simplefilter("ignore", DeprecationWarning)

        async def main() -> None:
            loop = asyncio.get_running_loop()
            other = asyncio.create_task(asyncio.sleep(10))
            read, write = os.pipe()
            pid = os.fork()
            if pid == 0:
                asyncio._set_running_loop(loop)
                said = f"{asyncio.current_task() is None}"
                os.write(write, said.encode())
                os._exit(0)
            os.waitpid(pid, 0)
            print(os.read(read, 100).decode(), len(asyncio.all_tasks()))
            other.cancel()

        asyncio.run(main())

    expected = "False" if name == "python" else "True"  # pure Python keeps its dict of current tasks
    assert run_fresh(name, body) == f"{expected} 2\n"


def test_fork_outside_a_loop(name: str) -> None:
    def body() -> None:
        import asyncio
        import os

        async def main() -> int:
            return len(await asyncio.gather(*(asyncio.sleep(0, i) for i in range(5))))

        asyncio.run(main())
        pid = os.fork()
        if pid == 0:
            os._exit(asyncio.run(main()))
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), asyncio.run(main()))

    assert run_fresh(name, body) == "5 5\n"


def test_fork_in_a_thread(name: str) -> None:
    """The only thread of the child is the one that forked: the loops of the others are not its business."""

    def body() -> None:
        import asyncio
        import os
        import threading
        import warnings

        warnings.simplefilter("ignore", DeprecationWarning)
        ready, finish = threading.Event(), threading.Event()

        async def busy() -> None:
            ready.set()
            while not finish.is_set():
                await asyncio.sleep(0.001)

        async def child() -> int:
            await asyncio.sleep(0)
            return len(asyncio.all_tasks())

        thread = threading.Thread(target=asyncio.run, args=(busy(),))
        thread.start()
        ready.wait()
        pid = os.fork()
        if pid == 0:
            os._exit(40 + asyncio.run(child()))
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        finish.set()
        thread.join()

    assert run_fresh(name, body) == "41\n"


def test_end_of_a_thread_releases_loop_and_task(name: str) -> None:
    def body() -> None:
        import asyncio
        import gc
        import threading
        import weakref

        from support.fakes import QuietLoop

        class Future(asyncio.Future):
            """Stands for a task."""

        def target() -> None:
            loop = QuietLoop()
            future = Future(loop=loop)
            references.extend([weakref.ref(loop), weakref.ref(future)])
            asyncio._set_running_loop(loop)
            asyncio.tasks._enter_task(loop, future)

        references = []
        threads = [threading.Thread(target=target) for _ in range(5)]
        for thread in threads:
            thread.start()
            thread.join()
        if hasattr(asyncio.tasks, "_current_tasks"):
            asyncio.tasks._current_tasks.clear()
        del thread, threads
        gc.collect()
        print({reference() for reference in references})

    assert run_fresh(name, body) == "{None}\n"


def test_threads_do_not_see_each_others_loop(name: str) -> None:
    def body() -> None:
        import asyncio
        import threading

        async def main() -> None:
            seen = []

            def target() -> None:
                seen.append(asyncio._get_running_loop())
                try:
                    asyncio.current_task()
                except RuntimeError as error:
                    seen.append(str(error))
                asyncio._set_running_loop("mine")
                seen.append(asyncio._get_running_loop())

            thread = threading.Thread(target=target)
            thread.start()
            thread.join()
            print(seen, asyncio.get_running_loop() is loop, asyncio.current_task() is not None)

        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        loop.close()

    assert run_fresh(name, body) == "[None, 'no running event loop', 'mine'] True True\n"


def test_many_short_threads(name: str) -> None:
    def body() -> None:
        import asyncio
        import gc
        import threading

        async def main() -> None:
            await asyncio.gather(*(asyncio.sleep(0, i) for i in range(3)))
            leftover = asyncio.get_running_loop().create_future()
            done.append(len(asyncio.all_tasks()))
            del leftover

        done = []
        for _ in range(60):
            threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        gc.collect()
        print(len(done), set(done))

    assert run_fresh(name, body) == "240 {1}\n"


def test_tasks_outlive_their_thread(name: str) -> None:
    """3.14 keeps them in the interpreter's list then; they can be seen, cancelled and run elsewhere."""

    def body() -> None:
        import asyncio
        import threading

        async def waits() -> None:
            await asyncio.sleep(60)

        def target() -> None:
            tasks.extend(loop.create_task(waits()) for _ in range(3))
            loop.call_soon(loop.stop)
            loop.run_forever()

        tasks = []
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=target)
        thread.start()
        thread.join()
        print(asyncio.all_tasks(loop) == set(tasks))
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.wait(tasks))
        print(all(task.cancelled() for task in tasks), asyncio.all_tasks(loop))
        loop.close()

    assert run_fresh(name, body) == "True\nTrue set()\n"


# --- the end of the interpreter


def normal(text: str) -> str:
    """stderr without what differs from run to run and from implementation to implementation."""
    text = (
        re.sub(r"0x[0-9a-f]+", "0x", text).replace("Task.task_wakeup()", "WAKEUP").replace("Task.__wakeup()", "WAKEUP")
    )
    return re.sub(r'File "[^"]*", line \d+', "File", text)


PENDING = """
import asyncio, sys
async def main():
    asyncio.get_running_loop().task = asyncio.create_task(asyncio.sleep(60), name="left")
    await asyncio.sleep(0)
loop = asyncio.new_event_loop()
loop.run_until_complete(main())
"""
LOST = """
import asyncio
async def fails():
    raise ValueError("lost")
loop = asyncio.new_event_loop()
task = loop.create_task(fails(), name="failing")
loop.run_until_complete(asyncio.wait([task]))
loop.close()
"""
FUTURE = """
import asyncio
loop = asyncio.new_event_loop()
future = loop.create_future()
future.set_exception(ValueError("lost"))
loop.close()
"""
IN_CYCLE = """
import asyncio
loop = asyncio.new_event_loop()
future = loop.create_future()
future.itself = future
future.set_exception(ValueError("lost"))
task = loop.create_task(asyncio.sleep(0), name="never run")
task.itself = task
"""
HOLDS_EVERYTHING = """
import asyncio, builtins, sys
async def main():
    builtins.kept = [asyncio.current_task(), asyncio.get_running_loop(), asyncio.Future()]
    sys.kept = asyncio.create_task(asyncio.sleep(60), name="left")
    await asyncio.sleep(0)
loop = asyncio.new_event_loop()
loop.run_until_complete(main())
"""
HOOK = """
import asyncio, atexit
from support.fakes import QuietLoop
class Loop(QuietLoop):
    def call_soon(self, callback, *args, context=None): self.kept = callback
    def call_exception_handler(self, context): print("told:", context["message"])
async def never(): pass
coro = never()
task = asyncio.Task(coro, loop=Loop())
atexit.register(lambda: (coro.close(), print("exit")))
"""

PROGRAMS = {
    "pending": PENDING,
    "lost": LOST,
    "future": FUTURE,
    "cycle": IN_CYCLE,
    "held": HOLDS_EVERYTHING,
    "hook": HOOK,
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_is_said_at_exit(program: str) -> None:
    """C and ours say the same; and what they say is what the program should hear."""
    said = {}
    for name in ("c", "ours"):
        child = run_on(name, PROGRAMS[program], flags=("-Xfaulthandler",))
        assert child.returncode == 0, f"{name}: exit status {child.returncode}\n{child.stderr[-3000:]}"
        said[name] = normal(child.stdout), normal(child.stderr)
    assert said["ours"] == said["c"]
    stdout, stderr = said["ours"]
    if program in ("lost", "future"):
        kind = "Task" if program == "lost" else "Future"
        assert f"{kind} exception was never retrieved" in stderr and "ValueError: lost" in stderr
    if program == "pending":
        assert "Task was destroyed but it is pending!" in stderr and "name='left'" in stderr
    if program == "hook":
        assert stdout == "exit\ntold: Task was destroyed but it is pending!\n"


@pytest.mark.parametrize("program", PROGRAMS)
def test_exit_of_the_pure_python_classes(program: str) -> None:
    """The same programs end well on the reference."""
    assert run_on("python", PROGRAMS[program], flags=()).returncode == 0


def test_daemon_thread_with_a_running_loop(name: str) -> None:
    def body() -> None:
        import asyncio
        import threading

        ready = threading.Event()

        async def busy() -> None:
            ready.set()
            while True:
                await asyncio.gather(*(asyncio.sleep(0) for _ in range(5)))

        threading.Thread(target=asyncio.run, args=(busy(),), daemon=True).start()
        ready.wait()
        print("end")

    assert run_fresh(name, body, flags=()) == "end\n"


def test_daemon_thread_that_blocks_in_a_task(name: str) -> None:
    def body() -> None:
        import asyncio
        import threading
        import time

        ready = threading.Event()

        async def blocks() -> None:
            ready.set()
            time.sleep(60)

        threading.Thread(target=asyncio.run, args=(blocks(),), daemon=True).start()
        ready.wait()
        print("end")

    assert run_fresh(name, body, flags=()) == "end\n"


def test_objects_used_during_finalization(name: str) -> None:
    """`__del__` methods that run at the very end still may use tasks and futures."""

    def body() -> None:
        import asyncio
        import os
        import sys

        class Late:
            def __init__(self, future, task):
                self.future, self.task = future, task

            def __del__(self, write=os.write):
                try:
                    self.future.done(), self.task.done(), self.task.get_name(), self.future.cancel()
                    repr(self.future)  # may fail: what it calls in asyncio may be gone
                except Exception as error:
                    write(2, type(error).__name__.encode())
                write(1, b"late")

        loop = asyncio.new_event_loop()
        task = loop.create_task(asyncio.sleep(0))
        loop.run_until_complete(task)
        future = loop.create_future()
        loop.close()
        sys.late = Late(future, task)

    assert run_fresh(name, body, flags=()) == "late"


# --- signals and exits


@pytest.mark.parametrize("error", ["KeyboardInterrupt", "SystemExit"])
@pytest.mark.parametrize("where", ["main", "child", "callback"])
def test_exits_out_of_a_task(name: str, error: str, where: str) -> None:
    def body(error: str, where: str) -> None:
        import asyncio
        import builtins

        kind = getattr(builtins, error)

        async def raises() -> None:
            await asyncio.sleep(0)
            raise kind(3)

        def callback() -> None:
            raise kind(3)

        async def main() -> None:
            if where == "main":
                await raises()
            elif where == "child":
                task = asyncio.create_task(raises())
                try:
                    await task
                finally:
                    print("cleaned up")
            else:
                asyncio.get_running_loop().call_soon(callback)
                try:
                    await asyncio.sleep(60)
                finally:
                    print("cleaned up")

        try:
            asyncio.run(main())
        except kind as caught:
            print(type(caught).__name__, caught.args)

    lines = [] if where == "main" else ["cleaned up"]
    assert run_fresh(name, body, error, where).splitlines() == [*lines, f"{error} (3,)"]


def test_system_exit_is_the_exit_status(name: str) -> None:
    code = """
    import asyncio, sys
    async def main():
        await asyncio.sleep(0)
        sys.exit(7)
    asyncio.run(main())
    """
    assert run_fresh(name, code, status=7, stderr="") == ""


def test_sigint(name: str) -> None:
    """Ctrl-C cancels the main task; asyncio.run raises KeyboardInterrupt."""

    def body() -> None:
        import asyncio
        import os
        import signal

        async def main() -> None:
            asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), signal.SIGINT)
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                print("cancelled", asyncio.current_task().cancelling())
                raise

        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            print("KeyboardInterrupt")

    assert run_fresh(name, body) == "cancelled 1\nKeyboardInterrupt\n"


def test_sub_interpreter(name: str) -> None:
    """A second interpreter has asyncio too, on whichever module can be loaded there."""

    def body() -> None:
        import sys

        if sys.version_info >= (3, 14):
            from concurrent import interpreters

            interpreter = interpreters.create()
            run = interpreter.exec
        elif sys.version_info >= (3, 13):
            import _interpreters

            identity = _interpreters.create()

            def run(code):
                assert _interpreters.exec(identity, code) is None
        else:
            import _xxsubinterpreters

            identity = _xxsubinterpreters.create(isolated=False)

            def run(code):
                _xxsubinterpreters.run_string(identity, code)

        run(
            "import asyncio, os\n"
            "async def main(): return await asyncio.gather(asyncio.sleep(0, 1), asyncio.sleep(0, 2))\n"
            "loop = asyncio.new_event_loop()\n"
            "os.write(1, repr(loop.run_until_complete(main())).encode())\n"
            "loop.close()\n"
        )

    assert run_fresh(name, body, flags=()) == "[1, 2]"
