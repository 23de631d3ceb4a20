"""Programs and libraries as people run them, on CPython's tasks and on ours, and on loops that others wrote."""

from __future__ import annotations

import pytest

from impls import run_fresh

#: What each program runs its `main` with. uvloop and rloop schedule our tasks through their own methods.
LOOPS = {
    "stock": "asyncio.run(main())",
    "debug": "asyncio.run(main(), debug=True)",
    "uvloop": "import uvloop\nwith asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner: runner.run(main())",
    "rloop": "import rloop\nwith asyncio.Runner(loop_factory=rloop.new_event_loop) as runner: runner.run(main())",
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
    """uvloop has C-level references to the Task and Future that it found, which no swap reaches: it has to be said."""
    run_fresh(
        "c",
        "import asyncio, uvloop, rasyncio; rasyncio.install()",
        flags=(),
        stderr=r".*RuntimeWarning: uvloop was imported before .*rasyncio\.install\(\) before uvloop is imported\n.*",
    )
