"""Life of a process: interpreters and threads that come and go, tracers, debuggers, what runs at the end."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import rasyncio
from support.impls import MINOR
from support.loops import run_fresh

# --- interpreters

EMBEDDING = r"""
#include <Python.h>
#include <stdio.h>

int main(int count, char **arguments) { /* runs the code of the second argument in two interpreters, one by one */
    for (int i = 0; i < 2; i++) {
        PyConfig config;
        PyConfig_InitPythonConfig(&config);
        config.parse_argv = 0;
        PyStatus status = PyConfig_SetBytesString(&config, &config.program_name, arguments[1]);
        if (!PyStatus_Exception(status)) status = Py_InitializeFromConfig(&config);
        PyConfig_Clear(&config);
        if (PyStatus_Exception(status)) return 90;
        if (PyRun_SimpleString(arguments[2]) != 0) return 91;
        fflush(stdout);
        if (Py_FinalizeEx() < 0) return 92;
    }
    return 0;
}
"""
EMBEDDED = f"""
import sys
sys.path.insert(0, {str(Path(rasyncio.__file__).parents[1])!r})
try:
    import rasyncio
except ImportError as error:
    print(error)
else:
    rasyncio.install()
import asyncio
async def main():
    await asyncio.gather(*(asyncio.sleep(0.001) for _ in range(3)))
    return type(asyncio.get_running_loop()).__module__
print(asyncio.run(main()))
"""


def test_interpreter_that_is_made_anew(tmp_path: Path) -> None:
    """The second says clearly that it cannot have the extension module, and has asyncio as it is."""
    compiler, place = shutil.which("cc"), sysconfig.get_config_var("LIBDIR")
    version = sysconfig.get_config_var("LDVERSION")
    if compiler is None or not Path(place, f"libpython{version}.so").exists():
        pytest.skip("needs a C compiler, and a Python with its library to embed")
    (tmp_path / "embedding.c").write_text(EMBEDDING)
    flags = [f"-I{sysconfig.get_path('include')}", f"-L{place}", f"-lpython{version}", f"-Wl,-rpath,{place}"]
    subprocess.run([compiler, "embedding.c", "-o", "embedding", *flags], cwd=tmp_path, check=True)
    python = getattr(sys, "_base_executable", sys.executable)
    child = subprocess.run([tmp_path / "embedding", python, EMBEDDED], capture_output=True, text=True, timeout=50)
    text = "rasyncio's extension module was loaded by another interpreter of this process, and works in that one only"
    assert (child.returncode, child.stderr) == (0, "")
    assert child.stdout.splitlines() == ["rasyncio._loop", text, "asyncio.unix_events"]


def test_threads_by_the_thousand(engine_name: str) -> None:
    """Each with a loop of its own, four at a time; nothing is left of them."""

    def body() -> None:
        import asyncio
        import gc
        import threading

        async def main() -> None:
            inner = asyncio.create_task(asyncio.sleep(0.0001))
            asyncio.get_running_loop().call_soon_threadsafe(done.append, 1)
            await asyncio.gather(inner, asyncio.sleep(0))

        def work() -> None:
            for _ in range(5):
                run(main())  # noqa: F821

        def all_threads(count: int) -> None:
            for _ in range(count // 4):
                threads = [threading.Thread(target=work) for _ in range(4)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()

        done: list[int] = []
        all_threads(40)
        gc.collect()
        before = len(gc.get_objects())
        all_threads(160)
        gc.collect()
        print(len(done), len(gc.get_objects()) - before < 50)

    assert run_fresh(engine_name, body) == "1000 True\n"


# --- what looks at a program while it runs: the same on the stock loop and on ours

WATCHED = """
async def child(number):
    await asyncio.sleep(0)
    try:
        return await asyncio.shield(raises(number))
    except ValueError:
        return number
async def raises(number):
    await asyncio.sleep(0.001)
    raise ValueError(number)
async def main():
    future = asyncio.get_running_loop().create_future()
    future.add_done_callback(lambda _: None)
    asyncio.get_running_loop().call_later(0.001, lambda: future.set_result(5))
    return await future, await child(1), await asyncio.create_task(child(2))
"""

WATCHERS = {
    "settrace": """
def trace(frame, event, arg):
    if frame.f_code.co_filename == "watched":
        events.append((event, frame.f_code.co_name, frame.f_lineno))
        return trace
sys.settrace(trace)
result = run(main())
sys.settrace(None)
""",
    "setprofile": """
def profile(frame, event, arg):
    if frame.f_code.co_filename == "watched" and not event.startswith("c_"):
        events.append((event, frame.f_code.co_name))
sys.setprofile(profile)
result = run(main())
sys.setprofile(None)
""",
    "monitoring": """
tool, monitoring = sys.monitoring.PROFILER_ID, sys.monitoring
def note(name):
    return lambda code, *_: code.co_filename == "watched" and events.append((name, code.co_name))
monitoring.use_tool_id(tool, "test")
for name in ("PY_START", "PY_RESUME", "PY_YIELD", "PY_RETURN", "PY_THROW", "PY_UNWIND", "RAISE"):
    monitoring.register_callback(tool, getattr(monitoring.events, name), note(name))
monitoring.set_events(tool, sum(getattr(monitoring.events, name) for name in ("PY_START", "PY_RESUME", "PY_YIELD",
    "PY_RETURN", "PY_THROW", "PY_UNWIND", "RAISE")))
