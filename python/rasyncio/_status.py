"""`status()`: what runs in this process, and what does not, with the remedy."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Any

from . import _other_loop, _startup
from ._native import ours, shares_state
from ._swap import installed


@dataclass(frozen=True)
class Status:
    """What a process uses of rasyncio; its str() is for people."""

    version: str
    """The version of rasyncio."""
    python: str
    """The version of the Python that runs."""
    future_and_task: str
    """Whose Future and Task asyncio uses: "rasyncio" or "CPython"."""
    event_loop: str
    """The class of the loops that asyncio.run() and asyncio.new_event_loop() make, as "module.name"."""
    running: str | None
    """The class of the loop that runs in this thread, as "module.name"; None if none runs."""
    transports: str
    """Whose transports those loops have."""
    tls: str
    """Whose TLS."""
    streams: str
    """Whose streams."""
    grafts: str
    """How many functions of asyncio's native code stands in for, or why for none; rasyncio.grafted() lists them."""
    state: str
    """Whose places running loop, current task and tasks are in: "CPython's", where its module and debuggers find them,
    or "rasyncio's own"."""
    children: str | None
    """What RASYNCIO says to the Python processes that this one starts; None if it is not set."""
    remarks: tuple[str, ...]
    """What is not rasyncio's though it was asked for, why, and what to do about it: a sentence each. Empty where all is
    as it should be, so that an alarm can be made of them."""
    hints: tuple[str, ...]
    """What is not rasyncio's as nobody asked for it, and what to do if it should be: a sentence each."""

    def __str__(self) -> str:
        rows = [
            ("rasyncio", f"{self.version} on Python {self.python}"),
            ("Future and Task", self.future_and_task),
            ("event loop", self.event_loop + (f"; running: {self.running}" if self.running else "")),
            ("transports", self.transports),
            ("TLS", self.tls),
            ("streams", self.streams),
            ("grafts", self.grafts),
            ("state of loops and tasks", self.state),
            ("child processes", self._children()),
        ]
        width = max(len(name) for name, _ in rows)
        lines = [f"{name:{width}}  {text}" for name, text in rows]
        return "\n".join([*lines, *(f"! {one}" for one in self.remarks), *(f"hint: {one}" for one in self.hints)])

    def _children(self) -> str:
        if not self.children:
            return "as they are (RASYNCIO is not set)"
        meaning = _startup.MEANINGS.get(self.children, "nothing, for it is not known")
        if hidden := _startup.options_that_hide():
            meaning += f", where they are started without {hidden}"
        return f"{meaning} (RASYNCIO={self.children})"


def status() -> Status:
    """What this process uses of rasyncio, and what it does not; imports asyncio."""
    import asyncio

    from . import __version__

    swapped = installed()
    event_loop, why_not = _default_loop()
    running: Any = asyncio._get_running_loop()
    children = os.environ.get(_startup.VARIABLE)
    kind = type(running) if running is not None else _default_class()
    of_ours = _is_ours(kind)
    remarks: list[str] = []
    hints: list[str] = []
    if ours is None:
        remarks.append("This is a sub-interpreter: rasyncio works in the main one only, and asyncio is CPython's here.")
    elif not swapped:
        remarks.append(_why_not_swapped(children))
    elif why_not:
        remarks.append(why_not)
    elif not _is_ours(_default_class()):
        is_fault = children in ("1", "uvloop") and not _one_of_ours_runs()
        (remarks if is_fault else hints).append(_why_asyncios_loop(children))
    if swapped and not _is_ours(type(running)) and type(running) not in (type(None), _default_class()):
        remarks.append(f"{_other_loop.remedy(type(running))}.")
    if replaced := sorted(_replaced_in(kind)) if of_ours else []:
        remarks.append(
            f"{', '.join(replaced)}: replaced. As long as that is so, asyncio's own code does what it would do with it."
        )
    if swapped and ours is not None and sys.version_info >= (3, 14) and not shares_state():
        hints.append(
            "`python -m asyncio ps` does not see the tasks of this process, and CPython's own tasks are apart from"
            f" rasyncio's: {ours.__rasyncio_own_state__}. Set RASYNCIO=0 to look into the program on CPython's asyncio."
        )
    if swapped and not children:
        hints.append("Python processes that this one starts run on CPython's asyncio: set RASYNCIO=1 for them.")
    return Status(
        version=__version__,
        python="{}.{}.{}".format(*sys.version_info),
        future_and_task="rasyncio" if swapped else "CPython",
        event_loop=event_loop,
        running=None if running is None else _name(type(running)),
        transports=_transports(kind, running),
        tls=_tls(kind, running),
        streams=_streams(kind, running),
        grafts=_grafts(kind, running),
        state="CPython's" if shares_state() or not swapped else "rasyncio's own",
        children=children,
        remarks=tuple(remarks),
        hints=tuple(hints),
    )


