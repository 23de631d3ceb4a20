"""Extensions made with pyo3-async-runtimes: examples/tokio_bridge, on asyncio and on ours.

Everything runs in a process of its own: tokio's threads stay until the end, and would be in the way of tests that fork.
"""

# ruff: noqa: F821 -- the scenarios use `run` and `raised`, which are defined where they run

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.impls import SELECTORS, run_fresh

BUILD = Path(__file__).parents[2] / "examples" / "tokio_bridge" / "build.py"
SWAP = "import rasyncio; rasyncio.install(loop=False)\n"
# Up to 3.13 a thread that waits for the GIL at the end is unwound, which aborts when it is one of tokio's, on asyncio
# too: a scenario ends before the interpreter does.
RAISED = """
import atexit, gc, os, sys

@atexit.register
def leave():
    gc.collect()
    sys.stdout.flush()
    os._exit(0)

async def raised(kind, awaitable):
    try:
        await awaitable
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")
"""
#: What the extension runs on; each defines `run`, which is asyncio.run there.
WAYS = {
    "stock": SELECTORS["loop stock"],
    "swap": SWAP + SELECTORS["loop stock"],
    "loop alone": SELECTORS["loop ours-c"],
    "ours": SELECTORS["loop ours"],
}
SELECTORS.update({f"bridge {way}": prelude + RAISED for way, prelude in WAYS.items()})


