"""What runs inside a measured interpreter, apart from pyperf's worker. Standard library only, no asyncio at the top:
`implementations.select` has to come before it."""

import gc
import json
import math
import os
import platform
import resource
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import implementations

ASK_TIMEOUT = 120.0
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
QUICK_TIMING = 0.01  # seconds that one timing takes at least on the first implementation
QUICK_TIMINGS = 5
QUICK_LONG = 0.1  # seconds; what takes longer is timed only twice

Figures = dict[str, tuple[int, float]]  # of a workload: repetitions in one timing, ns per operation


def command(python: str, call: str) -> list[str]:
    """The command line that calls one of this module's functions in another interpreter and prints the result."""
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import json, probes; "
    return [python, "-c", f"{code}print(json.dumps(probes.{call}))"]


def ask(python: str, call: str, *, quiet: bool = False) -> Any:
    """Call one of this module's functions in another interpreter. What it has to complain is shown, unless `quiet`."""
    done = subprocess.run(command(python, call), check=False, capture_output=True, text=True, timeout=ASK_TIMEOUT)
    if done.returncode:
        raise SystemExit(f"probes.{call} failed in {python}:\n{done.stderr}")
    if not quiet:
        sys.stderr.write(done.stderr)
    return json.loads(done.stdout)


def why_absent(python: str, implementation: str) -> str:
    """Why another interpreter has not got a loop that may be absent; nothing if it has."""
    if not implementations.IMPLEMENTATIONS[implementation].may_fail:
        return ""
    return str(ask(python, f"error_of({implementation!r})"))


def version() -> str:
    """Like 3.14.10."""
    return platform.python_version()


def error_of(implementation: str) -> str:
    """The error of choosing this implementation; nothing if there is none."""
    try:
        implementations.select(implementation)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def workload_names() -> list[str]:
    """The workloads that this interpreter can run."""
    import workloads

    return list(workloads.available())


def description() -> str:
    """One line about this interpreter. CONFIG_ARGS may not tell all: Debian's rules add PGO and LTO elsewhere."""
    of_note = ("--enable-optimizations", "--with-lto", "--enable-experimental-jit", "--with-pydebug", "--disable-gil")
    given = [word.strip("'") for word in str(sysconfig.get_config_var("CONFIG_ARGS") or "").split()]
    options = " ".join(word for word in given if word.startswith(of_note)) or "no optimisation option"
    return f"CPython {version()}, {platform.python_compiler()}, CONFIG_ARGS has {options}"


def run_workload(implementation: str, name: str, warm_up: int, repetitions: int, collect: bool = False) -> None:
    """Run a workload and measure nothing, with or without the cyclic garbage collector."""
    loop_class = implementations.select(implementation)
    import asyncio

    import workloads

    async def run(count: int) -> None:
        await workloads.WORKLOADS[name].run(count)

    if not collect:
        gc.disable()
    with asyncio.Runner(loop_factory=loop_class) as runner:
        runner.run(run(warm_up))
        runner.run(run(repetitions))


