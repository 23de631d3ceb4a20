"""Event loops of four methods, which are all that Future and Task ask of one. Child processes can import them too."""

from __future__ import annotations

import asyncio
import collections
import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple


class QuietLoop:
    """Runs nothing, keeps nothing, says nothing."""

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return False

    def call_soon(self, callback: Callable[..., object], *args: object, context: Any = None) -> None:
        """Run nothing."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Say nothing."""


class Entry(NamedTuple):
    """What a task or a future gave to `call_soon`."""

    callback: Callable[..., object]
    args: tuple[object, ...]
    context: Any


class MockLoop(QuietLoop):
    """Runs only when it is told to, in order, and keeps what is reported."""

    def __init__(self, *, debug: bool = False) -> None:
        self.debug = debug
        self.running = False
        self.ready: collections.deque[Entry] = collections.deque()
        self.reports: list[dict[str, Any]] = []

    def get_debug(self) -> bool:
        return self.debug

    def is_running(self) -> bool:
        return self.running

    def call_soon(self, callback: Callable[..., object], *args: object, context: Any = None) -> None:
        self.ready.append(Entry(callback, args, context))

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.reports.append(context)

    def __repr__(self) -> str:
        return "<MockLoop>"

    @contextlib.contextmanager
    def as_running(self) -> Iterator[None]:
        """Be this thread's running loop for a while."""
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self)  # type: ignore[arg-type]
        try:
            yield
        finally:
            asyncio._set_running_loop(before)

    def step(self) -> object:
        """Run the first thing that was scheduled."""
        entry = self.ready.popleft()
        with self.as_running():
            return (
                entry.callback(*entry.args) if entry.context is None else entry.context.run(entry.callback, *entry.args)
            )

    def run(self, limit: int = 10_000) -> None:
        """Run everything that is scheduled, and what that schedules."""
        for _ in range(limit):
            if not self.ready:
                return
            self.step()
        raise AssertionError(f"still busy after {limit} steps")
