"""Loaded by a `.pth` file at the start of every process of a harness venv, with or without the swap.

Two duties. At exit each process that imported asyncio says on which implementation it ran (`processes.jsonl` in the
venv). In a `python -m test` process each test is written to the journal when it starts and when it ends, so that run.py
knows its outcome even if the process dies, and which test it was that hung.
"""

from __future__ import annotations

import atexit
import importlib.machinery
import json
import os
import sys

TYPE_CHECKING = False  # typing would be imported into every process
if TYPE_CHECKING:
    from unittest import TestCase
    from unittest.result import TestResult as Result


def swapped() -> bool:
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


def record_process() -> None:
    """Append this process to the list of those that used asyncio."""
    if "asyncio.tasks" in sys.modules:
        record = {"pid": os.getpid(), "argv": sys.orig_argv, "swapped": swapped()}
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
            write(start=test.id(), swapped=swapped() if "asyncio.tasks" in sys.modules else None)

    def stop(self: Result, test: TestCase) -> None:
        nonlocal running
        stop_test(self, test)
        if running is test and os.getpid() == owner:
            running = None
            new = [(kind, texts[n:]) for (kind, texts), n in zip(entries(self), before, strict=True)]
            outcome, texts = next(((kind, texts) for kind, texts in new if texts), ("passed", []))
            write(end=test.id(), outcome=outcome, details="\n".join(texts)[-6000:])

    def skip(self: Result, test: TestCase, reason: str) -> None:
        # 3.12.1 does not start a test whose decorator says skip.
        add_skip(self, test, reason)
        if running is None and os.getpid() == owner and test.countTestCases():
            write(end=test.id(), outcome="skipped", details=reason, swapped=None)

    TestResult.startTest = start  # type: ignore[method-assign]
    TestResult.stopTest = stop  # type: ignore[method-assign]
    TestResult.addSkip = skip  # type: ignore[method-assign]


atexit.register(record_process)
if sys.orig_argv[1:3] == ["-m", "test"] and "RASYNCIO_JOURNAL" in os.environ:
    keep_journal(os.environ.pop("RASYNCIO_JOURNAL"))
