"""The benchmarks' floor: it drives the workloads that it can as asyncio does, and refuses the others."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.benches import ROOT

FLOOR = ROOT / "benches" / "floor"
RUNS = [
    "sleep0",
    "sleep0_tasks",
    "future",
    "pingpong",
    "create_task",
    "gather",
    "taskgroup",
    "queue",
    "event",
    "lock",
    "call_soon",
    "gather_tree",
]
REFUSED = {
    "timers": "NotImplementedError: the floor has no Loop.call_later()",
    "wait_for": "NotImplementedError: the floor has no",
    "sleep0_file": "NotImplementedError: the floor has no Loop.add_reader()",
    "cancel": "NotImplementedError: the floor has no Future.cancel()",
    "threadsafe": "RuntimeError: nothing is ready, and the floor waits for neither time nor files nor threads",
}
if sys.version_info >= (3, 12):
    REFUSED["taskgroup_eager"] = "NotImplementedError: the floor has no Loop.set_task_factory()"

# What a program sees: the order of wake-ups, values, exceptions, the current task. The same on asyncio's loop.
OBSERVE = """
import asyncio, json, sys
log = []

async def worker(name, count=2):
    log.append([name, asyncio.current_task() is tasks.get(name)])
    for number in range(count):
        await asyncio.sleep(0)
        log.append([name, number])
    log.append([name, asyncio.current_task() is tasks.get(name)])
    return name

async def failing(kind):
    await asyncio.sleep(0)
    raise kind("text")

async def waiter(name, future):
    log.append([name, repr(await future)])

tasks = {}

async def together():
    tasks.update((name, asyncio.create_task(worker(name), name=name)) for name in "abc")
    asyncio.get_running_loop().call_soon(log.append, "soon")
    log.append(await asyncio.gather(*tasks.values(), worker("d", 1)))
    async with asyncio.TaskGroup() as group:
        made = [group.create_task(worker(name, count)) for name, count in (("e", 3), ("f", 0))]
        log.append([task.done() for task in made])
    log.append([task.result() for task in made])
    done, pending = await asyncio.wait([asyncio.create_task(worker("g")), asyncio.create_task(worker("h", 0))])
    log.append([sorted(task.result() for task in done), len(pending)])

async def values():
    loop = asyncio.get_running_loop()
    for value in (None, True, (), (1, 2), StopIteration(3), ValueError("returned")):
        futures = [loop.create_future() for _ in range(3)]
        waiting = [asyncio.create_task(waiter(number, future)) for number, future in enumerate(futures)]
        await asyncio.sleep(0)
        for future in reversed(futures):
            future.set_result(value)
        log.append([future.done() for future in futures])
        await waiting[0]
        log.append(repr(await futures[2]))

async def failures():
    for kind in (KeyError, StopAsyncIteration):
        task = asyncio.create_task(failing(kind))
        try:
            await task
        except kind as error:
            log.append([repr(error), error is task.exception(), error.__traceback__.tb_next is not None])
        log.append([repr(each) for each in await asyncio.gather(failing(kind), worker("i"), return_exceptions=True)])
        try:
            await asyncio.gather(failing(kind), worker("j"))
        except kind as error:
            log.append(repr(error))

async def synchronised():
    queue, lock, event = asyncio.Queue(1), asyncio.Lock(), asyncio.Event()

    async def produce():
        for number in range(5):
            await queue.put(number)
            log.append(["put", number])

    async def consume():
        for _ in range(5):
            log.append(["got", await queue.get()])

    async def locked(name):
        await event.wait()
        for _ in range(3):
            async with lock:
                log.append(["locked", name])
                await asyncio.sleep(0)

    asyncio.get_running_loop().call_soon(event.set)
    await asyncio.gather(produce(), consume(), *(locked(name) for name in "xyz"))

async def main():
    for part in (together, values, failures, synchronised):
        await part()
        log.append([part.__name__, asyncio.current_task().get_loop() is asyncio.get_running_loop()])
    return "value of main"

if sys.argv[1] == "floor":
    from benches import floor
    factory = floor.Loop
else:
    factory = asyncio.SelectorEventLoop
with asyncio.Runner(loop_factory=factory) as runner:
    log.append(runner.run(main()))
    try:
        runner.run(failing(ZeroDivisionError))
    except ZeroDivisionError as error:
        log.append(repr(error))
