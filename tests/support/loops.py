"""The event loops that the tests of the loop run on: the stock loop, which is the reference, and the ways to ours."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import re
import selectors
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from . import impls
from .impls import SELECTORS, plain

#: What a fresh interpreter runs first. All of them define `new_loop`, and `run`, which is asyncio.run on such a loop.
_RUN = """
import asyncio
def run(main, debug=None):
    with asyncio.Runner(loop_factory=new_loop, debug=debug) as runner:
        return runner.run(main)
"""
_PRELUDES = {
    "stock": "import asyncio; new_loop = asyncio.SelectorEventLoop",
    # on our Future and Task, with the native poller
    "ours": "import rasyncio; rasyncio.install(loop=False); new_loop = rasyncio.EventLoop",
    # on CPython's own Future and Task
    "ours-c": "import rasyncio; new_loop = rasyncio.EventLoop",
    # with a selector from Python
    "ours-select": "import rasyncio, selectors; rasyncio.install(loop=False)\n"
    "def new_loop(): return rasyncio.EventLoop(selectors.SelectSelector())",
    # in debug mode, where connections are asyncio's own
    "ours-debug": "import rasyncio; rasyncio.install(loop=False)\n"
    "def new_loop(): loop = rasyncio.EventLoop(); loop.set_debug(True); return loop",
}
#: What the tests of the loop run on; those of connections run in debug mode, too.
ENGINES = ("stock", "ours", "ours-c", "ours-select")
WITH_DEBUG = tuple(_PRELUDES)
SELECTORS.update({f"loop {name}": f"{prelude}{_RUN}" for name, prelude in _PRELUDES.items()})


def run_fresh(name: str, body: str | Callable[..., object], *args: object, **options: Any) -> str:
    """`impls.run_fresh`; for an engine with `new_loop` and `run`."""
    return impls.run_fresh(f"loop {name}" if name in WITH_DEBUG else name, body, *args, **options)


class Engine:
    """One kind of event loop, while asyncio's Future and Task are those that it is to run on."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._made: list[Any] = []

    def __repr__(self) -> str:
        return f"<Engine {self.name}>"

    @property
    def ours(self) -> bool:
        return not self.name.startswith("stock")

    @property
    def debug(self) -> bool:
        return self.name.endswith("-debug")

    @property
    def loop_class(self) -> Any:
        """The class, to be subclassed; `arguments` are what an instance of this engine is made with."""
        if not self.ours:
            return asyncio.SelectorEventLoop
        import rasyncio

        return rasyncio.EventLoop

    @property
    def arguments(self) -> tuple[Any, ...]:
        return (selectors.SelectSelector(),) if self.name == "ours-select" else ()

    def new(self, loop_class: Any = None) -> Any:
        """A loop, of a subclass if one is given. It is closed at the end of the test."""
        loop = (loop_class or self.loop_class)(*self.arguments)
        if self.debug:
            loop.set_debug(True)
        self._made.append(loop)
        return loop

    def run(self, main: Coroutine[Any, Any, Any], *, debug: bool | None = None) -> Any:
        """asyncio.run on a loop of this kind."""
        debug = True if self.debug else debug
        with asyncio.Runner(loop_factory=lambda: self.loop_class(*self.arguments), debug=debug) as runner:
            return runner.run(main)

    def fresh(self, body: str | Callable[..., None], *args: object, **options: Any) -> str:
        """`run_fresh` with `new_loop` and `run` for this engine."""
        return run_fresh(self.name, body, *args, **options)

    def close(self) -> None:
        for loop in self._made:
            loop.close()
        self._made.clear()


@contextlib.contextmanager
def engine_for(name: str) -> Iterator[Engine]:
    """Switch Future and Task to what the engine runs on; close its loops and switch back at the end."""
    engine = Engine(name)
    with contextlib.ExitStack() as stack:
        if name in ("ours", "ours-select", "ours-debug"):
            import rasyncio

            rasyncio.install(loop=False)
            stack.callback(rasyncio.uninstall)
        stack.callback(engine.close)
        yield engine
        assert asyncio._get_running_loop() is None, "a running loop was left behind"


Say = Callable[[object], None]


def record(name: str, scenario: Callable[..., object], *args: object) -> list[str]:
    """What `scenario(engine, say, *args)` says on an engine, without what differs from run to run."""
    lines: list[str] = []
    with engine_for(name) as engine:
        class_name = engine.loop_class.__name__

        def say(thing: object) -> None:
            text = plain(thing if isinstance(thing, str) else repr(thing))
            text = re.sub(r"\bfd=\d+", "fd=N", re.sub(r"Task-\d+", "Task-N", text))
            lines.append(re.sub(rf"\b{class_name}\b", "Loop", text))

        scenario(engine, say, *args)
    assert lines, "the scenario said nothing"
    return lines


def same_as_stock(name: str, scenario: Callable[..., object], *args: object) -> list[str]:
    """Assert that a scenario comes out on an engine as on the stock loop (there: that it comes out the same twice)."""
    expected = record("stock-debug" if name.endswith("-debug") else "stock", scenario, *args)
    found = record(name, scenario, *args)
    assert found == expected, "\n".join(difflib.unified_diff(expected, found, "stock", name, lineterm=""))
    return expected


def tried(say: Say, action: Callable[[], object]) -> None:
    """Say what an action returned or raised."""
    try:
        say(action())
    except Exception as error:
        say(f"{type(error).__name__}: {error}")


def turn(loop: Any, times: int = 1) -> None:
    """Let the loop run this many whole iterations."""
    for _ in range(times):
        loop.call_soon(loop.stop)
        loop.run_forever()
