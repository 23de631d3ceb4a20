"""Programs and libraries as people run them: on CPython's tasks and on ours, on our loop, the stock one, and others."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from support.children import check_python, run_python
from support.impls import run_fresh

RUNNER = "with asyncio.Runner(loop_factory={factory}, debug={debug}) as runner: runner.run(main())"
#: What each program runs its `main` with. uvloop and rloop schedule our tasks through their own methods.
LOOPS = {
    "stock": RUNNER.format(factory="asyncio.SelectorEventLoop", debug=False),
    "stock, debug": RUNNER.format(factory="asyncio.SelectorEventLoop", debug=True),
    "ours": "import rasyncio\n" + RUNNER.format(factory="rasyncio.EventLoop", debug=False),
    "ours, debug": "import rasyncio\n" + RUNNER.format(factory="rasyncio.EventLoop", debug=True),
    "uvloop": "import uvloop\n" + RUNNER.format(factory="uvloop.new_event_loop", debug=False),
    "rloop": "import rloop\n" + RUNNER.format(factory="rloop.new_event_loop", debug=False),
}

AIOHTTP = """
from aiohttp import ClientSession, WSMsgType, web

async def hello(request):
    await asyncio.sleep(0)
    return web.json_response({"hello": request.match_info["name"]})

async def slow(request):
    await asyncio.sleep(30)

async def echo(request):
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type == WSMsgType.TEXT:
            await socket.send_str(message.data.upper())
    return socket

async def main():
    application = web.Application()
    application.add_routes([web.get("/hello/{name}", hello), web.get("/slow", slow), web.get("/echo", echo)])
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, shutdown_timeout=0.1)
    await site.start()
    base = "http://127.0.0.1:%d" % runner.addresses[0][1]
    async with ClientSession() as session:
        async def get(number):
            async with session.get(f"{base}/hello/{number}") as response:
                return (await response.json())["hello"]
        print(await asyncio.gather(*(get(number) for number in range(20))) == [str(n) for n in range(20)])
        try:
            async with asyncio.timeout(0.05):
                await session.get(f"{base}/slow")
        except TimeoutError:
            print("timeout")
        async with session.ws_connect(f"{base}/echo") as socket:
            await socket.send_str("text")
            print((await socket.receive()).data)
    await runner.cleanup()
"""

UVICORN = """
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

async def hello(request):
    return JSONResponse({"path": request.url.path})

async def stream(request):
    async def parts():
        for part in ("a", "b"):
            yield part
            await asyncio.sleep(0)
    return StreamingResponse(parts())

async def fetch(port, path):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer

