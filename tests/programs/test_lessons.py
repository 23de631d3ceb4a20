"""The lessons that people learn asyncio from, as they are written, on every implementation."""

from __future__ import annotations

import pytest

from support.children import run_python
from support.impls import SELECTORS, run_fresh, run_on


def test_driving_a_coroutine_by_hand(name: str) -> None:
    def body() -> None:
        import asyncio

        async def add(a, b):
            return a + b

        async def main():
            return await add(2, 3) + await add(4, 5)

        coro = main()
        try:
            coro.send(None)
        except StopIteration as stop:
            print("result:", stop.value)

        async def waits(future):
            return await future

        loop = asyncio.new_event_loop()
        future = loop.create_future()
        coro = waits(future)
        print(coro.send(None) is future)
        future.set_result(42)
        try:
            coro.send(None)
        except StopIteration as stop:
            print("result:", stop.value)
        loop.close()

    assert run_fresh(name, body) == "result: 14\nTrue\nresult: 42\n"


def test_throwing_into_a_coroutine_that_catches_the_cancellation(name: str) -> None:
    def body() -> None:
        import asyncio

        async def stubborn(future):
            try:
                await future
            except asyncio.CancelledError as error:
                print("caught", error)
                return "cleaned up"

        loop = asyncio.new_event_loop()
        coro = stubborn(loop.create_future())
        coro.send(None)
        try:
            coro.throw(asyncio.CancelledError("enough"))
        except StopIteration as stop:
            print(stop.value)
        loop.close()

        async def main():
            task = asyncio.create_task(stubborn(asyncio.Future()))
            await asyncio.sleep(0)
            task.cancel("please")
            print(await task, task.cancelled(), task.cancelling())

        asyncio.run(main())

    assert run_fresh(name, body) == "caught enough\ncleaned up\ncaught please\ncleaned up False 1\n"


def test_a_future_before_and_after(name: str) -> None:
    def body() -> None:
        import asyncio

        async def main():
            future = asyncio.get_running_loop().create_future()
            print(future.done(), future)
            try:
                future.result()
            except asyncio.InvalidStateError as error:
                print("InvalidStateError:", error)
            future.set_result("done!")
            print(future.done(), future.result(), await future, future)
            try:
                future.set_result("again")
            except asyncio.InvalidStateError:
                print("InvalidStateError")

        asyncio.run(main())

    not_set = "Result is not ready." if name == "python" else "Result is not set."
    assert run_fresh(name, body) == (
        f"False <Future pending>\nInvalidStateError: {not_set}\n"
        "True done! done! <Future finished result='done!'>\nInvalidStateError\n"
    )


def test_run_until_complete_on_a_bare_future(name: str) -> None:
    def body() -> None:
        import asyncio

        async def resolve(future):
            await asyncio.sleep(0.01)
            future.set_result("Future is done!")

        loop = asyncio.new_event_loop()
        future = loop.create_future()
        task = loop.create_task(resolve(future))
        print(loop.run_until_complete(future), task.done())
        loop.run_until_complete(task)
        loop.close()

    assert run_fresh(name, body) == "Future is done! True\n"


def test_printing_a_gather_before_it_is_awaited(name: str) -> None:
    def body() -> None:
        import asyncio

        async def value(number):
            return number

        async def main():
            gathered = asyncio.gather(value(1), value(2))
            print(gathered)
            print(await gathered)
            print(gathered)

        asyncio.run(main())

    expected = "<_GatheringFuture pending>\n[1, 2]\n<_GatheringFuture finished result=[1, 2]>\n"
    assert run_fresh(name, body) == expected


def test_create_task_next_to_a_blocking_sleep(name: str) -> None:
    def body() -> None:
        import asyncio
        import time

        async def work(label, blocking):
            print(label, "starts")
            if blocking:
                time.sleep(0.03)
            else:
                await asyncio.sleep(0.01)
            print(label, "ends")

        async def main():
            tasks = [asyncio.create_task(work("A", False)), asyncio.create_task(work("B", True))]
            print("created")
            for task in tasks:
                await task

        asyncio.run(main())

    # B blocks the loop, so that A, though its time has come, ends after it
    assert run_fresh(name, body) == "created\nA starts\nB starts\nB ends\nA ends\n"


