"""Loaded by a `.pth` file at the start of every process of a harness venv, whatever its mode.

Two duties. At exit each process that imported asyncio says what of rasyncio it ran on (`processes.jsonl` in the venv).
In a `python -m test` process each test is written to the journal when it starts and when it ends, so that run.py
knows its outcome even if the process dies, and which test it was that hung; and in the modes loop and alone the tests
find our event loop wherever they reach for one of asyncio's.
"""

from __future__ import annotations

import atexit
import importlib.machinery
import json
import os
import sys
from types import ModuleType

TYPE_CHECKING = False  # typing would be imported into every process
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from typing import Any
    from unittest import TestCase
    from unittest.result import TestResult as Result

loops_run: set[str] = set()
"""Which kinds of event loop ran in the test that is running: "ours", "stock"."""


def in_use() -> str:
    """What asyncio runs on: "types" for our Future and Task, "loop" for our event loop, both or nothing."""
    return " ".join(name for name, used in (("types", types_in_use()), ("loop", loop_in_use())) if used)


def types_in_use() -> bool:
    """Whether asyncio runs on the extension module that was installed into this venv, and on nothing else.

    `asyncio.Future` itself is not asked: from 3.14 on test_free_threading leaves the one written in Python there.
    """
    ours = sys.modules.get("rasyncio._asyncio")
    if ours is None or ours.__spec__ is None or ours.__file__ is None:
        return False
    tasks, futures = sys.modules["asyncio.tasks"], sys.modules["asyncio.futures"]
    return (
        isinstance(ours.__spec__.loader, importlib.machinery.ExtensionFileLoader)
        and ours.__file__.startswith(sys.prefix)
        and sys.modules.get("_asyncio") is ours
        and getattr(tasks, "_CTask", None) is ours.Task
        and getattr(futures, "_CFuture", None) is ours.Future
        and tasks.Task is ours.Task
    )


def loop_in_use() -> bool:
    """Whether asyncio makes loops of ours, and with a base from the extension module. One is made to see it."""
    from asyncio import events

    policy: object = events._event_loop_policy  # type: ignore[attr-defined]
    loop = events.new_event_loop()
    loop.close()
    events._event_loop_policy = policy  # type: ignore[attr-defined]
    return is_ours(loop)


def is_ours(loop: AbstractEventLoop) -> bool:
    """Whether the loop is a rasyncio.EventLoop with its native base."""
    extension = sys.modules.get("rasyncio._asyncio")
    return (
        extension is not None
        and any(base in vars(extension).values() for base in type(loop).__mro__)
        and isinstance(loop, sys.modules["rasyncio"].EventLoop)
    )


def record_process() -> None:
    """Append this process to the list of those that used asyncio."""
    if "asyncio.tasks" in sys.modules:
        record = {"pid": os.getpid(), "argv": sys.orig_argv, "in_use": in_use()}
        # Unbuffered, so that it is one write: processes share the file.
        with open(os.path.join(sys.prefix, "processes.jsonl"), "ab", buffering=0) as file:
            file.write(f"{json.dumps(record)}\n".encode())


def keep_journal(path: str) -> None:
    """Write each test's start and end to the journal; tests that a test runs are part of that one.

    TestResult is what gets patched: a frame more around TestCase.run would be seen by tests about warnings.
    """
    from unittest import TestResult

    journal = open(path, "a", buffering=1)  # noqa: SIM115 - open as long as the process lives
    owner = os.getpid()
    start_test, stop_test, add_skip = TestResult.startTest, TestResult.stopTest, TestResult.addSkip
    running: TestCase | None = None
    before: list[int] = []

    def write(**record: object) -> None:
        journal.write(json.dumps(record) + "\n")

    def entries(result: Result) -> list[tuple[str, list[str]]]:
        return [
            ("failed", [text for _, text in result.failures]),
            ("failed", [text for _, text in result.errors]),
            ("failed", ["unexpected success" for _ in result.unexpectedSuccesses]),
            ("skipped", [reason for _, reason in result.skipped]),
        ]

    def start(self: Result, test: TestCase) -> None:
        nonlocal running, before
        start_test(self, test)
        if running is None and os.getpid() == owner:
            running = test
            before = [len(texts) for _, texts in entries(self)]
            loops_run.clear()
            write(start=test.id(), in_use=in_use() if "asyncio.tasks" in sys.modules else None)

    def stop(self: Result, test: TestCase) -> None:
        nonlocal running
        stop_test(self, test)
        if running is test and os.getpid() == owner:
            running = None
            new = [(kind, texts[n:]) for (kind, texts), n in zip(entries(self), before, strict=True)]
            outcome, texts = next(((kind, texts) for kind, texts in new if texts), ("passed", []))
            write(end=test.id(), outcome=outcome, details="\n".join(texts)[-6000:], loops=sorted(loops_run))

    def skip(self: Result, test: TestCase, reason: str) -> None:
        # 3.12.1 does not start a test whose decorator says skip.
        add_skip(self, test, reason)
        if running is None and os.getpid() == owner and test.countTestCases():
            write(end=test.id(), outcome="skipped", details=reason, in_use=None)

    TestResult.startTest = start  # type: ignore[method-assign]
    TestResult.stopTest = stop  # type: ignore[method-assign]
    TestResult.addSkip = skip  # type: ignore[method-assign]