def sizes(implementation: str) -> dict[str, int]:
    """Bytes of each kind of object, with what stands in front of it (`sys.getsizeof`)."""
    loop_class = implementations.select(implementation)
    import asyncio

    async def noop() -> None:
        pass

    async def futures_and_tasks() -> dict[str, int]:
        loop = asyncio.get_running_loop()
        scheduled: list[Any] = []

        def call_soon(callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:
            scheduled.append(callback)
            return asyncio.BaseEventLoop.call_soon(loop, callback, *args, context=context)  # type: ignore[arg-type]

        vars(loop)["call_soon"] = call_soon  # the only place where a step wrapper can be seen
        task = loop.create_task(noop())
        del vars(loop)["call_soon"]
        await task
        other = loop.create_task(noop())
        entry = vars(loop)["_ready"][-1]  # a Handle, or whatever the implementation puts in its place
        await other
        future = loop.create_future()
        return {
            "Future": sys.getsizeof(future),
            "Task": sys.getsizeof(task),
            "Future's iterator": sys.getsizeof(future.__await__()),
            "step wrapper": sys.getsizeof(scheduled[0]),
            "entry in asyncio's ready queue": sys.getsizeof(entry),
        }

    async def handles() -> dict[str, int]:
        loop = asyncio.get_running_loop()
        timer = loop.call_later(60, id, None)
        timer.cancel()
        return {"Handle": sys.getsizeof(loop.call_soon(id, None)), "TimerHandle": sys.getsizeof(timer)}

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        found = runner.run(futures_and_tasks())
    with asyncio.Runner(loop_factory=loop_class) as runner:
        return found | runner.run(handles())


def pending_bytes(implementation: str, kind: str, count: int) -> float:
    """Resident memory for each of many pending things, in bytes, with all that belongs to it."""
    loop_class = implementations.select(implementation)
    import asyncio

    def resident() -> int:
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    async def wait_for_ever() -> None:
        await asyncio.get_running_loop().create_future()

    async def tasks(number: int) -> list[asyncio.Task[None]]:
        made = [asyncio.create_task(wait_for_ever()) for _ in range(number)]
        await asyncio.sleep(0)
        return made

    async def timers(number: int) -> list[asyncio.TimerHandle]:
        loop = asyncio.get_running_loop()
        return [loop.call_later(3600 + index % 1000, id, None) for index in range(number)]

    async def callbacks(number: int) -> list[asyncio.Handle]:
        loop = asyncio.get_running_loop()
        return [loop.call_soon(id, None) for _ in range(number)]

    kinds: dict[str, Callable[[int], Awaitable[Sequence[object]]]]
    kinds = {"task": tasks, "timer": timers, "callback": callbacks}

    async def measure() -> float:
        kept = [await kinds[kind](1)]  # what the first one alone needs
        before = resident()
        kept.append(await kinds[kind](count))
        return (resident() - before) / count

    with asyncio.Runner(loop_factory=loop_class) as runner:
        return runner.run(measure())


def idle(implementation: str, seconds: float, far_timer: bool) -> tuple[int, float]:
    """What a loop that has nothing to do costs in this time: how often its thread waits anew, CPU seconds."""
    loop_class = implementations.select(implementation)
    import asyncio

    async def measure() -> tuple[int, float]:
        loop = asyncio.get_running_loop()
        if far_timer:
            loop.call_later(3600, id, None)
        over = loop.create_future()
        loop.add_signal_handler(signal.SIGALRM, over.set_result, None)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        before, start = resource.getrusage(resource.RUSAGE_THREAD), time.thread_time()
        await over
        after = resource.getrusage(resource.RUSAGE_THREAD)
        return after.ru_nvcsw - before.ru_nvcsw, time.thread_time() - start

    with asyncio.Runner(loop_factory=loop_class) as runner:
        return runner.run(measure())


def quick_figures(implementation: str, workloads: Sequence[str], repetitions: dict[str, int]) -> Figures:
    """The lowest CPU time of a few timings of each workload; NaN where the loop fails."""
    loop_class = implementations.select(implementation)
    import asyncio

    from workloads import WORKLOADS, Run, available

    async def timed(run: Run, count: int) -> float:
        gc.collect()
        start = time.process_time()
        await run(count)
        return time.process_time() - start

    def figure(workload: str) -> tuple[int, float]:
        entry = WORKLOADS[workload]
        with asyncio.Runner(loop_factory=loop_class) as runner:
            runner.run(timed(entry.run, 1))
            count = repetitions.get(workload, 1)
            while (seconds := runner.run(timed(entry.run, count))) < QUICK_TIMING and workload not in repetitions:
                count *= 2
            more = QUICK_TIMINGS - 1 if seconds < QUICK_LONG else 1
            best = min(seconds, *(runner.run(timed(entry.run, count)) for _ in range(more)))
        return count, best / (count * entry.operations) * 1e9

    figures = {}
    for workload in workloads or available():
        try:
            figures[workload] = figure(workload)
        except Exception as error:
            print(f"{implementation}: {workload}: {error!r}", file=sys.stderr)
            figures[workload] = 1, math.nan
    return figures


def import_seconds(clock: str, *modules: str) -> float:
    """How long the first import of these modules takes, one after the other."""
    read = CLOCKS[clock]
    start = read()
    for module in modules:
        __import__(module)
    return read() - start