def test_run_inside_a_running_loop(name: str) -> None:
    def body() -> None:
        import asyncio

        async def inner():
            """Never run."""

        async def main():
            coro = inner()
            try:
                asyncio.run(coro)
            except RuntimeError as error:
                print("RuntimeError:", error)
            coro.close()
            loop = asyncio.get_running_loop()
            coro = inner()
            try:
                loop.run_until_complete(coro)
            except RuntimeError as error:
                print("RuntimeError:", error)
            coro.close()

        asyncio.run(main())

    assert run_fresh(name, body) == (
        "RuntimeError: asyncio.run() cannot be called from a running event loop\n"
        "RuntimeError: This event loop is already running\n"
    )


IPYTHON = """
import os, tempfile
os.environ["IPYTHONDIR"] = tempfile.mkdtemp()
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance(colors="nocolor")
shell.autoawait = True
for cell in (
    "import asyncio",
    "x = await asyncio.sleep(0.001, 5)",
    "y = await asyncio.gather(asyncio.sleep(0, 1), asyncio.sleep(0, 2))",
    "async with asyncio.timeout(5):\\n    z = await asyncio.create_task(asyncio.sleep(0, 'z'))",
    "task = asyncio.current_task()\\nawait asyncio.sleep(0)",
    "print(x, y, z, asyncio.Task.__module__, isinstance(task, asyncio.Task))",
):
    shell.run_cell(cell).raise_error()
shell.history_manager.end_session()
"""


def test_top_level_await_in_ipython(name: str) -> None:
    """`await` at the prompt; IPython runs each such cell on a loop of its own."""
    child = run_on(name, IPYTHON, flags=(), timeout=120)
    module = "asyncio.tasks" if name == "python" else "_asyncio"
    assert child.returncode == 0, child.stderr
    assert child.stdout.splitlines()[-1] == f"5 [1, 2] z {module} True", child.stdout + child.stderr


@pytest.mark.timeout(120)
def test_top_level_await_in_a_jupyter_kernel(name: str) -> None:
    """A kernel runs its cells inside a running loop, which the swap has to be made before."""
    code = f"""
    import sys, tempfile
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import KernelManager

    start = {SELECTORS[name]!r} + "\\nfrom ipykernel.kernelapp import launch_new_instance\\nlaunch_new_instance()"
    # Not TCP: a port that the manager has found free may be taken when the kernel binds it.
    directory = tempfile.TemporaryDirectory()
    manager = KernelManager(transport="ipc", ip=directory.name + "/kernel")
    manager._kernel_spec = KernelSpec(
        argv=[sys.executable, "-c", start, "-f", "{{connection_file}}"], display_name="test", language="python"
    )
    manager.start_kernel()
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        for cell in (
            "import asyncio, sys\\nprint(getattr(sys.modules.get('rasyncio'), 'Task', None) is asyncio.Task)",
            "print(await asyncio.gather(asyncio.sleep(0, 1), asyncio.sleep(0.001, 2)))",
            "async with asyncio.TaskGroup() as g:\\n  t = g.create_task(asyncio.sleep(0, 'grp'))\\nprint(t.result())",
            "background = asyncio.create_task(asyncio.sleep(0, 'background'))",
            "print(await background, isinstance(asyncio.current_task(), asyncio.Task))",
            "print(type(asyncio.get_running_loop()).__name__ != '')",
            "asyncio.run(asyncio.sleep(0))",
        ):
            reply = client.execute_interactive(cell, timeout=60)
            content = reply["content"]
            print("[", content["status"], content.get("ename", ""), "]")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        directory.cleanup()
    """
    child = run_python(code, flags=(), timeout=110)
    assert child.returncode == 0, child.stderr
    lines = [line.strip() for line in child.stdout.splitlines() if line.strip() and "never awaited" not in line]
    said = [line for line in lines if not line.startswith("[ ok")]
    assert said[: 1 + 4] == [str(name == "ours"), "[1, 2]", "grp", "background True", "True"], child.stdout
    assert said[-1] == "[ error RuntimeError ]" and lines.count("[ ok  ]") == 6, child.stdout


