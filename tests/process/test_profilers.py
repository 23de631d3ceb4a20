"""What profilers show of a program of ours: task names and frames, as of the same program on CPython's own module.

py-spy knows of no tasks, on CPython's either: it shows the frames of what runs. ddtrace's profiler reads the memory of
tasks, from within the process, by the layout that CPython's headers have; `profiling.sampling` (3.15), from outside, by
its section `.AsyncioDebug`.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.children import PATIENCE
from test_debuggers import CPYTHON, WAYS, Way, running

BUSY = """\
import functools
def burn():
    for _ in range(20000): pass
async def leaf():
    while True:
        burn()
        await asyncio.sleep(0)
async def main():
    asyncio.current_task().set_name("the main task")
    asyncio.get_running_loop().call_later(0.05, functools.partial(print, "ready", flush=True))
    async with asyncio.TaskGroup() as group:
        group.create_task(leaf(), name="named one")
        await asyncio.gather(asyncio.create_task(leaf(), name="gathered two"))
RUN(main())
"""


def tool(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120 * PATIENCE)
    if "ermission" in done.stderr:
        pytest.skip("this system does not let one process look at another")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(sys.version_info < (3, 14), reason="as in test_debuggers.py")
@pytest.mark.parametrize("name", WAYS)
def test_py_spy(name: str, tmp_path: Path) -> None:
    """The frames of the task that runs, down to the program's own first line."""
    py_spy = shutil.which("py-spy", path=os.path.dirname(sys.executable)) or shutil.which("py-spy")
    if py_spy is None:
        pytest.skip("py-spy is not for this platform or Python")
    for number, way in enumerate((CPYTHON, WAYS[name])):
        folder = tmp_path / str(number)
        folder.mkdir()
        with running(folder, way, BUSY) as process:
            for _ in range(50):
                shown = tool(py_spy, "dump", "--pid", str(process.pid))
                if "leaf (" in shown:
                    break
            frames = re.findall(r"^    (\w+|<module>) \(\S*program\.py:\d+\)$", shown, re.M)
            assert [one for one in frames if one != "mixed"][-2:] == ["leaf", "<module>"], shown
            assert process.poll() is None


@pytest.mark.skipif(importlib.util.find_spec("profiling") is None, reason="this profiler came with Python 3.15")
@pytest.mark.parametrize("name", WAYS)
def test_profiling_sampling(name: str, tmp_path: Path) -> None:
    """Each task with its name below those that await it, as in the same program on CPython's."""
    seen = []
    for number, way in enumerate((CPYTHON, WAYS[name])):
        folder = tmp_path / str(number)
        folder.mkdir()
        with running(folder, way, BUSY) as process:
            out = folder / "stacks.txt"
            sampling = (sys.executable, "-m", "profiling.sampling", "attach", "--async-aware", "--async-mode", "all")
            tool(*sampling, "--collapsed", "-d", "1", "-o", str(out), str(process.pid))
            assert process.poll() is None
        tasks = (tuple(re.findall(r"<task>:([^;]*):0", line)) for line in out.read_text().splitlines())
        seen.append(set(tasks))
    assert seen[0] == {("the main task", "named one"), ("the main task", "gathered two")} == seen[1]


DDTRACE = """\
import os, sys
os.environ.update(
    DD_PROFILING_OUTPUT_PPROF=sys.argv[1], DD_INSTRUMENTATION_TELEMETRY_ENABLED="false", DD_TRACE_ENABLED="false",
)
FIRST
from ddtrace.profiling import profiler
import asyncio, time
profiler = profiler.Profiler()
profiler.start()
SECOND
async def leaf(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        await asyncio.sleep(0.001)
        for _ in range(20000): pass
async def main():
    async with asyncio.TaskGroup() as group:
        group.create_task(leaf(1), name="named one")
        group.create_task(leaf(1), name=None)
        await asyncio.gather(asyncio.create_task(leaf(1), name="gathered two"))
RUN(main())
profiler.stop()
"""
INSTALL = "import rasyncio; rasyncio.install()"
FACTORY = "(lambda main: asyncio.Runner(loop_factory={}).run(main))"
DDTRACE_WAYS = {
    "CPython": Way(),
    "install, then ddtrace": Way(first=INSTALL),
    "ddtrace, then install": Way(run="(rasyncio.install(), asyncio.run)[1]"),
    "python -m rasyncio": Way(arguments=("-m", "rasyncio")),
    "RASYNCIO=1": Way(variable="1"),
    "CPython by a loop factory": Way(run=FACTORY.format("asyncio.SelectorEventLoop")),
    "rasyncio.run": Way(run="rasyncio.run"),
    "a loop factory": Way(run=FACTORY.format("rasyncio.new_event_loop")),
}
#: ddtrace is told of a loop by asyncio.set_event_loop(), which asyncio.Runner does not call for a loop of a factory's.
UNKNOWN = "CPython by a loop factory", "rasyncio.run", "a loop factory"


@pytest.mark.timeout(600 * PATIENCE)
@pytest.mark.parametrize("name", DDTRACE_WAYS)
def test_ddtrace(name: str, tmp_path: Path) -> None:
    """Its file has the names of the tasks, whether they were given or not."""
    if importlib.util.find_spec("ddtrace") is None:
        pytest.skip("ddtrace is not for this platform or Python")
    way = DDTRACE_WAYS[name]
    program = DDTRACE.replace("FIRST", way.first.replace("import asyncio", "")).replace("RUN", way.run)
    program = program.replace("SECOND", "import rasyncio" if "rasyncio" in way.run else "")
    file = tmp_path / "program.py"
    file.write_text(program)
    env = {key: value for key, value in os.environ.items() if key != "RASYNCIO"}
    env |= {"RASYNCIO": way.variable} if way.variable else {}
    expected = [name not in UNKNOWN] * 3
    seen: list[bool] = []
    for attempt in range(5):  # on a busy machine it may have had no time to look
        if seen == expected:
            break
        done = subprocess.run(
            [sys.executable, *way.arguments, str(file), str(tmp_path / f"profile{attempt}")],
            capture_output=True,
            text=True,
            env=env,
            timeout=120 * PATIENCE,
        )
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        data = b"".join(map(uncompressed, tmp_path.glob(f"profile{attempt}*.pprof")))
        seen = [text in data for text in (b"named one", b"gathered two")] + [re.search(rb"Task-\d", data) is not None]
    assert seen == expected


def uncompressed(file: Path) -> bytes:
    return subprocess.run(["zstd", "-dc", str(file)], check=True, capture_output=True).stdout


DOCUMENT = Path(__file__).parents[2] / "docs" / "debuggers.md"


def test_the_table_in_the_documentation() -> None:
    """One row for each way of starting that is tried with each of the tools."""
    rows = [line.split("|")[1:-1] for line in DOCUMENT.read_text().splitlines() if line.startswith("| ")]
    head, _rule, *ways = [[cell.strip() for cell in row] for row in rows[: 2 + len(WAYS)]]
    assert head == ["started by", "`ps`", "`pstree`", "`capture_call_graph()`", "py-spy", "`profiling.sampling` (3.15)"]
    assert {row[0].replace("`", ""): row[1:] for row in ways} == {name: ["as CPython's"] * 5 for name in WAYS}
    ddtrace = [[cell.strip() for cell in row] for row in rows[2 + len(WAYS) :]]
    assert ddtrace[0] == ["started by", "task names in ddtrace's profile (3.11 to 3.14)"]
    said = {row[0].replace("`", ""): row[1] for row in ddtrace[2:]}
    assert said == {name: "none" if name in UNKNOWN else "all" for name in DDTRACE_WAYS}