def take_the_loops_place() -> None:
    """Put our event loop in the place of those that asyncio has, for tests that make one by its name.

    From the outside that is asyncio.SelectorEventLoop and its other names. The abstract classes below it cannot be
    replaced for good, since asyncio's own code and mock.patch() need the real ones: while a test module is executed it
    finds ours, to derive from.
    """
    import asyncio
    import selectors
    from asyncio import (
        base_events,
        proactor_events,  # noqa: F401 - derives its loop now, from the real ones
        selector_events,
        unix_events,
    )
    from functools import partial

    import rasyncio

    class BaseEventLoop(rasyncio.EventLoop):
        """Ours as BaseEventLoop is: what it polls with comes from the test or the subclass."""

        def __init__(self) -> None:
            super().__init__(selectors.SelectSelector())

        def _make_self_pipe(self) -> None:
            self._ssock = self._csock = None

        def _close_self_pipe(self) -> None:
            pass

    class Finder:
        """Gives the modules of test_asyncio their loader with our way to execute them."""

        @staticmethod
        def find_spec(name: str, path: Any = None, target: object = None) -> Any:
            spec: Any = None
            if name.startswith("test.test_asyncio."):
                spec = importlib.machinery.PathFinder.find_spec(name, path)
            if spec is not None:
                spec.loader.exec_module = partial(execute, spec.loader.exec_module)
            return spec

    def derive_from(base: type, selector: type) -> None:
        vars(base_events)["BaseEventLoop"] = base
        vars(selector_events)["BaseSelectorEventLoop"] = selector

    def execute(as_usual: Any, module: Any) -> None:
        stock = base_events.BaseEventLoop, selector_events.BaseSelectorEventLoop
        derive_from(BaseEventLoop, rasyncio.EventLoop)
        try:
            as_usual(module)
        finally:
            derive_from(*stock)
        if hasattr(module, "BaseEventLoopTests"):  # makes base_events.BaseEventLoop() when its tests run
            module.base_events = ModuleType(base_events.__name__)
            vars(module.base_events).update(vars(base_events), BaseEventLoop=BaseEventLoop)
        if hasattr(module, "EPollEventLoopTests"):  # with a selector given ours would not poll natively
            module.EPollEventLoopTests.create_event_loop = lambda test: rasyncio.EventLoop()

    def count_runs(cls: type[AbstractEventLoop]) -> None:
        run_forever = cls.run_forever

        def counted(self: AbstractEventLoop) -> None:
            loops_run.add("ours" if is_ours(self) else "stock")
            run_forever(self)

        cls.run_forever = counted  # type: ignore[method-assign]

    count_runs(base_events.BaseEventLoop)
    count_runs(rasyncio.EventLoop)
    vars(asyncio)["BaseEventLoop"] = BaseEventLoop
    for namespace in (vars(asyncio), vars(unix_events)):
        for name in {"SelectorEventLoop", "_UnixSelectorEventLoop", "EventLoop"} & namespace.keys():
            namespace[name] = rasyncio.EventLoop
    sys.meta_path.insert(0, Finder)


def leave_debug_mode_off() -> None:
    """Have unittest's asyncio tests run as programs do: in debug mode, which they turn on, nothing is grafted."""
    from unittest import IsolatedAsyncioTestCase

    set_up: Any = IsolatedAsyncioTestCase._setupAsyncioRunner  # type: ignore[attr-defined]

    def set_up_runner(self: Any) -> None:
        set_up(self)
        self._asyncioRunner._debug = False

    IsolatedAsyncioTestCase._setupAsyncioRunner = set_up_runner  # type: ignore[attr-defined]


def start(mode: str) -> None:
    """What the `.pth` file calls."""
    atexit.register(record_process)
    if sys.orig_argv[1:3] == ["-m", "test"] and "RASYNCIO_JOURNAL" in os.environ:
        keep_journal(os.environ.pop("RASYNCIO_JOURNAL"))
        if mode in ("loop", "alone"):
            take_the_loops_place()
        if os.environ.get("RASYNCIO_TESTS_DEBUG") == "0":
            leave_debug_mode_off()
