"""The floor: an event loop that does the least that can drive coroutines, to see how far others are from that limit.

For benchmarks only. Its tasks are stepped without a context (a program that sets context variables is not for it),
nobody lists them, names are dropped, nothing can be cancelled; a future has one waiter; the loop knows neither time nor
files nor threads. What a program wants beyond that raises `NotImplementedError`.

Importing it builds it, if the sources are newer than what was built for this Python, and puts what it knows of the
running loop and the current task in the place of what asyncio does.
"""

import asyncio
import importlib.machinery
import importlib.util
import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".cache" / "floor"
SOURCES = [HERE / "Cargo.toml", HERE / "Cargo.lock", *HERE.glob("src/*.rs")]


def build() -> Path:
    """The path of the extension module for this Python."""
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        raise ImportError("the floor needs a Python with the GIL")
    target = CACHE / str(sysconfig.get_config_var("SOABI"))
    library = target / "release" / "lib_floor.so"
    if not library.exists() or library.stat().st_mtime < max(source.stat().st_mtime for source in SOURCES):
        command = ["cargo", "build", "--release", "--locked", "--quiet", f"--target-dir={target}"]
        environment = os.environ | {"PYO3_PYTHON": sys.executable, "PYO3_BUILD_EXTENSION_MODULE": "1"}
        try:
            subprocess.run(command, check=True, cwd=HERE, env=environment, capture_output=True, text=True)
        except FileNotFoundError:
            raise ImportError("the floor is built by cargo, which is not there: https://rustup.rs") from None
        except subprocess.CalledProcessError as failure:
            raise ImportError(f"the floor cannot be built:\n{failure.stderr}") from None
        os.utime(library)  # cargo leaves it as it is if the sources are newer, but the same
    return library


def load(library: Path) -> ModuleType:
    """The extension module."""
    loader = importlib.machinery.ExtensionFileLoader("_floor", str(library))
    spec = importlib.util.spec_from_loader("_floor", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def refusal(what: str) -> Callable[..., NoReturn]:
    """A method that the floor has not got."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise NotImplementedError(f"the floor has no {what}")

    return refuse


def run_until_complete(loop: Any, awaitable: Any) -> Any:
    """Run the loop, which asyncio then knows as the running one."""
    future = awaitable if asyncio.isfuture(awaitable) else loop.create_task(awaitable)
    asyncio._set_running_loop(loop)
    try:
        return loop._run(future)
    finally:
        asyncio._set_running_loop(None)


def nothing_to_shut_down(loop: Any, *_: object) -> Any:
    """Something to run until it is complete."""
    future = loop.create_future()
    future.set_result(None)
    return future


def remove_done_callback(future: Any, _: object) -> int:
    """A future that is done has none left."""
    return 0 if future.done() else refusal("Future.remove_done_callback() of one that is pending")()


_floor = load(build())
Future = Task = _floor.Future  # a task is a future with a coroutine
Loop = _floor.Loop
Future._asyncio_future_blocking = False  # what makes it a future to asyncio
Future.get_loop = staticmethod(_floor.get_running_loop)
Future.remove_done_callback = remove_done_callback
Future.set_name = lambda task, name: None  # up to 3.12, asyncio.create_task(name=) calls it
Loop.run_until_complete = run_until_complete
Loop.shutdown_asyncgens = Loop.shutdown_default_executor = nothing_to_shut_down
Loop.is_running = lambda loop: _floor._get_running_loop() is loop
Loop.time = staticmethod(time.monotonic)
for ours, theirs in ((Future, asyncio.Task), (Loop, asyncio.AbstractEventLoop)):
    for name in dir(theirs):
        if not name.startswith("_") and not hasattr(ours, name):
            setattr(ours, name, refusal(f"{ours.__name__}.{name}()"))
asyncio.current_task = asyncio.tasks.current_task = _floor.current_task
for name in ("_get_running_loop", "get_running_loop"):
    setattr(asyncio, name, getattr(_floor, name))
    setattr(asyncio.events, name, getattr(_floor, name))
