"""What runs inside a measured interpreter, apart from pyperf's worker. Standard library only, no asyncio at the top:
`implementations.select` has to come before it."""

import gc
import json
import platform
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

import implementations

ASK_TIMEOUT = 60.0
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def command(python: str, call: str) -> list[str]:
    """The command line that calls one of this module's functions in another interpreter and prints the result."""
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import json, probes; "
    return [python, "-c", f"{code}print(json.dumps(probes.{call}))"]


def ask(python: str, call: str) -> Any:
    """Call one of this module's functions in another interpreter."""
    done = subprocess.run(command(python, call), check=False, capture_output=True, text=True, timeout=ASK_TIMEOUT)
    if done.returncode:
        raise SystemExit(f"probes.{call} failed in {python}:\n{done.stderr}")
    return json.loads(done.stdout)


def version() -> str:
    """Like 3.14.10."""
    return platform.python_version()


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


def run_workload(implementation: str, name: str, warm_up: int, repetitions: int) -> None:
    """Run a workload and measure nothing, without the cyclic garbage collector."""
    implementations.select(implementation)
    import asyncio

    import workloads

    async def run(count: int) -> None:
        await workloads.WORKLOADS[name].run(count)

    gc.disable()
    with asyncio.Runner() as runner:
        runner.run(run(warm_up))
        runner.run(run(repetitions))


def sizes(implementation: str) -> dict[str, int]:
    """Bytes of each kind of object, with what stands in front of it (`sys.getsizeof`)."""
    implementations.select(implementation)
    import asyncio

    async def noop() -> None:
        pass

    async def look() -> dict[str, int]:
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
            "entry in the ready queue": sys.getsizeof(entry),
        }

    return asyncio.run(look())


def import_seconds(clock: str, *modules: str) -> float:
    """How long the first import of these modules takes, one after the other."""
    read = CLOCKS[clock]
    start = read()
    for module in modules:
        __import__(module)
    return read() - start
