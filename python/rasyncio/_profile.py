"""Whose steps take the loops' time, by coroutine function: `rasyncio.profile()`.

Native code times each step while a profile is on, at the price of some hundred nanoseconds. Off, it costs nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from types import CodeType, TracebackType
from typing import Any

from ._loop import EventLoop, loops, profiles
from ._variables import complain

#: The variable of the environment that turns a profile on, from the first loop on.
VARIABLE = "RASYNCIO_PROFILE"
#: Whether it was looked at.
_is_asked = False


@dataclass(frozen=True, slots=True)
class FunctionProfile:
    """The steps of all tasks of one coroutine function, or all calls of one callback."""

    name: str
    """The function's qualified name, or that of the callback's type if it is no function of Python's."""
    place: str | None
    """Where it is, as `file:line`; None if it is no function of Python's."""
    steps: int
    """How many steps, or calls, there were."""
    seconds_busy: float
    """What they took in all. What a step starts eagerly (eager tasks) is part of it."""
    seconds_longest: float
    """What the longest of them took: for so long nothing else could run."""
    seconds_waiting: float
    """The time between a task's steps, of all tasks: in which they waited for something, or for their turn."""


class Profile:
    """Times the steps of all loops of rasyncio, from `start()` to `stop()`; or as a context manager.

    `functions` has the result, at any time. One profile is on at a time; one that a viewer (`python -m rasyncio top
    --profile`) or the environment has turned on ends when the program begins one itself.
    """

    def __init__(self, *, gives_way: bool = False) -> None:
        self._gives_way = gives_way
        self._functions: tuple[FunctionProfile, ...] | None = None

    def start(self) -> None:
        """Begin, anew if it was on before. RuntimeError if another profile is on."""
        for other in list(profiles):
            if isinstance(other, Profile) and other is not self:
                if not other._gives_way:
                    raise RuntimeError("another profile is on: stop() it first")
                other.stop()
        profiles[:] = [self]
        self._functions = None
        for loop in list(loops.values()):
            loop._profile(True)

    def stop(self) -> None:
        """End; a second call does nothing."""
        if profiles != [self]:
            return
        self._functions = self.functions
        profiles.clear()
        for loop in list(loops.values()):
            loop._profile(False)

    def __enter__(self) -> Profile:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def functions(self) -> tuple[FunctionProfile, ...]:
        """What was found so far, those that took most first; of loops that still exist."""
        if profiles == [self]:
            return _merged(row for loop in list(loops.values()) for row in loop._profiled())
        return self._functions or ()

    def report(self, limit: int = 20) -> str:
        """The same as a table of text, of `limit` functions at most."""
        lines = [f"{'busy s':>10} {'longest s':>10} {'waiting s':>10} {'steps':>9}  function"]
        for each in self.functions[:limit]:
            where = f" ({each.place})" if each.place else ""
            lines.append(
                f"{each.seconds_busy:10.4f} {each.seconds_longest:10.4f} {each.seconds_waiting:10.4f} "
                f"{each.steps:9}  {each.name}{where}"
            )
        return "\n".join(lines)


def profile() -> Profile:
    """Make a profile, to be used as `with rasyncio.profile() as found: ...`, and read by `found.report()`.

    Loops that exist are timed, and those that are made while it is on.
    """
    return Profile()


def profile_if_asked() -> None:
    """Profile, if RASYNCIO_PROFILE in the environment says so; say on stderr what is wrong with it."""
    global _is_asked
    value = os.environ.get(VARIABLE, "")
    if value in ("", "0") or _is_asked:
        return
    _is_asked = True
    if value != "1":
        complain(VARIABLE, "1 or 0", value)
    elif not profiles:
        Profile(gives_way=True).start()


def of_loop(loop: EventLoop) -> tuple[FunctionProfile, ...]:
    """Tell what the present profile, or the last one, has found on the loop."""
    return _merged(loop._profiled())


def _merged(rows: Iterable[tuple[Any, int, float, float, float]]) -> tuple[FunctionProfile, ...]:
    """One of each function: several loops may have run it."""
    found: dict[tuple[str, str | None], FunctionProfile] = {}
    for of, steps, busy, longest, waiting in rows:
        key = _named(of)
        before = found.get(key, FunctionProfile(*key, 0, 0.0, 0.0, 0.0))
        found[key] = FunctionProfile(
            *key,
            before.steps + steps,
            before.seconds_busy + busy,
            max(before.seconds_longest, longest),
            before.seconds_waiting + waiting,
        )
    return tuple(sorted(found.values(), key=lambda each: each.seconds_busy, reverse=True))


def _named(of: Any) -> tuple[str, str | None]:
    if isinstance(of, CodeType):
        return of.co_qualname, f"{of.co_filename}:{of.co_firstlineno}"
    name = getattr(of, "__qualname__", None)
    return (name if isinstance(name, str) else repr(of)), None