@pytest.mark.timeout(120)
def test_a_thousand_clients(name: str) -> None:
    def body() -> None:
        import asyncio
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096) if hard > 0 else 4096, hard))

        async def serve(reader, writer):
            line = await reader.readline()
            everybody.add(line)
            if len(everybody) == 1000:
                all_here.set()
            await all_here.wait()
            writer.write(line.upper())
            await writer.drain()
            writer.close()
            await writer.wait_closed()

        async def client(number, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"hello {number}\n".encode())
            answer = await reader.readline()
            writer.close()
            await writer.wait_closed()
            return answer

        async def main():
            global everybody, all_here
            everybody, all_here = set(), asyncio.Event()
            server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)
            port = server.sockets[0].getsockname()[1]
            async with server:
                answers = await asyncio.gather(*(client(number, port) for number in range(1000)))
            print(len(answers), answers[0], answers[999], len(set(answers)))

        asyncio.run(main())

    assert run_fresh(name, body, timeout=100) == "1000 b'HELLO 0\\n' b'HELLO 999\\n' 1000\n"


def test_never_awaited(name: str) -> None:
    code = """
    import asyncio
    async def forgotten():
        print("not printed")
    async def main():
        forgotten()
        await asyncio.sleep(0)
        print("main ends")
    asyncio.run(main())
    """
    child = run_on(name, code, flags=())
    assert (child.returncode, child.stdout) == (0, "main ends\n")
    assert "RuntimeWarning: coroutine 'forgotten' was never awaited\n" in child.stderr


def test_never_awaited_in_debug_mode(name: str) -> None:
    """Debug mode says where the coroutine was made."""
    code = """
import asyncio
async def forgotten(): pass
async def main(): forgotten()
asyncio.run(main(), debug=True)
"""
    child = run_on(name, code, flags=())
    assert child.returncode == 0
    assert "RuntimeWarning: coroutine 'forgotten' was never awaited\n" in child.stderr
    assert "Coroutine created at (most recent call last)\n" in child.stderr


@pytest.mark.parametrize("how", ["task", "callback", "wakeup"])
def test_slow_callback(name: str, how: str) -> None:
    """Debug mode names what took too long: a task by its repr, a callback by its handle's."""

    def body(how: str) -> None:
        import asyncio
        import time

        async def slow():
            if how == "wakeup":
                await asyncio.sleep(0.01)
            time.sleep(0.12)

        def callback():
            time.sleep(0.12)

        async def main():
            if how == "callback":
                asyncio.get_running_loop().call_soon(callback)
                await asyncio.sleep(0.001)
            else:
                await asyncio.create_task(slow(), name="the slow one")

        asyncio.run(main(), debug=True)

    shown = (
        r"<Handle body\.<locals>\.callback\(\) at <string>:\d+ created at .*?>"
        if how == "callback"
        else r"<Task finished name='the slow one' coro=<body\.<locals>\.slow\(\) done, defined at <string>:\d+> .*?>"
    )
    run_fresh(name, body, how, stderr=rf"Executing {shown} took 0\.\d{{3}} seconds\n")


def test_exception_that_nobody_asked_for(name: str) -> None:
    code = """
    import asyncio
    async def fails():
        raise ValueError("oops")
    async def main():
        asyncio.create_task(fails(), name="T")
        await asyncio.sleep(0.01)
        print("main goes on")
    asyncio.run(main())
    """
    child = run_on(name, code, flags=())
    assert (child.returncode, child.stdout) == (0, "main goes on\n")
    assert child.stderr.startswith(
        "Task exception was never retrieved\nfuture: <Task finished name='T' coro=<fails() done"
    )
    assert child.stderr.endswith("ValueError: oops\n")


def test_timeouts_and_groups(name: str) -> None:
    def body() -> None:
        import asyncio

        async def fails():
            raise ValueError("one of them")

        async def waits():
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                print("cancelled")
                raise

        async def main():
            try:
                async with asyncio.timeout(0.01):
                    await waits()
            except TimeoutError:
                print("timeout")
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(waits())
                    group.create_task(fails())
            except* ValueError as errors:
                print(errors.exceptions)
            done, pending = await asyncio.wait(
                [asyncio.create_task(asyncio.sleep(0, "fast")), asyncio.create_task(waits())],
                return_when=asyncio.FIRST_COMPLETED,
            )
            print([task.result() for task in done], len(pending))

        asyncio.run(main())

    assert run_fresh(name, body).splitlines() == [
        "cancelled",
        "timeout",
        "cancelled",
        "(ValueError('one of them'),)",
        "['fast'] 1",
        "cancelled",
    ]
