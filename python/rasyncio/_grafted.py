"""`grafted()`: which of asyncio's functions native code stands in for, and why not for the others."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from . import _asyncio, _graft


@dataclass(frozen=True)
class Grafted:
    """What is grafted in this process; its str() is for people."""

    #: The functions that native code does the usual case of, as "asyncio.locks.Event.wait".
    on: tuple[str, ...]
    #: Those that could be grafted and run their Python bodies now, with the reason.
    off: dict[str, str]

    def __str__(self) -> str:
        lines = [f"{len(self.on)} of {len(self.on) + len(self.off)} functions of asyncio's are grafted"]
        lines += [f"  {name}" for name in self.on]
        lines += [f"! {name}: {reason}" for name, reason in self.off.items()]
        return "\n".join(lines)


def grafted() -> Grafted:
    """Which of asyncio's functions native code stands in for at this moment, and why not for the others.

    A function that is on may still leave a call to its Python body: in debug mode, on another loop than rasyncio's, for
    an object of a subclass, or one that has a method replaced.
    """
    on: list[str] = []
    off: dict[str, str] = {}
    if sys.version_info < (3, 12):
        return Grafted((), {"asyncio": _graft.why_not})
    for place, (module, path) in enumerate(_asyncio._grafts()):
        name = f"{module}.{path}"
        reason = _graft.why_not or _graft.failures.get(name) or _asyncio._graft_standing(place)
        if reason:
            off[name] = reason
        else:
            on.append(name)
    return Grafted(tuple(on), off)
