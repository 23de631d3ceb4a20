"""Says what the swap cannot reach, so that nobody meets it in silence.

A class that was derived from Future or Task before these were exchanged keeps its base, and
`isinstance(its_future, asyncio.Future)` is False. Each such class is named once in the process. Where CPython's module
and ours have no state in common (3.14 on, if the interpreter's places for it are not known), its tasks are not the
current task either where `asyncio.timeout()` looks for one; uvloop, which keeps Future and Task in C variables, is as
badly off with all of its loops.

A warning that a filter turns into an error undoes the swap.
"""

from __future__ import annotations

import gc
import sys
import warnings
from weakref import ref

from ._native import shares_state

TYPE_CHECKING = False  # typing's own would cost its import
if TYPE_CHECKING:
    from collections.abc import Callable, Container

# Classes that were named already.
_named: list[ref[type]] = []
_said_that_uvloop_was_first = False


def early_subclasses(base: type, known: Container[int]) -> list[type]:
    """Those of `base`, but for the ones whose id is `known` and for those that were named already."""
    found = _unnamed(base, known)
    if found:
        # A class that nobody has any more is in a reference cycle, and may be waiting to be collected.
        del found
        gc.collect()
        found = _unnamed(base, known)
    return found


def _unnamed(base: type, known: Container[int]) -> list[type]:
    classes = [base]
    for cls in classes:  # grows as it goes
        derived: list[type] = type.__subclasses__(cls)
        classes += [one for one in derived if not any(one is other for other in classes)]
    named = [one() for one in _named]
    return [
        cls
        for cls in classes
        if id(cls) not in known
        and not any(cls is one for one in named)
        and _text(_module_of, cls) != "uvloop.loop"  # has its own warning
    ]


def warn_about(classes: list[type], task: type, action: str) -> None:
    """Name the classes, which stay derived from what `action` takes out of asyncio; `task` is its Task."""
    for cls in classes:
        module, name = (_text(get, cls) for get in (_module_of, _qualname_of))
        if issubclass(cls, task):
            kind = "Task"
            follows = "isinstance(task, asyncio.Task) is False for its tasks"
            if not shares_state():
                follows += ", and in them asyncio.current_task() is None and asyncio.timeout() and TaskGroup fail"
        else:
            kind = "Future"
            follows = "isinstance(future, asyncio.Future) is False for its futures"
        moment = "the class is made" if module == "__main__" else f"{module} is imported"
        warnings.warn(
            f"{module}.{name} was derived from asyncio.{kind} before rasyncio exchanged that class, and is not derived"
            f" from the new one: {follows}."
            f" Call rasyncio.{action}() before {moment}",
            RuntimeWarning,
            stacklevel=_callers_level(),
        )
        _named.append(ref(cls))


def warn_about_uvloop() -> None:
    """If uvloop was imported already, and that does harm."""
    if "uvloop.loop" in sys.modules and not shares_state():
        warnings.warn(
            "uvloop was imported before asyncio's Future and Task were exchanged, and keeps those it found:"
            " its loops will not work in this process. Call rasyncio.install() before uvloop is imported",
            RuntimeWarning,
            stacklevel=_callers_level(),
        )


def warn_that_uvloop_was_first() -> None:
    """Before a loop of ours is made, where exchanging Future and Task would do harm to uvloop's; once."""
    global _said_that_uvloop_was_first
    if not _said_that_uvloop_was_first:
        warnings.warn(
            "uvloop was imported before rasyncio.new_event_loop() was called, and its loops need CPython's Future and"
            " Task: these stay, and rasyncio's event loop runs CPython's tasks. Call rasyncio.install() before uvloop"
            " is imported, or start the process with RASYNCIO=uvloop",
            RuntimeWarning,
            stacklevel=_callers_level(),
        )
        _said_that_uvloop_was_first = True


def _callers_level() -> int:
    """The `stacklevel` by which our caller's warning points to the program: past this package, and asyncio's Runner."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and _is_passed_over(frame.f_globals.get("__name__")):
        level, frame = level + 1, frame.f_back
    return level


def _is_passed_over(module: object) -> bool:
    return isinstance(module, str) and module.partition(".")[0] in (__package__, "asyncio")


# Not by attributes: a metaclass may have its own idea of them.
_module_of: Callable[[type], object] = vars(type)["__module__"].__get__
_qualname_of: Callable[[type], object] = vars(type)["__qualname__"].__get__


def _text(get: Callable[[type], object], cls: type) -> str:
    try:
        value = get(cls)
    except AttributeError:  # a class may go without a module
        value = "?"
    return value if isinstance(value, str) else "?"