async def main():
    application = Starlette(routes=[Route("/hello", hello), Route("/stream", stream)])
    server = uvicorn.Server(uvicorn.Config(application, port=0, log_level="error", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    answers = await asyncio.gather(*(fetch(port, "/hello") for _ in range(10)), fetch(port, "/stream"))
    print(all(b'{"path":"/hello"}' in answer for answer in answers[:10]), [b"a" in answers[10], b"b" in answers[10]])
    server.should_exit = True
    await serving
"""

WEBSOCKETS = """
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

async def echo(socket):
    async for message in socket:
        await socket.send(message[::-1])

async def main():
    async with serve(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async def client(number):
            async with connect(f"ws://127.0.0.1:{port}") as socket:
                for _ in range(3):
                    await socket.send(f"message {number}")
                    answer = await socket.recv()
                return answer
        answers = await asyncio.gather(*(client(number) for number in range(10)))
        print(answers[7])
"""

ANYIO = """
import anyio, anyio.abc, anyio.to_thread

async def main():
    results = []
    async def child(number, *, task_status=anyio.TASK_STATUS_IGNORED):
        task_status.started(number)
        await anyio.sleep(0)
        results.append(number)
    async with anyio.create_task_group() as group:
        print(await group.start(child, 1))
        for number in range(2, 6):
            group.start_soon(child, number)
    print(sorted(results))
    with anyio.move_on_after(0.02) as scope:
        await anyio.sleep(30)
    print(scope.cancelled_caught)
    try:
        async with anyio.create_task_group() as group:
            async def fails():
                raise ValueError("one")
            group.start_soon(fails)
            group.start_soon(anyio.sleep, 30)
    except* ValueError as errors:
        print(len(errors.exceptions))
    send, receive = anyio.create_memory_object_stream(2)
    async with send, receive, anyio.create_task_group() as group:
        async def produce():
            async with send.clone() as own:
                for number in range(5):
                    await own.send(number)
        group.start_soon(produce)
        print([await receive.receive() for _ in range(5)])
    print(await anyio.to_thread.run_sync(lambda: anyio.from_thread.run(anyio.sleep, 0)))
    lock, event = anyio.Lock(), anyio.Event()
    async with anyio.create_task_group() as group:
        async def waits():
            await event.wait()
            async with lock:
                results.append("locked")
        group.start_soon(waits)
        event.set()
    print(results[-1], asyncio.current_task().cancelling())
"""

STANDARD = """
import sys

async def produce(queue):
    for number in range(20):
        await queue.put(number)

async def main():
    queue = asyncio.Queue(3)
    async with asyncio.TaskGroup() as group:
        group.create_task(produce(queue))
        taken = group.create_task(take(queue))
    print(taken.result())
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "print(input()[::-1])", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    print((await process.communicate(b"abc\\n"))[0], process.returncode)
    print(await asyncio.to_thread(sum, [1, 2, 3]))
    condition = asyncio.Condition()
    async def notify():
        async with condition:
            condition.notify_all()
    async with condition:
        notifying = asyncio.create_task(notify())
        await condition.wait()
    await notifying
    semaphore, running = asyncio.Semaphore(2), []
    async def limited():
        async with semaphore:
            running.append(semaphore.locked())
            await asyncio.sleep(0)
    await asyncio.gather(*(limited() for _ in range(6)))
    print(len(running), any(running))
    print([await first for first in asyncio.as_completed([asyncio.sleep(0.02, "b"), asyncio.sleep(0.001, "a")])])
    async def numbers():
        for number in range(3):
            yield number
            await asyncio.sleep(0)
    print([number async for number in numbers()])

async def take(queue):
    return sum([await queue.get() for _ in range(20)])
"""

PROGRAMS = {
    "aiohttp": (AIOHTTP, "True\ntimeout\nTEXT\n"),
    "uvicorn": (UVICORN, "True [True, True]\n"),
    "websockets": (WEBSOCKETS, "7 egassem\n"),
    "anyio": (ANYIO, "1\n[1, 2, 3, 4, 5]\nTrue\n1\n[0, 1, 2, 3, 4]\nNone\nlocked 0\n"),
    "standard": (STANDARD, "190\nb'cba\\n' 0\n6\n6 True\n['a', 'b']\n[0, 1, 2]\n"),
}


#: Pairs of others that do not work with each other on CPython's own tasks either.
INCOMPATIBLE = {("uvicorn", "rloop"): "uvicorn 0.54 on rloop 0.5 does not end (the same with CPython's _asyncio)"}
PAIRS = [(program, loop) for program in PROGRAMS for loop in LOOPS if (program, loop) not in INCOMPATIBLE]


@pytest.mark.parametrize("implementation", ["c", "ours"])
@pytest.mark.parametrize(("program", "loop"), PAIRS)
def test_program(implementation: str, loop: str, program: str) -> None:
    source, expected = PROGRAMS[program]
    # Libraries may warn about each other's deprecations: that is not what is tested here.
    assert run_fresh(implementation, f"import asyncio\n{source}\n{LOOPS[loop]}", flags=()) == expected


@pytest.mark.parametrize("implementation", ["c", "ours"])
@pytest.mark.parametrize("loop", ["uvloop", "rloop"])
def test_foreign_loop(implementation: str, loop: str) -> None:
    """Tasks, futures, cancellation and callbacks in the order that the stock loop has, on a loop that is not Python."""

    def body(loop: str) -> None:
        import asyncio
        import contextvars
        import importlib

        variable = contextvars.ContextVar("variable", default=0)
        said = []

        async def child(number):
            variable.set(number)
            await asyncio.sleep(0)
            said.append((number, variable.get()))
            return number

        async def main():
            future = asyncio.get_running_loop().create_future()
            future.add_done_callback(lambda future: said.append("first"))
            future.add_done_callback(lambda future: said.append("second"))
            asyncio.get_running_loop().call_soon(future.set_result, 5)
            assert await future == 5 and variable.get() == 0
            tasks = [asyncio.create_task(child(number)) for number in range(3)]
            await asyncio.gather(*tasks)
            task = asyncio.create_task(asyncio.sleep(30))
            await asyncio.sleep(0)
            task.cancel("enough")
            try:
                await task
            except asyncio.CancelledError as error:
                said.append(error.args)
            said.append(asyncio.all_tasks() == {asyncio.current_task()})
            said.append(type(task) is asyncio.Task and isinstance(future, asyncio.Future))

        module = importlib.import_module(loop)
        with asyncio.Runner(loop_factory=module.new_event_loop) as runner:
            runner.run(main())
        print(said)

    expected = "['first', 'second', (0, 0), (1, 1), (2, 2), ('enough',), True, True]\n"
    assert run_fresh(implementation, body, loop, flags=()) == expected


USES_UVLOOP = """
import asyncio
async def main():
    task = asyncio.create_task(asyncio.sleep(0.001, 5))
    assert isinstance(task, rasyncio.Task)
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_result, 7)
    print(await asyncio.gather(task, future), await asyncio.shield(asyncio.wait_for(asyncio.sleep(0, 9), 5)))
with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner: runner.run(main())
"""


def test_uvloop_imported_after_the_swap() -> None:
    code = f"import rasyncio; rasyncio.install()\nimport uvloop\n{USES_UVLOOP}"
    assert run_fresh("c", code, flags=()) == "[5, 7] 9\n"


def test_uvloop_imported_before_the_swap() -> None:
    """uvloop has C-level references to the Task and Future that it found, which are of one world with ours."""
    program = USES_UVLOOP.replace("isinstance(task, rasyncio.Task)", "not isinstance(task, asyncio.Task)")
    code = f"import asyncio, uvloop, rasyncio; rasyncio.install()\n{program}"
    assert run_fresh("c", code, flags=()) == "[5, 7] 9\n"


# How programs get our loop: by install(), or by naming it where they can name a loop.

WHERE = """
import asyncio

def where():
    import rasyncio
    return type(asyncio.get_running_loop()) is rasyncio.EventLoop, type(asyncio.current_task()) is rasyncio.Task
"""


@pytest.mark.parametrize("way", ["named", "installed", "python -m rasyncio"])
def test_uvicorn_s_command_line(tmp_path: Path, way: str) -> None:
    (tmp_path / "app.py").write_text(
        f"{WHERE}\n"
        "from starlette.applications import Starlette\n"
        "from starlette.responses import PlainTextResponse\n"
        "from starlette.routing import Route\n"
        "async def hello(request): return PlainTextResponse(repr(where()))\n"
        "application = Starlette(routes=[Route('/', hello)])\n"
    )
    uvicorn = ["app:application", "--uds", "socket", "--log-level", "warning"]
    command = {
        "named": ["-m", "uvicorn", "--loop", "rasyncio:new_event_loop", *uvicorn],
        # "none" leaves the loop to asyncio.run()
        "installed": ["-c", "import rasyncio; rasyncio.install()\nimport uvicorn; uvicorn.main()", "--loop", "none"],
        "python -m rasyncio": ["-m", "rasyncio", "-m", "uvicorn", "--loop", "none"],
    }[way]
    server = subprocess.Popen(
        [sys.executable, *command, *(uvicorn if way != "named" else [])],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        answer = _get(tmp_path / "socket", server)
        server.send_signal(signal.SIGTERM)
        output, _ = server.communicate(timeout=30)
    finally:
        server.kill()
    assert answer.startswith("HTTP/1.1 200 OK") and answer.endswith("(True, True)"), answer
    # uvicorn shuts down in order, and then dies of the signal as any program would.
    assert (server.returncode, output) == (-signal.SIGTERM, "")


def _get(path: Path, server: subprocess.Popen[str]) -> str:
    """The answer to a GET on a unix socket, as soon as there is one."""
    deadline = time.monotonic() + 30
    while True:
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(str(path))
            except (FileNotFoundError, ConnectionRefusedError):
                if server.poll() is not None or time.monotonic() > deadline:
                    server.kill()
                    raise AssertionError(f"no server:\n{server.communicate()[0]}") from None
                time.sleep(0.02)
                continue
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return b"".join(_received(client)).decode()


def _received(client: socket.socket) -> Iterator[bytes]:
    while part := client.recv(65536):
        yield part


@pytest.mark.parametrize(
    ("before", "loop"),
    [("", "rasyncio.new_event_loop()"), ("rasyncio.install()", "None")],
    ids=["named", "installed"],
)
def test_aiohttp_s_run_app(tmp_path: Path, before: str, loop: str) -> None:
    code = f"""
import socket
from aiohttp import ClientSession, UnixConnector, web
{WHERE}
import rasyncio
{before}

async def hello(request):
    return web.json_response(where())

async def client(application):
    async with ClientSession(connector=UnixConnector("socket")) as session, session.get("http://x/") as response:
        print(await response.json(), where())
    def leave():
        raise web.GracefulExit
    asyncio.get_running_loop().call_soon(leave)

clients = []
async def start(application):
    clients.append(asyncio.create_task(client(application)))

application = web.Application()
application.add_routes([web.get("/", hello)])
application.on_startup.append(start)
with socket.socket(socket.AF_UNIX) as listening:
    listening.bind("socket")
    listening.listen()
    web.run_app(application, sock=listening, loop={loop}, print=None)
"""
    assert check_python(code, cwd=tmp_path) == "[True, True] (True, True)\n"


@pytest.mark.parametrize(
    ("before", "options"),
    [("", "{'loop_factory': rasyncio.new_event_loop}"), ("rasyncio.install()", "{}")],
    ids=["named", "installed"],
)
def test_anyio_s_run(before: str, options: str) -> None:
    code = f"""
import anyio, anyio.from_thread, anyio.to_thread
{WHERE}
import rasyncio
{before}

async def main():
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep, 0)
    return where(), await anyio.to_thread.run_sync(anyio.from_thread.run_sync, where)

async def here():
    return where()

print(anyio.run(main, backend_options={options}))
with anyio.from_thread.start_blocking_portal(backend_options={options}) as portal:
    print(portal.call(here))
"""
    # The portal's callables run in tasks; what a worker thread sends for runs in none.
    assert check_python(code) == "((True, True), (True, False))\n(True, True)\n"


CONFTEST = {
    "named": """
        import rasyncio

        def pytest_asyncio_loop_factories(config, item):
            return {"rasyncio": rasyncio.new_event_loop}
        """,
    "installed": """
        import rasyncio

        rasyncio.install()
        """,
}


@pytest.mark.parametrize("way", CONFTEST)
def test_pytest_asyncio(tmp_path: Path, way: str) -> None:
    (tmp_path / "conftest.py").write_text(dedent(CONFTEST[way]))
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n"
    )
    (tmp_path / "test_it.py").write_text(
        f"{WHERE}\n"
        "import pytest, pytest_asyncio\n"
        "@pytest_asyncio.fixture\n"
        "async def value():\n"
        "    assert where() == (True, True)\n"
        "    yield await asyncio.sleep(0, 5)\n"
        "    await asyncio.sleep(0)\n"
        "@pytest.mark.asyncio\n"
        "async def test_one(value):\n"
        "    assert where() == (True, True) and await asyncio.gather(asyncio.sleep(0, value)) == [5]\n"
        "@pytest.mark.asyncio(loop_scope='module')\n"
        "async def test_two():\n"
        "    assert where() == (True, True)\n"
        "@pytest.mark.asyncio(loop_scope='module')\n"
        "async def test_three():\n"
        "    async with asyncio.timeout(5):\n"
        "        await asyncio.create_task(asyncio.sleep(0))\n"
    )
    done = _pytest(tmp_path, "-p", "no:anyio")
    assert done.returncode == 0 and "3 passed" in done.stdout, done.stdout + done.stderr


def test_anyio_s_pytest_plugin(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        f"{WHERE}\n"
        "import pytest, rasyncio\n"
        "@pytest.fixture\n"
        "def anyio_backend(): return 'asyncio', {'loop_factory': rasyncio.new_event_loop}\n"
        "@pytest.mark.anyio\n"
        "async def test_one():\n"
        "    assert where() == (True, True)\n"
    )
    done = _pytest(tmp_path, "-W", "error", "-p", "no:asyncio")
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr


def _pytest(home: Path, *arguments: str) -> Any:
    command = [sys.executable, "-m", "pytest", "-q", "--rootdir", home, *arguments]
    return subprocess.run(command, cwd=home, timeout=60, capture_output=True, text=True)


@pytest.mark.timeout(120)
def test_jupyter_kernel() -> None:
    code = f"""
    import sys, tempfile
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import KernelManager

    # Not TCP: a port that the manager has found free may be taken when the kernel binds it.
    directory = tempfile.TemporaryDirectory()
    manager = KernelManager(transport="ipc", ip=directory.name + "/kernel")
    manager._kernel_spec = KernelSpec(
        argv=[sys.executable, "-m", "rasyncio", "-m", "ipykernel_launcher", "-f", "{{connection_file}}"],
        display_name="test",
        language="python",
    )
    manager.start_kernel()
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        for cell in {WHERE!r} + "print(where())", "print(await asyncio.create_task(asyncio.sleep(0.001, 5)), where())":
            reply = client.execute_interactive(cell, timeout=60)
            assert reply["content"]["status"] == "ok", reply
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        directory.cleanup()
    """
    done = run_python(code, flags=(), timeout=110)  # jupyter_client has warnings of its own
    assert (done.returncode, done.stdout) == (0, "(True, True)\n5 (True, True)\n"), done.stdout + done.stderr
