"""CPython's own debugger for asyncio looks at a live process of ours from outside: `python -m asyncio ps` and `pstree`.

What it shows of a program on rasyncio is what it shows of the same program on CPython's own module, with grafting left
out (RASYNCIO_GRAFT=0); with it, the same but for the coroutines of asyncio that are native, which have no frame to be
seen from outside. The debugger reads memory while the process runs: what it meets half-way is an error of its own,
never one of the process.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from support.children import PATIENCE

pytestmark = pytest.mark.skipif(sys.version_info < (3, 14), reason="CPython has no such debugger before 3.14")


class Way(NamedTuple):
    """Of starting the program."""

    arguments: tuple[str, ...] = ()
    #: What the program begins with.
    first: str = "import asyncio"
    run: str = "asyncio.run"
    variable: str | None = None

    def program(self, text: str) -> str:
        return f"{self.first}\n{text.replace('RUN', self.run)}"


CPYTHON = Way()
WAYS = {
    "python -m rasyncio": Way(("-m", "rasyncio")),
    "python -m rasyncio --no-loop": Way(("-m", "rasyncio", "--no-loop")),
    "RASYNCIO=1": Way(variable="1"),
    "install early": Way(first="import rasyncio; rasyncio.install(); import asyncio"),
    "install late": Way(first="import asyncio, rasyncio; rasyncio.install()"),
    "rasyncio.run": Way(first="import asyncio, rasyncio", run="rasyncio.run"),
    "a loop factory": Way(
        first="import asyncio, rasyncio",
        run="(lambda main: asyncio.Runner(loop_factory=rasyncio.new_event_loop).run(main))",
    ),
    "uvloop, then install": Way(
        first="import asyncio, uvloop, rasyncio; rasyncio.install()",
        run="(lambda main: asyncio.Runner(loop_factory=uvloop.new_event_loop).run(main))",
    ),
    "tasks of both": Way(
        first="""\
import asyncio, itertools
kinds = [asyncio.Task]
import rasyncio
rasyncio.install()
kinds.append(asyncio.Task)
turns = itertools.cycle(kinds)
def mixed(main):
    with asyncio.Runner(loop_factory=rasyncio.new_event_loop) as runner:
        runner.get_loop().set_task_factory(lambda loop, coro, **keywords: next(turns)(coro, loop=loop, **keywords))
        runner.run(main)
""",
        run="mixed",
    ),
    "install, then uvloop": Way(
        first="import rasyncio; rasyncio.install(); import asyncio, uvloop",
        run="(lambda main: asyncio.Runner(loop_factory=uvloop.new_event_loop).run(main))",
    ),
}

PROGRAM = """\
import functools
class Sub(asyncio.Task):
    pass

async def forever():
    await asyncio.sleep(1000)

async def waiting(other):
    await other

async def group():
    async with asyncio.TaskGroup() as members:
        members.create_task(forever(), name="member 1")
        members.create_task(waiting(members.create_task(forever(), name="member 3")), name="member 2")

async def main():
    asyncio.current_task().set_name("main")
    loop = asyncio.get_running_loop()
    slow = asyncio.create_task(forever(), name="slow")
    kept = [
        asyncio.create_task(waiting(slow), name="waiting"),
        asyncio.create_task(waiting(slow), name="also waiting"),
        Sub(forever(), loop=loop, name="of a subclass"),
        asyncio.create_task(group(), name="group"),
        asyncio.create_task(waiting(asyncio.shield(slow)), name="shielding"),
        asyncio.create_task(asyncio.wait_for(forever(), 1000), name="with a timeout"),
    ]
    gathered = [asyncio.create_task(forever(), name=f"gathered {i}") for i in range(2)]
    loop.call_later(0.05, functools.partial(print, "ready", flush=True))
    await asyncio.gather(*gathered)