def _why_not_swapped(value: str | None) -> str:
    """The variable may say that ours are wanted."""
    if value not in _startup.MEANINGS or value == "0":
        return "Future and Task are CPython's: call rasyncio.install(), or start the process with RASYNCIO=1."
    if hidden := _startup.options_that_hide():
        return (
            f"Future and Task are CPython's: Python was started with {hidden}, which hides RASYNCIO={value} from it."
            " Start it without, or call rasyncio.install()."
        )
    return (
        f"Future and Task are CPython's in spite of RASYNCIO={value}: rasyncio.uninstall() was called, or"
        " rasyncio.pth is not where this Python looks for it. Call rasyncio.install()."
    )


def _why_asyncios_loop(value: str | None) -> str:
    """It is the default: nobody named another, or somebody left ours out."""
    if _one_of_ours_runs():
        return "Loops that asyncio makes by itself are its own: rasyncio.install() makes them rasyncio's."
    if value == "tasks":
        return "The event loop is asyncio's, for RASYNCIO=tasks (--no-loop) says so: RASYNCIO=1 makes it rasyncio's."
    return "The event loop is asyncio's: rasyncio.install() without loop=False makes ours the default."


def _one_of_ours_runs() -> bool:
    loop = sys.modules.get(f"{__package__}._loop")
    return loop is not None and any(one.is_running() for one in list(loop.loops.values()))


def _policy() -> Any:
    from asyncio import events

    get: Any = getattr(events, "_get_event_loop_policy", None) or events.get_event_loop_policy
    return get()


def _default_class() -> type | None:
    """The class that asyncio makes loops of, if anyone can tell."""
    factory = getattr(_policy(), "_loop_factory", None)
    return factory if isinstance(factory, type) else None


def _default_loop() -> tuple[str, str]:
    """What asyncio makes loops of, and who set the policy for it, if that is not asyncio's own or ours."""
    kind, policy = _default_class(), type(_policy())
    name = f"whatever {_name(policy)} makes" if kind is None else _name(kind)
    if _is_ours(kind):
        return name, ""
    if policy.__module__ == "asyncio.unix_events":
        return name, ""
    if policy.__module__.partition(".")[0] == "uvloop":
        return name, "The program has set uvloop's event loop policy: start it with RASYNCIO=uvloop (or --as-uvloop)."
    return name, (
        f"The event loop policy is a {_name(policy)}, which the program has set: leave that out, or set"
        " rasyncio.EventLoopPolicy()."
    )


def _is_ours(kind: type | None) -> bool:
    loop = sys.modules.get(f"{__package__}._loop")
    return loop is not None and kind is not None and issubclass(kind, loop.EventLoop)


def _whose(kind: type | None) -> str:
    """Whose something is that a loop of that class brings along, or leaves to asyncio."""
    package = "asyncio" if kind is None or _is_ours(kind) else kind.__module__.partition(".")[0]
    return f"{package}'s"


def _transports(kind: type | None, running: Any) -> str:
    if not _is_ours(kind) or sys.platform != "linux":
        return _whose(kind)
    from . import _transports as native

    if not native.knows_sockets():
        return "asyncio's"
    if running is not None and running.get_debug():
        return "asyncio's, as in debug mode"
    return "rasyncio's"


def _tls(kind: type | None, running: Any) -> str:
    if _transports(kind, running) != "rasyncio's":
        return _transports(kind, running)
    from . import _tls as native

    route = native.route()
    return "asyncio's" if route == "python" else f"rasyncio's, by {route}"


def _streams(kind: type | None, running: Any) -> str:
    if not _is_ours(kind) or (running is not None and running.get_debug()):
        return "asyncio's"
    from . import _grafted

    found = _grafted.grafted()
    on, off = ([name for name in names if name.startswith("asyncio.streams.")] for names in (found.on, found.off))
    if not on:
        return "asyncio's"
    return f"asyncio's, {len(on)} of {len(on) + len(off)} functions grafted" if off else "asyncio's, grafted"


def _grafts(kind: type | None, running: Any) -> str:
    if not _is_ours(kind):
        return f"none: the loop is {_whose(kind)}"
    if running is not None and running.get_debug():
        return "none, as in debug mode"
    from . import _grafted

    found = _grafted.grafted()
    if not found.on:
        return f"none: {'; '.join(sorted(set(found.off.values())))}"
    return f"{len(found.on)} of {len(found.on) + len(found.off)} functions"


def _replaced_in(kind: type | None) -> set[str]:
    """What a program has replaced of that which loops of ours depend on."""
    from . import _loop, _replaced, _tls, _transports

    assert kind is not None
    return {*_replaced.replaced(), *_transports.replaced(), *_tls.replaced(), *_loop.LOOPS.replaced(kind)}


def _name(kind: type) -> str:
    name = f"{kind.__module__}.{kind.__qualname__}"
    return "rasyncio.EventLoop" if name == "rasyncio._loop.EventLoop" else name