result = run(main())
monitoring.set_events(tool, 0)
""",
}


@pytest.mark.parametrize("watcher", WATCHERS)
def test_watchers_see_the_same(engine_name: str, watcher: str) -> None:
    if watcher == "monitoring" and MINOR < (3, 12):
        pytest.skip("sys.monitoring is new in 3.12")
    code = f"""import sys
events = []
exec(compile({WATCHED!r}, "watched", "exec"))
{WATCHERS[watcher]}
print(result, len(events) > 20)
print(*events, sep="\\n")
"""
    seen = run_fresh(engine_name, code)
    assert seen.startswith("(5, 1, 2) True\n")
    assert seen == run_fresh("stock", code)


def test_watchers_that_fail(engine_name: str) -> None:
    """A trace function may raise wherever code of the program begins to run: as if that code had."""

    def body() -> None:
        import asyncio
        import sys

        def trace(frame, event, arg):
            if frame.f_code is child.__code__ and event == "call":
                raise LookupError("out of a trace function")

        async def child():
            await asyncio.sleep(0)

        async def main():
            sys.settrace(trace)
            try:
                await asyncio.create_task(child())
            except LookupError as error:
                return str(error)
            finally:
                sys.settrace(None)

        print(run(main()), run(asyncio.sleep(0, "usable")))  # noqa: F821

    assert run_fresh(engine_name, body) == "out of a trace function usable\n"


def test_coverage(engine_name: str, tmp_path: Path) -> None:
    pytest.importorskip("coverage")
    code = f"""
    import coverage, sys
    sys.path.insert(0, {str(tmp_path)!r})
    measured = coverage.Coverage(data_file=None, include=[{str(tmp_path / "watched.py")!r}])
    measured.start()
    import watched
    print(run(watched.main()))
    measured.stop()
    print(measured.analysis(watched)[2])
    """
    (tmp_path / "watched.py").write_text(f"import asyncio\n{WATCHED}")
    assert run_fresh(engine_name, code, flags=()) == "(5, 1, 2)\n[]\n"


def test_pdb_in_a_coroutine(engine_name: str) -> None:
    """Stepping over an `await` comes back to the coroutine when it goes on."""
    code = """
    import io, pdb
    async def child(number):
        await asyncio.sleep(0.001)
        return number + 1
    async def main():
        debugger = pdb.Pdb(stdin=io.StringIO("next\\nnext\\np value\\nstep\\nwhere\\ncontinue\\n"), nosigint=True,
                           stdout=said, readrc=False)
        debugger.set_trace()
        value = await child(1)
        value += 40
        return value
    said = io.StringIO()
    print(run(main()))
    print("(Pdb) 42" in said.getvalue() or "(Pdb) 2" in said.getvalue(), "main()" in said.getvalue())
    """
    assert run_fresh(engine_name, code, flags=()) == "42\nTrue True\n"


def test_faulthandler_and_frozen_objects(engine_name: str) -> None:
    """Stacks are dumped out of a callback, a running task and a waiting loop; the collector freezes all there is."""

    def body() -> None:
        import asyncio
        import faulthandler
        import gc
        import tempfile

        async def main() -> None:
            tasks = [asyncio.create_task(asyncio.sleep(0.01)) for _ in range(5)]
            asyncio.get_running_loop().call_soon(faulthandler.dump_traceback, file)
            faulthandler.dump_traceback_later(0.05, file=file)
            gc.freeze()
            faulthandler.dump_traceback(file)
            await asyncio.gather(*tasks)
            await asyncio.sleep(0.2)
            faulthandler.cancel_dump_traceback_later()

        with tempfile.TemporaryFile() as file:
            run(main())  # noqa: F821
            gc.collect()
            gc.unfreeze()
            gc.collect()
            run(asyncio.sleep(0.001))  # noqa: F821
            file.seek(0)
            print(file.read().count(b"in main") >= 1)

    assert run_fresh(engine_name, body) == "True\n"


# --- the end


def test_at_exit(engine_name: str) -> None:
    """Functions of `atexit`, and of `threading`'s end, may run loops; finalisers may fail then."""

    def body() -> None:
        import asyncio
        import atexit
        import sys
        import threading

        class Fails:
            def __del__(self) -> None:
                raise LookupError("too late")

        async def main() -> str:
            await asyncio.sleep(0.001)
            return await asyncio.wait_for(asyncio.sleep(0, "ran"), 5)

        atexit.register(lambda: print(run(main())))  # noqa: F821
        threading._register_atexit(lambda: print(run(main())))  # noqa: F821
        loop = new_loop()  # noqa: F821
        future = loop.create_future()
        future.set_result(Fails())
        loop.call_soon(print, Fails())
        sys.kept = loop, future
        sys.unraisablehook = lambda unraised, write=sys.__stdout__.write: write(f"{unraised.exc_value}\n")

    said = run_fresh(engine_name, body, flags=("-Wignore",)).splitlines()
    assert said[:2] == ["ran", "ran"] and set(said[2:]) <= {"too late"}


def test_exit_without_an_end(engine_name: str) -> None:
    """`os._exit` in a callback, with tasks, timers and another thread's loop at work."""

    def body() -> None:
        import asyncio
        import os
        import threading

        async def busy() -> None:
            while True:
                await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0.001))

        async def main() -> None:
            asyncio.get_running_loop().call_later(0.02, os._exit, 7)
            await busy()

        threading.Thread(target=lambda: run(busy()), daemon=True).start()  # noqa: F821
        run(main())  # noqa: F821

    assert run_fresh(engine_name, body, status=7, stderr="") == ""
