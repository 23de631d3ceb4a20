"""The three implementations that the tests run on, and the switch between them.

`python` is the standard library's own `_PyFuture` and `_PyTask`, `c` is CPython's `_asyncio`, `ours` is `rasyncio`.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import re
import subprocess
import sys
import textwrap
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .children import TESTS, run_python

IMPLEMENTATIONS = ("python", "c", "ours")
MINOR = sys.version_info[:2]
PATCH = sys.version_info[:3]
#: CPython's own `_asyncio`, from before any swap; in a list, since a swap re-points every module's name that holds it.
_ORIGINAL = [sys.modules["_asyncio"]]

#: What a fresh interpreter runs first, to be on an implementation from the start.
SELECTORS = {
    "python": "import sys; sys.modules['_asyncio'] = None",
    "c": "",
    "ours": "import rasyncio; rasyncio.install(loop=False)",
}


def c_module() -> types.ModuleType:
    """CPython's own `_asyncio`, also while ours is in its place."""
    return _ORIGINAL[0]


@dataclass(frozen=True)
class Fix:
    """A change that CPython's `_asyncio` got in a patch release.

    Ours has it on every minor version that `since` names if it mends a crash, a hang or a leak; what a program could
    want the one way or the other (`follows`) is as in the interpreter that runs.
    """

    reason: str
    #: minor version -> first patch release that has it; minors that never got it are absent.
    since: dict[tuple[int, int], int]
    follows: bool = False

    def in_c(self) -> bool:
        """Whether the running CPython's C module has it."""
        return MINOR in self.since and PATCH[2] >= self.since[MINOR]

    def in_ours(self) -> bool:
        """Whether rasyncio must have it."""
        return self.in_c() if self.follows else MINOR in self.since


class Impl:
    """One implementation, while asyncio is switched to it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.Future: type = asyncio.Future
        self.Task: type = asyncio.Task

    def __repr__(self) -> str:
        return f"<Impl {self.name}>"

    @property
    def native(self) -> bool:
        """C or ours, which must agree; the pure Python classes differ from both by CPython's own design."""
        return self.name != "python"

    def has(self, fix: Fix) -> bool:
        """Whether this native implementation has the fix."""
        assert self.native
        return fix.in_ours() if self.name == "ours" else fix.in_c()

    def run(self, body: str | Callable[..., None], *args: object, **options: Any) -> str:
        """`run_fresh` on this implementation."""
        return run_fresh(self.name, body, *args, **options)


def run_on(name: str, code: str, *, path: Sequence[Path] = (), **options: Any) -> subprocess.CompletedProcess[str]:
    """`run_python` on implementation `name`. The code can import `support`."""
    return run_python(f"{SELECTORS[name]}\n{textwrap.dedent(code)}", path=[TESTS, *path], **options)


def run_fresh(
    name: str,
    body: str | Callable[..., None],
    *args: object,
    status: int = 0,
    stderr: str | None = None,
    flags: tuple[str, ...] = ("-Werror",),
    path: Sequence[Path] = (),
    timeout: float = 60,
) -> str:
    """Run code in a fresh interpreter on implementation `name`; check the exit status, return what it printed.

    `body` is code, or a function that imports what it needs, whose source is run there and called with `args`.
    With `stderr` given (a regular expression), that must match the whole of the child's stderr.
    """
    if callable(body):
        source = textwrap.dedent(inspect.getsource(body))
        source = source[source.index("def ") :]  # without decorators
        body = f"{source}\n{body.__name__}(*{args!r})\n"
    child = run_on(name, body, path=path, flags=("-Xfaulthandler", *flags), timeout=timeout)
    report = f"exit status {child.returncode} on {name}\n--- stdout\n{child.stdout}\n--- stderr\n{child.stderr[-4000:]}"
    assert child.returncode == status, report
    if stderr is not None:
        assert re.fullmatch(stderr, child.stderr, re.DOTALL), report
    return child.stdout


