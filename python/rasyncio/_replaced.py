"""What native code stands in for: is it still as asyncio was made?

The native half of the loop does by itself what asyncio's Python functions would do. Where a program has replaced one
of them, or something that they use (a clock that a test fakes, a method that a tracer patches, a class that a tool puts
in the place of asyncio's), the replacement must be called. So native code asks here, as often as any of it has changed,
and where the answer is no it calls asyncio's own functions, which call the replacement.

A function counts as asyncio's own by its code's name and its module's namespace, not by what was there when this module
was imported: a test may have replaced it before, and put it back later.
"""

from __future__ import annotations

import _socket
import contextvars
import functools
import heapq
import math
import selectors
import socket
import sys
import threading
import time
from asyncio import base_events, coroutines, events, format_helpers, futures, selector_events, tasks
from collections.abc import Iterator
from types import BuiltinFunctionType, FunctionType, MethodDescriptorType, ModuleType

from . import _asyncio

TYPE_CHECKING = False  # typing's own would cost its import
if TYPE_CHECKING:
    from typing import Any


def _is_own(function: Any, owner: str, name: str, module: ModuleType) -> bool:
    """Is it the Python function that the module itself defines by that name in that class (or in none)?"""
    return (
        type(function) is FunctionType
        and function.__globals__ is vars(module)
        and function.__code__.co_qualname == (f"{owner}.{name}" if owner else name)
    )


def _finds_own(mro: tuple[type, ...], name: str) -> bool:
    """Does looking the name up along these classes find what the class that has it was made with?"""
    for cls in mro:
        if name in vars(cls):
            return _is_own(vars(cls)[name], cls.__qualname__, name, sys.modules[cls.__module__])
    return False


def _methods_of(cls: type) -> dict[str, Any]:
    """The methods of a class and its bases, but for those of every object."""
    return {
        name: value
        for base in reversed(cls.__mro__)
        if base is not object
        for name, value in vars(base).items()
        if callable(value) and not isinstance(value, type)
    }


def is_own_function(module: ModuleType, name: str) -> bool:
    """Is the module's function of that name the one that it defines?"""
    return _is_own(vars(module).get(name), "", name, module)


def are_own(cls: type, *names: str) -> bool:
    """Are all functions in the class's namespace, or those of these names, the ones that its module defines there?"""
    module = sys.modules[cls.__module__]
    functions = {name: value for name, value in vars(cls).items() if callable(value) and not isinstance(value, type)}
    return all(_is_own(functions.get(name), cls.__qualname__, name, module) for name in names or functions)


def is_own_method(method: Any, cls: type, name: str) -> bool:
    """Is it the method of that name that the class's module defines there, bound to an instance?"""
    return _is_own(getattr(method, "__func__", None), cls.__qualname__, name, sys.modules[cls.__module__])


class Names:
    """Names in modules, with what is there unless a program has replaced it."""

    def __init__(self, *names: tuple[ModuleType, str, Any]) -> None:
        self._names = names

    def replaced(self) -> Iterator[str]:
        """What is not there any more, as "module.name"."""
        return (f"{module.__name__}.{name}" for module, name, value in self._names if vars(module).get(name) != value)


# Handles: native ones stand in for all of what these classes do.
_HANDLES = [getattr(events, name) for name in ("Handle", "TimerHandle", "_ThreadSafeHandle") if hasattr(events, name)]
_HANDLES = [next(cls for cls in found.__mro__ if cls.__module__ == "asyncio.events") for found in _HANDLES]
_METHODS_OF_HANDLES = [(cls, tuple(_methods_of(cls))) for cls in _HANDLES]

# The names in asyncio's modules that the functions look up which native code stands in for.
_OF_MODULES: list[tuple[ModuleType, str, Any]] = [
    (base_events, "events", events),
    (base_events, "futures", futures),
    (base_events, "tasks", tasks),
    (base_events, "coroutines", coroutines),
    (base_events, "heapq", heapq),
    (base_events, "time", time),
    (base_events, "MAXIMUM_SELECT_TIMEOUT", 24 * 3600),
    (base_events, "_MIN_SCHEDULED_TIMER_HANDLES", 100),
    (base_events, "_MIN_CANCELLED_TIMER_HANDLES_FRACTION", 0.5),
    (events, "contextvars", contextvars),
    (events, "format_helpers", format_helpers),
    (events, "threading", threading),
    (selector_events, "events", events),
    (selector_events, "selectors", selectors),
    (selector_events, "socket", socket),
    (selector_events, "functools", functools),
    (base_events, "ssl", sys.modules.get("ssl")),
    (selector_events, "base_events", base_events),
    *((events, cls.__name__, cls) for cls in _HANDLES),
]
if sys.version_info >= (3, 15):
    _OF_MODULES.append((base_events, "math", math))
_NAMES = Names(*_OF_MODULES)

_BUILTINS: list[tuple[ModuleType, str]] = [
    (time, "monotonic"),
    (contextvars, "copy_context"),
    *((heapq, name) for name in ("heappush", "heappop", "heapify")),
]
_FUNCTIONS: list[tuple[ModuleType, str]] = [
    (format_helpers, "extract_stack"),
    (format_helpers, "_format_callback_source"),
    (base_events, "_format_handle"),
    (base_events, "_check_ssl_socket"),
]