print(json.dumps(log))
"""

# Runs workloads and says of each how it failed, if it did, and how many futures are left over.
RUN = """
import asyncio, gc, json, sys
from benches import floor
from benches.workloads import WORKLOADS

def run(name):
    before = sys.getrefcount(floor.Future)  # each instance has a reference
    failure = ""
    try:
        with asyncio.Runner(loop_factory=floor.Loop) as runner:
            runner.run(WORKLOADS[name].run(2))
    except Exception as error:
        failure = f"{type(error).__name__}: {error}"
    gc.collect()
    return failure, sys.getrefcount(floor.Future) - before

print(json.dumps({name: run(name) for name in json.loads(sys.argv[1])}))
"""

MISUSE = """
import asyncio, json
from benches import floor

async def waiter(future):
    await future

async def misuse():
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    second = [loop.create_task(waiter(future)) for _ in range(2)][1]
    await asyncio.sleep(0)
    yield lambda: second.result()
    yield lambda: future.add_done_callback(print)
    yield lambda: future.result()
    future.set_result(None)
    yield lambda: future.set_result(None)
    yield lambda: loop.call_soon(print, 1, 2)
    yield lambda: loop.add_reader(0, print)

async def main():
    said = []
    async for call in misuse():
        try:
            call()
        except (RuntimeError, NotImplementedError) as error:
            said.append(str(error))
    return said

with asyncio.Runner(loop_factory=floor.Loop) as runner:
    print(json.dumps(runner.run(main())))
"""


def python(code: str, *arguments: str, root: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter that finds the benchmarks' modules."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=root,
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
        env=os.environ | {"PYTHONPATH": str(root)} | environment,
    )


def output_of(done: subprocess.CompletedProcess[str]) -> Any:
    """The JSON that it printed."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def floor() -> None:
    """The floor is built."""
    if shutil.which("cargo") is None:
        pytest.skip("the floor is built by cargo, which is not there")
    done = python("import benches.floor")
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("floor")
@pytest.mark.timeout(300)
def test_same_as_asyncio() -> None:
    """Values, exceptions and the order of wake-ups are those of asyncio's loop."""
    observed, expected = output_of(python(OBSERVE, "floor")), output_of(python(OBSERVE, "asyncio"))
    assert observed == expected
    assert len(expected) > 50


@pytest.mark.usefixtures("floor")
@pytest.mark.timeout(300)
def test_workloads() -> None:
    """It runs the workloads that need no more than it has, and leaves nothing behind."""
    assert output_of(python(RUN, json.dumps(RUNS))) == {name: ["", 0] for name in RUNS}


@pytest.mark.usefixtures("floor")
@pytest.mark.timeout(300)
def test_refused_workloads() -> None:
    """It says what it has not got."""
    said = {name: failure for name, (failure, _) in output_of(python(RUN, json.dumps(list(REFUSED)))).items()}
    assert {name: failure[: len(REFUSED[name])] for name, failure in said.items()} == REFUSED


@pytest.mark.usefixtures("floor")
@pytest.mark.timeout(300)
def test_misuse() -> None:
    """What it cannot do is an error, never a wrong result."""
    assert output_of(python(MISUSE)) == [
        "only one task or callback can wait for a future of the floor",
        "only one task or callback can wait for a future of the floor",
        "the future is not done",
        "the future is done already",
        "the floor's call_soon() takes a callback and no more than one argument",
        "the floor has no Loop.add_reader()",
    ]


def test_without_cargo(tmp_path: Path) -> None:
    """That cargo is missing is said."""
    shutil.copytree(FLOOR, tmp_path / "benches" / "floor")
    done = python("import benches.floor", root=tmp_path, PATH="")
    assert done.stderr.splitlines()[-1] == (
        "ImportError: the floor is built by cargo, which is not there: https://rustup.rs"
    )


@pytest.mark.usefixtures("floor")
def test_failing_build(tmp_path: Path) -> None:
    """What cargo says of a failure is passed on."""
    copy = shutil.copytree(FLOOR, tmp_path / "benches" / "floor")
    (copy / "Cargo.toml").write_text("nonsense")
    done = python("import benches.floor", root=tmp_path)
    assert "ImportError: the floor cannot be built:\nerror: " in done.stderr