@contextlib.contextmanager
def switched(name: str) -> Iterator[Impl]:
    """Switch asyncio to an implementation, and back to CPython's own at the end."""
    if name == "ours":
        import rasyncio

        rasyncio.install(loop=False)
        try:
            assert asyncio.Task is rasyncio.Task
            yield Impl(name)
        finally:
            rasyncio.uninstall()
    elif name == "python":
        with _pure_python():
            yield Impl(name)
    else:
        assert asyncio.Task is c_module().Task
        yield Impl(name)


@contextlib.contextmanager
def _pure_python() -> Iterator[None]:
    """Put the standard library's `_py_*` functions and `_Py*` classes where its C ones are."""
    events, futures, tasks = asyncio.events, asyncio.futures, asyncio.tasks
    patches: list[tuple[types.ModuleType, str, Any]] = []
    for module in (events, futures, tasks):
        for alias, value in vars(module).items():
            if alias.startswith("_py_"):
                name = alias.removeprefix("_py_")
                patches.append((module, name if hasattr(module, name) else f"_{name}", value))
    patches += [
        (futures, "Future", futures._PyFuture),
        (tasks, "Task", tasks._PyTask),
        (tasks, "_GatheringFuture", _rebased(tasks._GatheringFuture, futures._PyFuture)),
    ]
    if MINOR >= (3, 12):
        patches.append((tasks, "eager_task_factory", tasks.create_eager_task_factory(tasks._PyTask)))
    patches += [(asyncio, name, value) for _, name, value in patches if hasattr(asyncio, name)]
    saved = [(module, name, getattr(module, name)) for module, name, _ in patches]
    for module, name, value in patches:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, name, value in saved:
            setattr(module, name, value)


def _rebased(cls: type, base: type) -> type:
    """The same class body on another base, with the `__class__` cell of its methods (for `super()`) re-pointed."""
    cell = types.CellType()

    def method(value: object) -> object:
        if isinstance(value, types.FunctionType) and "__class__" in value.__code__.co_freevars:
            return types.FunctionType(value.__code__, value.__globals__, value.__name__, value.__defaults__, (cell,))
        return value

    body = {k: method(v) for k, v in vars(cls).items() if k not in ("__dict__", "__weakref__")}
    cell.cell_contents = type(cls.__name__, (base,), body)
    return cell.cell_contents  # type: ignore[no-any-return]


def plain(text: str) -> str:
    """A repr or message without what differs from run to run: addresses and line numbers."""
    return re.sub(r"(?<=:)\d+(?=[>:,\]])", "N", re.sub(r"0x[0-9a-f]+", "0x", text))


def outcome(action: Callable[[], object]) -> str:
    """What an action did, as text: the repr of its value, or the exception's type and message."""
    try:
        return plain(repr(action()))
    except BaseException as error:
        return plain(f"{type(error).__name__}: {error}")


#: Runs in the child of `evaluate`: one line of output for each expression, flushed, so that a crash shows where it was.
_EVALUATE = """
import re, sys
for index, expression in enumerate({expressions!r}):
    try:
        result = repr(eval(expression, fresh()))
    except BaseException as error:
        result = f"{{type(error).__name__}}: {{error}}"
    print(index, re.sub("0x[0-9a-f]+", "0x", result).replace(chr(10), " | "), flush=True)
"""

CRASH = "the interpreter crashed"


def evaluate(name: str, setup: str, expressions: list[str], path: Sequence[Path] = ()) -> dict[str, str]:
    """The outcome of each expression on an implementation, in fresh interpreters; `CRASH` where one died.

    `setup` is code that defines `fresh()`, which makes the namespace for one expression. It can import `support`, and
    what is in the directories of `path`.
    """
    results: dict[str, str] = {}
    while len(results) < len(expressions):
        todo = expressions[len(results) :][:500]  # an argument has a greatest length, and a child its time
        child = run_on(name, setup + _EVALUATE.format(expressions=todo), flags=(), path=path)
        lines = child.stdout.splitlines()
        results |= {todo[int(line.split(" ", 1)[0])]: line.split(" ", 1)[1] for line in lines}
        if len(lines) < len(todo):
            assert child.returncode < 0, f"exit status {child.returncode} on {name}\n{child.stderr}"
            results[todo[len(lines)]] = CRASH
    return results