RUN(main())
"""


@contextlib.contextmanager
def running(folder: Path, way: Way, program: str = PROGRAM, *, graft: bool = False) -> Iterator[subprocess.Popen[str]]:
    """The program, when it has said that it is ready."""
    if "uvloop" in way.first and importlib.util.find_spec("uvloop") is None:
        pytest.skip("uvloop is not for this platform or Python")
    file = folder / "program.py"
    file.write_text(way.program(program))
    env = {name: value for name, value in os.environ.items() if name != "RASYNCIO"}
    env["RASYNCIO_GRAFT"] = str(int(graft))
    if way.variable is not None:
        env["RASYNCIO"] = way.variable
    process = subprocess.Popen(
        [sys.executable, *way.arguments, str(file)], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def debugger(command: str, process: subprocess.Popen[str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "asyncio", command, str(process.pid)],
        capture_output=True,
        text=True,
        timeout=60 * PATIENCE,
    )
    if "ermission" in done.stderr:
        pytest.skip("this system does not let one process look at another")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def table(text: str) -> list[tuple[str, ...]]:
    """The rows of `ps`, without the addresses."""
    head, rule, *rows = text.splitlines()
    starts = [match.start() for match in re.finditer(r"(?:(?<=  )|^)\S", head)]
    names = [head[start:end].strip() for start, end in zip(starts, [*starts[1:], None], strict=True)]
    assert names[:3] == ["tid", "task id", "task name"] and set(rule) == {"-"}
    cells = [[row[start:end].strip() for start, end in zip(starts, [*starts[1:], None], strict=True)] for row in rows]
    return sorted(
        tuple(row[i] for i, name in enumerate(names) if name not in ("tid", "task id", "awaiter id")) for row in cells
    )


def tree(text: str) -> list[str]:
    """The paths from root to leaf in `pstree`: in which order those of one task come depends on addresses."""
    paths, above = [], []
    for line in text.splitlines():
        match = re.match(r"[ │├└─]*", line)
        assert match is not None
        depth = match.end() // 4
        above[depth:] = [line[match.end() :]]
        paths.append(" / ".join(above))
    return sorted(paths)


def shown(process: subprocess.Popen[str]) -> tuple[list[tuple[str, ...]], list[str]]:
    rows, paths = table(debugger("ps", process)), tree(debugger("pstree", process))
    assert process.poll() is None
    return rows, paths


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[tuple[str, ...]], list[str]]:
    """What is shown of the program on CPython's own."""
    with running(tmp_path_factory.mktemp("cpython"), CPYTHON) as process:
        return shown(process)


@pytest.mark.parametrize("name", WAYS)
def test_ps_and_pstree(name: str, tmp_path: Path, expected: tuple[list[tuple[str, ...]], list[str]]) -> None:
    with running(tmp_path, WAYS[name]) as process:
        rows, paths = shown(process)
    assert {"main", "slow", "of a subclass", "shielding", "member 3"} <= {row[0] for row in rows}
    assert rows == expected[0]
    strip = re.compile(r"/\S*/program\.py:\d+")
    assert [strip.sub("", path) for path in paths] == [strip.sub("", path) for path in expected[1]]


#: A coroutine of asyncio's in this program that is native.
NATIVE = re.compile(r"\bsleep -> |(?<= / )sleep [^/]*/\S*tasks\.py:\d+ / ")


@pytest.mark.parametrize("name", WAYS)
def test_ps_and_pstree_with_grafts(
    name: str, tmp_path: Path, expected: tuple[list[tuple[str, ...]], list[str]]
) -> None:
    """Each task, its name and who awaits it, and the program's own coroutines."""
    with running(tmp_path, WAYS[name], graft=True) as process:
        rows, paths = shown(process)
    without = [tuple(NATIVE.sub("", cell) for cell in row) for row in rows]
    assert without == [tuple(NATIVE.sub("", cell) for cell in row) for row in expected[0]]
    tasks = [re.findall(r"\(T\) [^/]*", path) for path in paths]
    assert {tuple(one) for one in tasks} == {tuple(re.findall(r"\(T\) [^/]*", path)) for path in expected[1]}


THREADS = """\
import threading
async def forever(ready):
    asyncio.current_task().set_name(threading.current_thread().name)
    ready.set()
    await asyncio.sleep(1000)
def work(ready):
    RUN(forever(ready))
for i in range(3):
    ready = threading.Event()
    threading.Thread(target=work, args=(ready,), name=f"thread {i}", daemon=True).start()
    ready.wait()
async def main():
    asyncio.current_task().set_name("main")
    print("ready", flush=True)
    await asyncio.sleep(1000)
RUN(main())
"""


@pytest.mark.parametrize("name", ["python -m rasyncio", "install late"])
def test_threads(name: str, tmp_path: Path) -> None:
    """Those that are seen of CPython's own: 3.14's debugger looks at the main thread only.

    And at the interpreter's list, where releases have the other threads' tasks that hand it on too early (gh-159041).
    """
    seen = []
    for number, way in enumerate((CPYTHON, WAYS[name])):
        folder = tmp_path / str(number)
        folder.mkdir()
        with running(folder, way, THREADS) as process:
            seen.append(table(debugger("ps", process)))
    early = sys.version_info < (3, 14, 9) or (3, 15) <= sys.version_info < (3, 15, 1)
    assert seen[0] == [row for row in seen[1] if row[0] == "main" or not early]
    assert len(seen[1]) == (4 if early or sys.version_info >= (3, 15) else 1)


WORK = """\
import functools
async def leaf(i):
    for _ in range(i % 5):
        await asyncio.sleep(0)
    async with asyncio.timeout(1000):
        await asyncio.sleep(0)
async def branch():
    while True:
        async with asyncio.TaskGroup() as group:
            for i in range(20):
                group.create_task(leaf(i), name=None if i % 2 else f"leaf {i}")
        await asyncio.gather(*(leaf(i) for i in range(5)), asyncio.shield(asyncio.create_task(leaf(1))))
async def main():
    branches = [asyncio.create_task(branch()) for _ in range(10)]
    asyncio.get_running_loop().call_later(0.1, functools.partial(print, "ready", flush=True))
    asyncio.get_running_loop().add_reader(0, lambda: [one.cancel() for one in branches])
    await asyncio.wait(branches)
    print("done", flush=True)
RUN(main())
"""