def is_builtin(function: Any, name: str) -> bool:
    """Is it a builtin function of that name?"""
    return type(function) is BuiltinFunctionType and function.__name__ == name


def replaced() -> Iterator[str]:
    """What all our loops depend on and is not as asyncio was made: the name of each."""
    yield from _NAMES.replaced()
    for module, name in _BUILTINS:
        if not is_builtin(vars(module).get(name), name):
            yield f"{module.__name__}.{name}"
    for module, name in _FUNCTIONS:
        if not is_own_function(module, name):
            yield f"{module.__name__}.{name}"
    for cls, names in _METHODS_OF_HANDLES:
        for name in names:
            if not _finds_own(cls.__mro__, name):
                yield f"{cls.__module__}.{cls.__qualname__}.{name}"
    if not SELECTOR.is_as_made():
        yield "selectors.EpollSelector"


def all_as_made() -> bool:
    """Is all that all our loops depend on as asyncio was made?"""
    return next(replaced(), None) is None


class Selector:
    """What is to be known of the selector that asyncio would make for a loop."""

    def __init__(self) -> None:
        #: asyncio's choice on the platforms where we wait natively.
        self.usual: type[selectors.BaseSelector] | None = next(
            (cls for cls in vars(selectors).values() if getattr(cls, "__name__", None) == "EpollSelector"), None
        )
        self._methods = tuple(_methods_of(self.usual)) if self.usual else ()
        self.names = frozenset(self._methods)

    def is_as_made(self) -> bool:
        """Does that class do what it was made to do?"""
        usual = self.usual
        return usual is not None and all(
            _is_own(vars(cls)[name], cls.__qualname__, name, selectors)
            for cls in usual.__mro__
            for name in self._methods
            if cls is not object and name in vars(cls)
        )

    def would_be_made(self) -> bool:
        """Would asyncio make such a selector for a new loop?"""
        return (
            self.is_as_made()
            and vars(selector_events).get("selectors") is selectors
            and vars(selectors).get("DefaultSelector") is self.usual
            and vars(selectors).get("EpollSelector") is self.usual
        )


# What native code does not ask a socket for, or asks for knowing what it will do.
_OF_SOCKETS = (
    *("recv", "recv_into", "recvfrom", "recvfrom_into", "send", "sendto", "connect"),
    *("_accept", "fileno", "gettimeout", "getsockopt", "setblocking"),
)


def socket_class_as_made(cls: type) -> bool:
    """Is it Python's own `socket.socket`, and does it do what it was made to do?"""
    return (
        cls.__mro__ == (cls, _socket.socket, object)
        and cls.__module__ == "socket"
        and cls.__qualname__ == "socket"
        and vars(cls).keys().isdisjoint({*_OF_SOCKETS, "__getattribute__", "__getattr__"})
        and all(type(vars(_socket.socket).get(name)) is MethodDescriptorType for name in _OF_SOCKETS)
        and all(
            _is_own(vars(cls).get(name), "socket", name, socket)
            for name in ("__init__", "_real_close", "accept", "close")
        )
        and "__new__" not in vars(cls)
    )


SELECTOR = Selector()


class Loops:
    """What is to be known of a class of loops."""

    def __init__(self, core: type, loop: type) -> None:
        self._core = core
        self._ours = {core: dict(vars(core)), loop: dict(vars(loop))}
        asyncio_loops = loop.__mro__[loop.__mro__.index(core) + 1 :]
        theirs = {name for cls in asyncio_loops if cls is not object for name in vars(cls)}
        self._passed_over = tuple(name for name in _asyncio._passed_over() if name in theirs)
        hidden = {name for names in self._ours.values() for name, value in names.items() if callable(value)}
        self._hidden = tuple(
            name
            for name in sorted({*hidden, *self._passed_over} & theirs)
            if callable(getattr(asyncio_loops[0], name)) and not name.startswith("__")
        )

    def replaced(self, cls: type) -> Iterator[str]:
        """The methods of loops of this class that are not as they were made, by which native code would pass."""
        mro = cls.__mro__
        behind = mro[mro.index(self._core) + 1 :]
        for name in self._passed_over:
            if not self._is_ours(mro, name):
                yield f"{cls.__qualname__}.{name}"
        for name in self._hidden:
            if not _finds_own(behind, name):
                yield f"{behind[0].__qualname__}.{name}"

    def as_made(self, cls: type) -> bool:
        """Would asyncio's own functions do for loops of this class what native code does?"""
        return next(self.replaced(cls), None) is None

    def _is_ours(self, mro: tuple[type, ...], name: str) -> bool:
        """Does a loop call our method of that name, or asyncio's where there is none of ours?"""
        for cls in mro:
            if name in vars(cls):
                if cls in self._ours:
                    return vars(cls)[name] is self._ours[cls].get(name)
                return cls.__module__.startswith("asyncio.")
        return True


def ask_here(core: type, loop: type, selector: type) -> Loops:
    """Have native code ask this module; returns what knows about classes of loops."""
    loops = Loops(core, loop)
    watched = [
        vars(module) for module in (base_events, events, selector_events, format_helpers, time, heapq, contextvars)
    ]
    _asyncio._ask_about_replacements(loops.as_made, all_as_made, *_HANDLES, selector, *watched)
    return loops