@pytest.fixture(scope="session")
def extension() -> str:
    """The directory to import the extension from. A first build takes about a minute, a later one a second."""
    done = subprocess.run([sys.executable, str(BUILD)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return f"bridge {request.param}"


pytestmark = pytest.mark.timeout(660)  # the first test pays for the build


@pytest.fixture(autouse=True)
def _path(extension: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", extension)


def check(way: str, scenario: Callable[..., None], *args: object, stderr: str = "") -> None:
    assert run_fresh(way, scenario, *args, stderr=stderr).endswith("done\n")


def client_and_server() -> None:
    import asyncio

    import tokio_bridge

    counts = {"now": 0, "most": 0}
    over = asyncio.Event()

    async def all_served():
        # Up to 3.11, a server whose task is cancelled at the end says so on stderr.
        while counts["now"]:
            await asyncio.sleep(0.001)

    async def serve(reader, writer):
        counts["now"] += 1
        counts["most"] = max(counts["most"], counts["now"])
        async for line in reader:
            text = line.decode().strip()
            if text == "slow":
                await over.wait()
                break
            if text == "slowly":
                writer.write(b"first\nsec")
                await asyncio.sleep(0.2)
                writer.write(b"ond\n")
                text = ""
            if text == "hang up":
                break
            if text.startswith("count "):
                writer.writelines(b"%d\n" % number for number in range(int(text[6:])))
                text = ""
            writer.write(text.upper().encode() + b"\n")
        counts["now"] -= 1
        writer.close()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        client = await tokio_bridge.connect("127.0.0.1", port)
        assert await client.request("hello") == "HELLO"
        assert await asyncio.gather(*map(client.request, "abc")) == ["A", "B", "C"]
        assert [line async for line in client.lines("count 3")] == ["0", "1", "2"]
        assert await client.request("again") == "AGAIN"
        # A request that is cancelled takes its connection with it, and with that the answer that is to come.
        await raised(TimeoutError, asyncio.wait_for(client.request("slow"), 0.05))
        for wanted in ("the last answer was not read to its end", "the client is closed"):
            error = await raised(ConnectionError, client.request("more"))
            assert str(error) == wanted, error
            await client.close()
        # A step of the iterator that is cancelled loses nothing.
        client = await tokio_bridge.connect("127.0.0.1", port)
        lines = client.lines("slowly")
        assert await anext(lines) == "first"
        await raised(TimeoutError, asyncio.wait_for(anext(lines), 0.05))
        assert [line async for line in lines] == ["second"]
        error = await raised(ConnectionError, client.request("hang up"))
        assert "closed the connection" in str(error), error

        over.set()
        await all_served()
        counts["most"] = 0
        requests = [f"request {number}" for number in range(40)]
        answers = await tokio_bridge.fetch_all("127.0.0.1", port, requests, limit=4)
        assert answers == [request.upper() for request in requests]
        assert counts["most"] <= 5, counts  # the server may see an end later than the next beginning
        loop = asyncio.get_running_loop()
        start = loop.time()
        await tokio_bridge.fetch_all("127.0.0.1", port, requests[:5], per_second=100)
        assert loop.time() - start > 0.035
        for wrong in ({"limit": 0}, {"per_second": 0}, {"per_second": float("nan")}):
            try:
                tokio_bridge.fetch_all("127.0.0.1", port, [], **wrong)
            except ValueError:
                continue
            raise AssertionError(f"{wrong} was taken")
        server.close()
        await all_served()
        await raised(ConnectionRefusedError, tokio_bridge.connect("127.0.0.1", port))
        print("done")

    run(main())


def test_the_example_does_what_it_says(way: str) -> None:
    check(way, client_and_server)


def results_and_exceptions(debug: bool) -> None:
    import asyncio
    import traceback

    import tokio_bridge

    class Own(Exception):
        pass

    async def main():
        value = object()
        future = tokio_bridge.short(value)
        assert type(future) is asyncio.Future and future.get_loop() is asyncio.get_running_loop()
        assert await future is value
        error = Own("of Python")
        assert await raised(Own, tokio_bridge.fail(error)) is error

        async def double(number):
            await asyncio.sleep(0)
            return number * 2

        async def refuse(number):
            raise error

        assert await tokio_bridge.map(double, range(100)) == [number * 2 for number in range(100)]
        assert await tokio_bridge.map(lambda number: asyncio.sleep(0, number), [1, 2]) == [1, 2]
        assert await tokio_bridge.map(tokio_bridge.short, [3, 4]) == [3, 4]
        error.__traceback__ = None
        assert await raised(Own, tokio_bridge.map(refuse, range(3))) is error
        assert any(frame.name == "refuse" for frame in traceback.extract_tb(error.__traceback__))
        print("done")

    run(main(), debug=debug)


@pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
def test_results_and_exceptions_in_both_directions(way: str, debug: bool) -> None:
    check(way, results_and_exceptions, debug)


def cancellation() -> None:
    import asyncio
    import time

    import tokio_bridge

    async def dropped(gate):
        async with asyncio.timeout(20):
            while gate.waiting:
                await asyncio.sleep(0.001)

    async def main():
        gate = tokio_bridge.Gate()
        future = gate.wait(1)
        assert gate.waiting == 1
        assert future.cancel("why") and future.cancelled()
        assert (await raised(asyncio.CancelledError, future)).args == ("why",)
        await dropped(gate)

        async def wait():
            await gate.wait(2)

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        assert gate.waiting == 1
        task.cancel("the task")
        assert (await raised(asyncio.CancelledError, task)).args == ("the task",)
        await dropped(gate)

        try:
            async with asyncio.timeout(0.01):
                await gate.wait(3)
        except TimeoutError:
            await dropped(gate)
        await raised(TimeoutError, asyncio.wait_for(gate.wait(4), 0.01))
        await dropped(gate)

        # Cancelled when Rust is done and has told the loop so, which has not come to it yet: nothing happens.
        future = gate.wait(5)
        gate.open()
        time.sleep(0.05)
        assert future.cancel()
        await asyncio.sleep(0.01)
        assert future.cancelled()

        # From Python to Rust: a callback that is cancelled is an error of the awaiting.
        async def cancel_me(number):
            asyncio.current_task().cancel("from inside")
            await asyncio.sleep(1)

        await raised(asyncio.CancelledError, tokio_bridge.call(cancel_me, 1))
        assert not asyncio.current_task().cancelling()
        print("done")

    run(main())


def test_cancellation_drops_the_rust_future(way: str) -> None:
    check(way, cancellation)


def contexts() -> None:
    import asyncio
    import contextvars

    import tokio_bridge

    variable = contextvars.ContextVar("variable", default="unset")

    async def look(number):
        seen = variable.get()
        variable.set("changed")
        await asyncio.sleep(0)
        return seen, asyncio.get_running_loop() is loop

    async def main():
        global loop
        loop = asyncio.get_running_loop()
        seen = []
        variable.set("of the caller")
        for future in (tokio_bridge.map(look, range(20)), tokio_bridge.map(look, range(3), limit=1)):
            seen += await future
        assert set(seen) == {("of the caller", True)}, seen
        assert variable.get() == "of the caller"
        future = tokio_bridge.short(None)
        future.add_done_callback(lambda _: seen.append(variable.get()))
        variable.set("later")
        await future
        await asyncio.sleep(0)
        assert seen[-1] == "of the caller"
        print("done")

    run(main())


def test_callbacks_see_the_callers_context(way: str) -> None:
    check(way, contexts)


def many_at_once() -> None:
    import asyncio
    import threading

    import tokio_bridge

    count = 10_000

    async def main():
        gate = tokio_bridge.Gate()
        loop = asyncio.get_running_loop()
        futures = [gate.wait(number) for number in range(count)]
        assert gate.waiting == count
        threads = set()

        class Noted(asyncio.Future):  # which threads hand results in
            def cancelled(self):
                threads.add(threading.get_ident())
                return super().cancelled()

        plain_create, loop.create_future = loop.create_future, lambda: Noted(loop=loop)
        noted = [gate.wait(number) for number in range(200)]
        loop.create_future = plain_create
        for future in futures[::10]:
            future.cancel()
        threading.Timer(0.01, gate.open).start()
        results = await asyncio.gather(*futures, return_exceptions=True)
        for number, result in enumerate(results):
            assert isinstance(result, asyncio.CancelledError) if number % 10 == 0 else result == number, (
                number,
                result,
            )
        assert await asyncio.gather(*noted) == list(range(200))
        assert len(threads - {threading.get_ident()}) > 1, threads
        print("done")

    run(main())


def test_ten_thousand_completed_by_many_threads_at_once(way: str) -> None:
    check(way, many_at_once)


def closed_loop() -> None:
    import asyncio
    import sys
    import time

    import tokio_bridge

    gates = tokio_bridge.Gate(), tokio_bridge.Gate()
    kept = []
    said = []
    sys.excepthook = lambda kind, error, traceback: said.append(f"{kind.__name__}: {error}")

    async def main():
        for gate in gates:
            kept.extend(gate.wait(number) for number in range(100))

    async def never(number):
        raise AssertionError("no loop is there to run it")

    async def call_later():
        async def wait():
            await gates[1].wait(0)

        kept.append(asyncio.ensure_future(wait()))
        await asyncio.sleep(0)

    def wait_for(count):
        end = time.monotonic() + 30
        while len(said) < count:
            assert time.monotonic() < end, said
            time.sleep(0.001)

    run(main())
    gates[0].open()  # the loop is closed, the futures are there
    wait_for(100)
    assert set(said) == {"RuntimeError: Event loop is closed"}, said
    assert not any(future.done() for future in kept)
    run(call_later())
    kept.clear()
    gates[1].open()  # only Rust has the futures
    wait_for(200)
    time.sleep(0.05)
    assert set(said) == {"RuntimeError: Event loop is closed"}, said
    assert gates[0].waiting == gates[1].waiting == 0
    print("done")


def test_a_loop_that_is_closed_meanwhile_is_an_error_that_is_shown(way: str) -> None:
    check(way, closed_loop)


def panics() -> None:
    import tokio_bridge

    async def main():
        # 0.30 has the message for Rust's stderr only.
        text = "rust future panicked: unknown error"
        assert str(await raised(tokio_bridge.RustPanic, tokio_bridge.panic("a message"))) == text
        assert await tokio_bridge.panic("") is None

        async def call(number):
            await tokio_bridge.panic(f"number {number}")

        assert str(await raised(tokio_bridge.RustPanic, tokio_bridge.map(call, [7]))) == text
        assert await tokio_bridge.short(1) == 1
        print("done")

    run(main())


def test_a_panic_is_an_exception(way: str) -> None:
    said = r".*panicked at src/probes.rs:\d+:\d+:\n"
    check(way, panics, stderr=f"{said}a message\n{said}number 7\n.*")


def swap_around_use(first: str) -> None:
    import asyncio

    import rasyncio

    if first == "install":
        rasyncio.install()
    import tokio_bridge

    async def double(number):
        return number * 2

    async def main(loop_class):
        assert type(asyncio.get_running_loop()) is loop_class
        assert await asyncio.gather(*map(tokio_bridge.short, range(10))) == list(range(10))
        assert await tokio_bridge.map(double, range(10)) == list(range(0, 20, 2))
        gate = tokio_bridge.Gate()
        future = gate.wait(None)
        assert type(future) is asyncio.Future
        future.cancel()

    stock = asyncio.SelectorEventLoop
    if first == "use":  # the extension keeps what it needs of asyncio from its first use on
        asyncio.run(main(stock))
    rasyncio.install()
    asyncio.run(main(rasyncio.EventLoop))
    rasyncio.uninstall()
    asyncio.run(main(stock))
    rasyncio.install()
    asyncio.run(main(rasyncio.EventLoop))
    print("done")


@pytest.mark.parametrize("first", ["install", "import", "use"])
def test_install_before_and_after_the_extensions_import_and_use(first: str) -> None:
    check("c", swap_around_use, first)