READ = """
import _remote_debugging, sys
pid, times = map(int, sys.argv[1:])
read = failed = 0
while read < times:
    try:
        # As the command does: a new one knows of no code that has gone.
        assert _remote_debugging.RemoteUnwinder(pid).get_all_awaited_by() is not None
    except (RuntimeError, OSError, UnicodeDecodeError, MemoryError, ValueError, AttributeError):
        failed += 1  # the process went on meanwhile
    read += 1
print(read, failed)
"""
READS = int(os.environ.get("RASYNCIO_DEBUGGER_READS", "300"))


@pytest.mark.timeout((120 + READS / 5) * PATIENCE)
@pytest.mark.parametrize("name", ["python -m rasyncio", "install late"])
def test_while_the_process_works_hard(name: str, tmp_path: Path) -> None:
    with running(tmp_path, WAYS[name], WORK) as process:
        done = subprocess.run(
            [sys.executable, "-Xfaulthandler", "-c", READ, str(process.pid), str(READS)],
            capture_output=True,
            text=True,
            timeout=(60 + READS / 5) * PATIENCE,
        )
        assert (done.returncode, done.stderr) == (0, "")
        read, failed = map(int, done.stdout.split())
        assert read == READS > failed
        ended(process)


def test_a_debugger_that_is_killed(tmp_path: Path) -> None:
    """Wherever it stands: it writes nothing, and stops nobody."""
    with running(tmp_path, WAYS["python -m rasyncio"], WORK) as process:
        for _ in range(10):
            reader = subprocess.Popen(
                [sys.executable, "-c", READ, str(process.pid), "1000000"], stderr=subprocess.DEVNULL
            )
            with contextlib.suppress(subprocess.TimeoutExpired):
                reader.wait(0.2)
            assert reader.poll() is None
            reader.send_signal(signal.SIGKILL)
            reader.wait()
        ended(process)


def ended(process: subprocess.Popen[str]) -> None:
    """The program comes to its end when it is asked to."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.close()
    assert process.stdout.readline() == "done\n"
    assert process.wait(60 * PATIENCE) == 0


GRAPH = """\
import io, re
async def leaf(started):
    started.set()
    await asyncio.sleep(1000)
async def middle(started):
    async with asyncio.TaskGroup() as group:
        group.create_task(leaf(started), name="leaf")
async def main():
    asyncio.current_task().set_name("main")
    started = asyncio.Event()
    task = asyncio.create_task(middle(started), name="middle")
    gathered = asyncio.gather(task)
    await started.wait()
    for one in asyncio.all_tasks():
        if one.get_name() == "leaf":
            graph = asyncio.capture_call_graph(one)
            text = io.StringIO()
            asyncio.print_call_graph(one, file=text)
    def names(graph):
        stack = [entry.frame.f_code.co_name for entry in graph.call_stack]
        return graph.future.get_name(), stack, *map(names, graph.awaited_by)
    print(names(graph), names(asyncio.capture_call_graph()))
    print(*(re.sub("0x[0-9a-f]+", "", line) for line in text.getvalue().splitlines() if "Task(" in line))
    gathered.cancel()
    await asyncio.gather(gathered, return_exceptions=True)
RUN(main())
"""


@pytest.mark.parametrize("name", WAYS)
def test_capture_call_graph(name: str, tmp_path: Path) -> None:
    seen = []
    for number, way in enumerate((CPYTHON, WAYS[name])):
        if "uvloop" in way.first and importlib.util.find_spec("uvloop") is None:
            pytest.skip("uvloop is not for this platform or Python")
        file = tmp_path / f"{number}.py"
        file.write_text(way.program(GRAPH))
        env = {name: value for name, value in os.environ.items() if name != "RASYNCIO"}
        env |= {"RASYNCIO": way.variable} if way.variable else {}
        done = subprocess.run(
            [sys.executable, *way.arguments, str(file)],
            capture_output=True,
            text=True,
            env=env,
            timeout=60 * PATIENCE,
        )
        assert (done.returncode, done.stderr) == (0, "")
        seen.append(done.stdout)
    assert "'leaf'" in seen[0] and seen[0] == seen[1]


def test_cpython_s_own_tests_of_its_debugger() -> None:
    if importlib.util.find_spec("test.test_external_inspection") is None:
        pytest.skip("this Python came without its tests")
    done = subprocess.run(
        [sys.executable, "-m", "test", "test_external_inspection", "test_asyncio.test_tools"],
        capture_output=True,
        text=True,
        env={**os.environ, "RASYNCIO": "1", "RASYNCIO_GRAFT": "0"},
        timeout=240 * PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Result: SUCCESS" in done.stdout
